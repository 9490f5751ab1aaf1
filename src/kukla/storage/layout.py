"""Layout: which arrays a segment holds for each vector, and how a batch of vectors becomes them.

Every vector is stored once as floats, row by row, and once per quantised precision, cut into shells: a
stage at a short prefix maps and reads the shells of that prefix and nothing else. Rows of a segment are
sorted by id, so the order of rows is the order in which ties are broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.document import DocumentId
from kukla.errors import VectorError
from kukla.nesting import Nesting, prefix_norms
from kukla.precision import Precision, encode_int8, pack_signs
from kukla.storage.container import Block, Section
from kukla.storage.ids import id_sections, sorting_order
from kukla.storage.lengths import check_lengths

__all__ = ["Layout", "batch_sections"]

FLOAT16_END = 65_520
"""The least magnitude that rounds to infinity."""

BLOCK_BYTES = 1 << 20
"""Of float32 vectors that are encoded and written at a time."""


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

    def encode(self, vectors: NDArray[np.float32], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Fill the arrays of :meth:`fields`, but for the keys, for rows in the order given.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, full), C-contiguous
            Already projected and normalised.
        arrays : mapping of str to ndarray, C-contiguous
            float32 may be ``vectors`` itself.
        """
        for precision in self.precisions:
            if precision.is_float and arrays[precision.value] is not vectors:
                arrays[precision.value][:] = vectors
        shells = [f"{low}-{high}" for low, high in self.nesting.shells]
        norms = [arrays[f"norms.{dim}"] for dim in self.normed_dims]
        bits = [arrays[f"binary.{shell}"] for shell in shells if Precision.BINARY in self.precisions]
        codes = [arrays[f"int8.{shell}"] for shell in shells if Precision.INT8 in self.precisions]
        scales = [arrays[f"int8.scales.{shell}"] for shell in shells if Precision.INT8 in self.precisions]
        if kernels.encode_rows(
            vectors, self.nesting.dims, norms=norms, bits=bits, codes=codes, scales=scales
        ):
            return
        if norms:
            for norm, found in zip(norms, prefix_norms(vectors, self.nesting), strict=False):
                norm[:] = found
        for i, (low, high) in enumerate(self.nesting.shells):
            if bits:
                bits[i][:] = pack_signs(vectors[:, low:high])
            if codes:
                codes[i][:], scales[i][:] = encode_int8(vectors[:, low:high])


def _check_range(
    layout: Layout, ids: Sequence[DocumentId], vectors: NDArray[np.float32], listed: bool
) -> None:
    """Unit vectors always fit. Others may be too long for lists; and float16 ends at 65,504, beyond which it
    would store infinity."""
    if layout.cosine:
        return
    if listed:
        check_lengths(vectors, ids)
    if Precision.FLOAT16 not in layout.precisions:
        return
    fits = np.abs(vectors).max(axis=1) < FLOAT16_END
    if not fits.all():
        row = int(np.argmin(fits))
        raise VectorError(
            f"document {ids[row]!r} holds a value of magnitude {np.abs(vectors[row]).max():g}; this index "
            f"keeps float16, which ends at {np.finfo(np.float16).max:g}"
        )


def batch_sections(
    layout: Layout,
    ids: Sequence[DocumentId],
    keys: NDArray[np.int64],
    stored: Callable[[slice | NDArray[np.int64]], NDArray[np.float32]],
    *,
    listed: bool = False,
) -> tuple[list[Section], Iterator[Block]]:
    """All sections of a new segment from one batch in memory, rows sorted by id, and their blocks.

    What is wide goes to the file in blocks that stay in the processor's cache; what is narrow is filled
    meanwhile and written at the end, so that there are no writes of a few bytes.

    Parameters
    ----------
    stored : callable
        The vectors of some rows as they are stored: projected, normalised, C-contiguous.
    listed : bool
        The index has lists.

    Raises
    ------
    VectorError
        From the blocks, naming the document whose vector a precision cannot hold, or is too long for lists.
    """
    count, order = len(ids), sorting_order(ids)
    narrow = {
        name: np.empty((count, *shape), dtype) for name, dtype, shape in layout.fields() if not _wide(name)
    }
    narrow["keys"] = keys if order is None else keys[order]
    sections = [
        Section(name, dtype, (count, *shape), None if _wide(name) else lambda name=name: (narrow[name],))  # type: ignore[misc]
        for name, dtype, shape in layout.fields()
    ]
    ids = ids if order is None else [ids[i] for i in order.tolist()]

    def blocks() -> Iterator[Block]:
        step = max(1, BLOCK_BYTES // (4 * layout.nesting.full))
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            vectors = stored(rows if order is None else order[rows])
            _check_range(layout, ids[rows], vectors, listed)
            wide = {
                name: vectors if name == "float32" else np.empty((len(vectors), *shape), dtype)
                for name, dtype, shape in layout.fields()
                if _wide(name)
            }
            layout.encode(vectors, wide | {name: array[rows] for name, array in narrow.items()})
            yield wide

    return [*id_sections(ids), *sections], blocks()


def _wide(name: str) -> bool:
    return name in ("float16", "float32") or (name.startswith("int8.") and "scales" not in name)
