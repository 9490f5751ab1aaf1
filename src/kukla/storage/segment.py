"""A segment: the vectors of one or more batches, immutable and memory-mapped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.errors import ChecksumError, ForeignFileError
from kukla.storage.container import Section, open_container
from kukla.storage.ids import id_sections, sorting_order
from kukla.storage.layout import Layout

__all__ = ["Segment", "merged_sections", "segment_path"]

MERGE_BYTES = 1 << 20
TYPICAL_ROWS = 1024


def segment_path(folder: Path, number: int) -> Path:
    """``segments/00000042.seg``."""
    return folder / "segments" / f"{number:08d}.seg"


class Segment:
    """The mapped arrays of one segment file; rows are sorted by id.

    Parameters
    ----------
    number : int
    path : Path
    layout : Layout
        What the catalog says; a file that holds anything else is refused.
    """

    def __init__(self, number: int, path: Path, layout: Layout) -> None:
        self.number = number
        self.path = path
        self.layout = layout
        header, self._arrays = open_container(path)
        self.rows: int = header.get("rows", -1)
        self.bytes: int = header["bytes"]
        self.identity: str = header["identity"]
        self.integer_ids = "ids" in self._arrays
        self._check()
        self._facts: dict[str, float] = {}
        self.lists: dict[int, Any] = {}  # by the number of their partition: see kukla.storage.partitions
        self.keys: NDArray[np.int64] = self._arrays["keys"]
        self.vectors: NDArray[np.floating[Any]] = self._arrays[layout.float_precision.value]

    def _check(self) -> None:
        expected = {name: (dtype, (self.rows, *shape)) for name, dtype, shape in self.layout.fields()}
        if self.integer_ids:
            expected["ids"] = ("<i8", (self.rows,))
        else:
            expected["ids.offsets"] = ("<u8", (self.rows + 1,))
            expected["ids.bytes"] = ("|u1", self._arrays.get("ids.bytes", np.empty(0)).shape)
        for name, (dtype, shape) in expected.items():
            array = self._arrays.get(name)
            if array is None or array.dtype.str != dtype or array.shape != shape:
                found = "nothing" if array is None else f"{array.dtype.str} {array.shape}"
                raise ForeignFileError(
                    f"{self.path}: section {name} should be {dtype} {shape}, found {found}"
                )

    def id_at(self, row: int) -> DocumentId:
        """The id of one row."""
        if self.integer_ids:
            return int(self._arrays["ids"][row])
        start, end = self._arrays["ids.offsets"][row : row + 2]
        try:
            return self._arrays["ids.bytes"][int(start) : int(end)].tobytes().decode()
        except UnicodeDecodeError as error:
            raise ChecksumError(f"{self.path}: the id of row {row} is damaged ({error})") from None

    def ids(self, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Ids of rows (all, without ``rows``): int64 or object, shape of ``rows``."""
        if self.integer_ids:
            ids: NDArray[np.int64] = self._arrays["ids"]
            return ids if rows is None else ids[rows]
        wanted = np.arange(self.rows) if rows is None else rows
        result = np.empty(wanted.shape, dtype=object)
        result.ravel()[:] = [self.id_at(int(row)) for row in wanted.ravel()]
        return result

    def id_arrays(self) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
        """Integer ids; or offsets and bytes of string ids; ``None`` for what there is not."""
        return tuple(self._arrays.get(name) for name in ("ids", "ids.offsets", "ids.bytes"))  # type: ignore[return-value]

    def find(self, id_: DocumentId) -> int | None:
        """The row of an id, or ``None``; binary search."""
        if self.integer_ids:
            row = int(np.searchsorted(self._arrays["ids"], id_))
        else:
            row = bisect_left(range(self.rows), id_, key=self.id_at)
        return row if row < self.rows and self.id_at(row) == id_ else None

    def shells(self, precision: str, dim: int) -> list[NDArray[Any]]:
        """The codes (``"binary"``, ``"int8"``) or scales (``"int8.scales"``) of each shell of a prefix."""
        return [self._arrays[f"{precision}.{low}-{high}"] for low, high in self.layout.nesting.shells_of(dim)]

    def floats(self, precision: str) -> NDArray[np.floating[Any]]:
        """The vectors ``(rows, full)`` in ``"float32"`` or ``"float16"``."""
        return self._arrays[precision]

    def norms(self, dim: int) -> NDArray[np.float32] | None:
        """Norms of the ``dim``-prefixes, or ``None`` where there is nothing to divide by."""
        return self._arrays.get(f"norms.{dim}")

    def array(self, name: str) -> NDArray[Any]:
        """The array of a section, for merging."""
        return self._arrays[name]

    def least(self, name: str) -> float:
        """The least value of a section of one number a row; reads it once."""
        return self._fact(f"least {name}", lambda: float(self._arrays[name].min()))

    def largest(self, name: str) -> float:
        """The largest value of such a section."""
        return self._fact(f"largest {name}", lambda: float(self._arrays[name].max()))

    def typical(self, name: str) -> float:
        """The median of such a section, of rows spread over it."""
        step = max(1, self.rows // TYPICAL_ROWS)
        return self._fact(f"typical {name}", lambda: float(np.median(self._arrays[name][::step])))

    def _fact(self, name: str, measure: Callable[[], float]) -> float:
        if name not in self._facts:  # two threads may both measure: they find the same
            self._facts[name] = measure()
        return self._facts[name]


def merged_sections(
    layout: Layout, segments: Sequence[Segment], live: Sequence[NDArray[np.int64]]
) -> tuple[list[Section], int]:
    """Sections of one segment with the live rows of several, streamed; and its number of rows.

    Parameters
    ----------
    segments : sequence of Segment
    live : sequence of ndarray of int64
        The rows to keep of each segment, ascending.
    """
    which = np.repeat(np.arange(len(segments)), [len(rows) for rows in live])
    rows = np.concatenate(live) if live else np.empty(0, dtype=np.int64)
    ids: NDArray[Any] = np.concatenate(
        [segment.ids(kept) for segment, kept in zip(segments, live, strict=True)]
    )
    if len(ids) and (order := sorting_order(ids)) is not None:
        which, rows, ids = which[order], rows[order], ids[order]

    def gather(name: str, dtype: str, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
        step = max(1, MERGE_BYTES // (prod(shape) * np.dtype(dtype).itemsize))
        for start in range(0, len(rows), step):
            source, wanted = which[start : start + step], rows[start : start + step]
            first, last = wanted[[0, -1]]
            if (source == source[0]).all():
                array = segments[source[0]].array(name)
                run = last - first == len(wanted) - 1  # rows of one segment ascend
                yield array[first : last + 1] if run else array[wanted]
                continue
            chunk = np.empty((len(wanted), *shape), dtype=dtype)
            for i in np.flatnonzero(np.bincount(source)).tolist():
                chosen = source == i
                chunk[chosen] = segments[i].array(name)[wanted[chosen]]
            yield chunk

    def section(name: str, dtype: str, shape: tuple[int, ...]) -> Section:
        return Section(name, dtype, (len(rows), *shape), lambda: gather(name, dtype, shape))

    fields = [section(name, dtype, shape) for name, dtype, shape in layout.fields()]
    return [*id_sections(ids), *fields], len(rows)
