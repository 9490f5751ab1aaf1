"""Layout: which arrays a segment holds for each vector, and how a batch of vectors becomes them.

Every vector is stored once as floats, row by row, and once per quantised precision, cut into shells: a
stage at a short prefix maps and reads the shells of that prefix and nothing else. Rows of a segment are
sorted by id, so the order of rows is the order in which ties are broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import BLOCK_ROWS
from kukla.document import DocumentId
from kukla.errors import VectorError
from kukla.nesting import Nesting, prefix_norms
from kukla.precision import Precision, encode_int8, pack_signs
from kukla.storage.container import Section

__all__ = ["Layout", "batch_sections", "id_sections"]

FLOAT16_END = 65_520
"""The least magnitude that rounds to infinity."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What decides a segment's arrays: the nesting, the precisions and the metric."""

    nesting: Nesting
    precisions: tuple[Precision, ...]
    cosine: bool

    @property
    def float_precision(self) -> Precision:
        """The most precise floats kept: what ``get`` returns."""
        return max(self.precisions, key=lambda precision: precision.bits)

    @property
    def normed_dims(self) -> tuple[int, ...]:
        """The dims whose prefix norms are stored: all but the full one, whose norm is 1, for cosine."""
        return self.nesting.dims[:-1] if self.cosine else ()

    def fields(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """``(name, dtype, shape of one row)`` of every array with one row per vector, ids left out."""
        yield "keys", "<i8", ()
        for dim in self.normed_dims:
            yield f"norms.{dim}", "<f4", ()
        for low, high in self.nesting.shells:
            if Precision.BINARY in self.precisions:
                yield f"binary.{low}-{high}", "|u1", (-(-(high - low) // 8),)
        for low, high in self.nesting.shells:
            if Precision.INT8 in self.precisions:
                yield f"int8.{low}-{high}", "|i1", (high - low,)
                yield f"int8.scales.{low}-{high}", "<f4", ()
        for precision, dtype in ((Precision.FLOAT16, "<f2"), (Precision.FLOAT32, "<f4")):
            if precision in self.precisions:
                yield precision.value, dtype, (self.nesting.full,)

    def encode(
        self, vectors: NDArray[np.float32], keys: NDArray[np.int64], order: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """The arrays of :meth:`fields` for rows taken in ``order``.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, full)
            Already projected and normalised.
        keys : ndarray of int64, shape (n,)
        order : ndarray of int64, shape (n,)
        """
        arrays = {name: np.empty((len(order), *shape), dtype) for name, dtype, shape in self.fields()}
        arrays["keys"][:] = keys[order]
        for start in range(0, len(order), BLOCK_ROWS):  # temporaries stay small beside the batch
            rows = slice(start, start + BLOCK_ROWS)
            self._encode_block(vectors[order[rows]], {name: array[rows] for name, array in arrays.items()})
        return arrays

    def _encode_block(self, vectors: NDArray[np.float32], arrays: dict[str, NDArray[Any]]) -> None:
        if self.normed_dims:
            norms = prefix_norms(vectors, self.nesting)
            for i, dim in enumerate(self.normed_dims):
                arrays[f"norms.{dim}"][:] = norms[i]
        for low, high in self.nesting.shells:
            shell = vectors[:, low:high]
            if Precision.BINARY in self.precisions:
                arrays[f"binary.{low}-{high}"][:] = pack_signs(shell)
            if Precision.INT8 in self.precisions:
                codes, scales = encode_int8(shell)
                arrays[f"int8.{low}-{high}"][:] = codes
                arrays[f"int8.scales.{low}-{high}"][:] = scales
        for precision in self.precisions:
            if precision.is_float:
                arrays[precision.value][:] = vectors


def _check_range(layout: Layout, ids: Sequence[DocumentId], vectors: NDArray[np.float32]) -> None:
    """Unit vectors always fit; float16 ends at 65,504, beyond which it would store infinity."""
    if layout.cosine or Precision.FLOAT16 not in layout.precisions:
        return
    fits = np.abs(vectors).max(axis=1) < FLOAT16_END
    if not fits.all():
        row = int(np.argmin(fits))
        raise VectorError(
            f"document {ids[row]!r} holds a value of magnitude {np.abs(vectors[row]).max():g}; this index "
            f"keeps float16, which ends at {np.finfo(np.float16).max:g}"
        )


def _id_array(ids: Sequence[DocumentId]) -> NDArray[Any]:
    """int64 or object: NumPy's own string types would cut trailing NULs."""
    return np.array(ids, dtype=object if isinstance(ids[0], str) else np.int64)


def pack_strings(strings: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """UTF-8 bytes of all strings end to end, and the ``n + 1`` offsets between them."""
    encoded = [string.encode() for string in strings]
    offsets = np.zeros(len(encoded) + 1, dtype=np.uint64)
    np.cumsum([len(item) for item in encoded], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(encoded), dtype=np.uint8)


def id_sections(ids: Sequence[DocumentId] | NDArray[Any]) -> list[Section]:
    """The sections that hold sorted ids, all integers or all strings."""
    if len(ids) == 0 or isinstance(ids[0], str):
        offsets, data = pack_strings([str(id_) for id_ in ids])
        return [_whole("ids.offsets", "<u8", offsets), _whole("ids.bytes", "|u1", data)]
    return [_whole("ids", "<i8", np.asarray(ids, dtype=np.int64))]


def batch_sections(
    layout: Layout,
    ids: Sequence[DocumentId],
    keys: NDArray[np.int64],
    vectors: NDArray[np.float32],
) -> list[Section]:
    """All sections of a new segment from one batch in memory, rows sorted by id.

    Raises
    ------
    VectorError
        Naming the document whose vector a precision cannot hold.
    """
    _check_range(layout, ids, vectors)
    order = np.argsort(_id_array(ids), kind="stable")
    arrays = layout.encode(vectors, keys, order)
    return [
        *id_sections([ids[i] for i in order]),
        *(_whole(name, dtype, arrays[name]) for name, dtype, _ in layout.fields()),
    ]


def _whole(name: str, dtype: str, array: NDArray[Any]) -> Section:
    return Section(name, dtype, array.shape, lambda: (array,))
