"""The lists of one segment: which rows are in each, their short codes in blocks, their long codes in records.

They are made from the segment's vectors, in a file of their own beside it: ``docs/format.md``. Without that
file the segment is searched all the same, by scanning it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import ForeignFileError
from kukla.kernels.partition import BLOCK_ROWS, RECORD_TAIL
from kukla.partition.model import Partition
from kukla.progress import Progress
from kukla.storage.container import Section, open_container, write_container

__all__ = ["LEAST_ROWS", "SegmentLists", "lists_path", "write_lists"]

LEAST_ROWS = 1024
"""A segment with fewer rows has no lists: scanning it costs less than a file more."""

CODED_ROWS_PER_LIST = 8
"""Where lists are shorter on average, codes are mostly filling: rows are scored by what the segment keeps."""

STEP_ROWS = 1 << 16


def lists_path(segment: Path, number: int) -> Path:
    """``segments/00000042.3.lists`` for ``segments/00000042.seg`` and partition number 3."""
    return segment.with_name(f"{segment.stem}.{number}.lists")


class SegmentLists:
    """Rows of each list and their codes, mapped.

    Parameters
    ----------
    path : Path
    partition : Partition
    rows : int
        Of the segment.

    Attributes
    ----------
    origin : dict
        The checksums of the headers of the ``segment`` and the ``partition`` that they were made of; of the
        first lists none.
    offsets : ndarray of uint64, shape (lists + 1,)
        Of each list's first row, in the order of lists.
    rows : ndarray of uint32, shape (n,)
        The numbers of rows in the order of lists, ascending inside a list.
    blocks : ndarray of uint64, shape (lists + 1,)
        With codes: of each list's first block. Else empty.
    shorts : ndarray of uint8, shape (blocks, short_bytes + 1, 32)
        A block is 32 rows of one list; the last one of a list is filled with zeros. Line p < short_bytes
        holds byte p of their short codes, the last line the stretches of these.
    longs : ndarray of uint8, shape (n, code_bytes)
        With codes: in the order of ``rows`` the long code of each, its stretch, and a zero. Else empty.
    """

    def __init__(self, path: Path, partition: Partition, rows: int) -> None:
        header, arrays = open_container(path)
        self.path = path
        self.bytes: int = header["bytes"]
        self.origin: dict[str, str] = {
            name: header[name] for name in ("segment", "partition") if name in header
        }
        try:
            self.offsets: NDArray[np.uint64] = arrays["offsets"]
            self.rows: NDArray[np.uint32] = arrays["rows"]
            self.blocks: NDArray[np.uint64] = arrays["blocks"]
            self.shorts: NDArray[np.uint8] = arrays["shorts"]
            self.longs: NDArray[np.uint8] = arrays["longs"]
            self._check(partition, rows)
        except (KeyError, ValueError, IndexError) as error:
            raise ForeignFileError(
                f"{path} holds no lists of this partition ({error}); it is made from the segment: remove the "
                "file, and partition the index again"
            ) from None

    @property
    def coded(self) -> bool:
        """Whether rows have codes."""
        return len(self.shorts) > 0

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """The rows of one list."""
        return self.rows[int(self.offsets[number]) : int(self.offsets[number + 1])].astype(np.int64)

    def blocks_of(self, number: int) -> NDArray[np.uint8]:
        """The blocks of one list."""
        return self.shorts[int(self.blocks[number]) : int(self.blocks[number + 1])]

    def _check(self, partition: Partition, rows: int) -> None:
        lists, counts = partition.lists, np.diff(self.offsets.astype(np.int64))
        if self.offsets.dtype.str != "<u8" or self.offsets.shape != (lists + 1,):
            raise ValueError(f"offsets {self.offsets.dtype.str} {self.offsets.shape}, lists {lists}")
        if int(self.offsets[0]) != 0 or (counts < 0).any() or int(self.offsets[-1]) != rows:
            raise ValueError(f"offsets do not rise from 0 to {rows}")
        lines = partition.short_bytes + 1
        if self.shorts.dtype.str != "|u1" or self.shorts.shape[1:] != (lines, BLOCK_ROWS):
            raise ValueError(f"shorts {self.shorts.dtype.str} {self.shorts.shape}")
        if self.rows.dtype.str != "<u4" or self.rows.shape != (rows,):
            raise ValueError(f"rows {self.rows.dtype.str} {self.rows.shape}, the segment has {rows}")
        records = rows if self.coded else 0, partition.code_bytes
        if self.longs.dtype.str != "|u1" or self.longs.shape != records:
            raise ValueError(f"longs {self.longs.dtype.str} {self.longs.shape}, rows with codes {records[0]}")
        if not self.coded:
            return
        blocks = np.concatenate([[0], np.cumsum(-(-counts // BLOCK_ROWS))])
        if (
            self.blocks.dtype.str != "<u8"
            or not np.array_equal(self.blocks, blocks)
            or blocks[-1] != len(self.shorts)
        ):
            raise ValueError("blocks do not fit the offsets")


def write_lists(
    path: Path,
    partition: Partition,
    vectors: NDArray[np.floating[Any]],
    *,
    origin: Mapping[str, str] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> int:
    """Write the lists of a segment's vectors ``(rows, dim)``, and what they are made of; returns bytes."""
    count = len(vectors)
    lists = np.empty(count, dtype=np.int64)
    coded = count >= CODED_ROWS_PER_LIST * partition.lists
    shorts = np.empty((count if coded else 0, partition.short_bytes + 1), dtype=np.uint8)
    longs = np.zeros((len(shorts), partition.code_bytes), dtype=np.uint8)
    for start in range(0, count, STEP_ROWS):
        part = slice(start, min(start + STEP_ROWS, count))
        rows = np.ascontiguousarray(vectors[part], dtype=np.float32)
        lists[part] = partition.assign(rows)
        if coded:
            (
                shorts[part, :-1],
                shorts[part, -1],
                longs[part, :-RECORD_TAIL],
                longs[part, -RECORD_TAIL],
            ) = partition.encode(rows, lists[part], threads=threads)
        if progress is not None:
            progress(part.stop, count)
    sizes = np.bincount(lists, minlength=partition.lists)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(lists, kind="stable")
    blocks = (
        np.concatenate([[0], np.cumsum(-(-sizes // BLOCK_ROWS))]) if coded else np.empty(0, dtype=np.int64)
    )
    total = int(blocks[-1]) if coded else 0
    # The place of each row, in the order of lists: lists begin with a new block.
    place = np.arange(count) + np.repeat(blocks[:-1] * BLOCK_ROWS - offsets[:-1], sizes) if coded else None

    def in_blocks() -> Iterator[NDArray[np.uint8]]:
        if place is None:
            return
        step = STEP_ROWS // BLOCK_ROWS
        for first in range(0, total, step):
            last = min(first + step, total)
            begin, end = np.searchsorted(place, [first * BLOCK_ROWS, last * BLOCK_ROWS])
            filled = np.zeros(((last - first) * BLOCK_ROWS, shorts.shape[1]), dtype=np.uint8)
            filled[place[begin:end] - first * BLOCK_ROWS] = shorts[order[begin:end]]
            yield filled.reshape(last - first, BLOCK_ROWS, -1).transpose(0, 2, 1)

    def in_order() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(longs), STEP_ROWS):
            yield longs[order[start : start + STEP_ROWS]]

    def section(name: str, dtype: str, array: NDArray[Any]) -> Section:
        return Section(name, dtype, array.shape, lambda: (array,))

    return write_container(
        path,
        [
            section("offsets", "<u8", offsets),
            section("rows", "<u4", order),
            section("blocks", "<u8", blocks),
            Section("shorts", "|u1", (total, shorts.shape[1], BLOCK_ROWS), in_blocks),
            Section("longs", "|u1", longs.shape, in_order),
        ],
        {"rows": count, **(origin or {})},
    )
