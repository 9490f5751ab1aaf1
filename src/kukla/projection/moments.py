"""Second moments of vectors, read once, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kukla.checks import BLOCK_ROWS, as_float32, check_vectors, normalise
from kukla.errors import InputError
from kukla.progress import Progress
from kukla.readers import VectorFile

__all__ = ["Moments", "Vectors", "directions"]

Vectors = NDArray[np.floating[Any]] | VectorFile | Iterable[NDArray[np.floating[Any]]]
"""An array ``(n, dim)``, a file, or an iterable of such arrays (read once)."""

_BLOCK = BLOCK_ROWS // 4
_TIE = 1e-9


class Moments:
    """The mean of ``x x^T``: float64 ``(dim, dim)``, in O(dim^2) memory.

    **Not centred.** An index scores by dot products, and the rotation whose prefixes keep most of them is the
    one of the uncentred moments: it minimises the mean squared error of partial dot products between
    documents. Where documents were the queries it also ranked better than centred directions, and about the
    same for questions (``docs/projections.md``).

    Parameters
    ----------
    vectors : array, VectorFile or iterable of arrays
    metric : {"cosine", "ip"}
        ``cosine`` takes unit vectors, as the index does.
    progress : callable, optional
        ``progress(rows done, total or None)``.

    Raises
    ------
    VectorError
        Not floats, NaN, an all-zero row (cosine), dims that differ.
    InputError
        No vectors at all.
    """

    def __init__(
        self,
        vectors: Vectors,
        *,
        metric: Literal["cosine", "ip"] = "cosine",
        progress: Progress | None = None,
        what: str = "vectors",
    ) -> None:
        self.count = 0
        prepare = normalise if metric == "cosine" else as_float32
        total = None
        batches: Iterable[NDArray[np.floating[Any]]]
        if isinstance(vectors, VectorFile):
            total, batches = vectors.shape[0], vectors.batches(BLOCK_ROWS)
        elif isinstance(vectors, np.ndarray):
            total, batches = len(np.atleast_2d(vectors)), [vectors]
        else:
            batches = vectors
        sums: NDArray[np.float64] | None = None
        for batch in batches:
            dim = None if sums is None else len(sums)
            checked = np.atleast_2d(check_vectors(batch, dim=dim, what=what, first_row=self.count))
            if sums is None:
                sums = np.zeros((checked.shape[1], checked.shape[1]))
            for start in range(0, len(checked), _BLOCK):
                rows = prepare(checked[start : start + _BLOCK], first_row=self.count).astype(np.float64)
                sums += rows.T @ rows
                self.count += len(rows)
                if progress is not None:
                    progress(self.count, total)
        if sums is None or not self.count:
            raise InputError(f"fitting needs at least 1 row of {what}, got none")
        self.matrix: NDArray[np.float64] = sums / self.count

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return len(self.matrix)

    @property
    def relative(self) -> NDArray[np.float64]:
        """The moments with trace 1, float64 ``(dim, dim)``.

        Raises
        ------
        InputError
            All vectors are zero.
        """
        trace = float(np.trace(self.matrix))
        if not 0 < trace < np.inf:
            raise InputError(f"vectors with a mean squared length of {trace:g} have no directions to fit")
        return self.matrix / trace


def directions(moments: NDArray[np.float64]) -> NDArray[np.float32]:
    """Eigenvectors as columns, by descending eigenvalue: float32 ``(dim, dim)``, orthonormal.

    Directions that the moments say nothing about (fewer rows than dims) would come out of the solver in any
    order. A tie-break far below any signal puts those nearer to the first coordinates first, so a model
    with nested dims keeps its own order there. Signs are fixed: the largest entry of each column is positive.
    """
    dim = len(moments)
    slope = np.linspace(1.0, 0.0, dim) * (_TIE * float(np.trace(moments)) / dim)
    _, vectors = np.linalg.eigh(moments + np.diag(slope))
    ordered = vectors[:, ::-1]
    largest = ordered[np.abs(ordered).argmax(axis=0), np.arange(dim)]
    return np.ascontiguousarray(ordered * np.where(largest < 0, -1.0, 1.0), dtype=np.float32)
