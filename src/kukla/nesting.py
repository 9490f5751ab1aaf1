"""Nesting: prefixes of vectors, always renormalised.

A Matryoshka embedding (Kusupati et al., *Matryoshka Representation Learning*, arXiv 2205.13147)
is trained so that its first ``dim`` coordinates are an embedding too. A prefix of a unit vector is
shorter than 1, by a different amount for each vector, so cosine similarities of bare prefixes are
wrong: whatever leaves this module has been L2-renormalised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import BLOCK_ROWS, check_dim, check_vectors, squares_of_rows, unit_rows
from kukla.errors import InputError

__all__ = ["Nesting", "prefix_norms", "truncate"]

SMALLEST_DEFAULT_DIM = 32


@dataclass(frozen=True, slots=True)
class Nesting:
    """The ascending prefix lengths that an index can serve; the last is the full dim.

    Parameters
    ----------
    dims : iterable of int
        For instance ``(64, 128, 256, 512, 1536)``.

    Raises
    ------
    InputError
        When a dim is not a positive integer, or the dims do not ascend.
    """

    dims: tuple[int, ...]

    def __init__(self, dims: Iterable[int]) -> None:
        received: object = dims
        if isinstance(received, str) or not isinstance(received, Iterable):
            raise InputError(f"a nesting is a list of dims such as (64, 128, 256), got {dims!r}")
        given = tuple(check_dim(dim, what="a dim of the nesting") for dim in dims)
        if not given:
            raise InputError("a nesting needs at least one dim, got none")
        if any(a >= b for a, b in pairwise(given)):
            raise InputError(f"the dims of a nesting must ascend without repeats, got {given}")
        object.__setattr__(self, "dims", given)

    @classmethod
    def default(cls, full: int, trained_dims: Iterable[int] = ()) -> Nesting:
        """The trained dims of the model where they are known, else powers of two from 32 up to ``full``."""
        full = check_dim(full, what="the full dim")
        known = {check_dim(dim, what="a trained dim") for dim in trained_dims}
        trained = sorted(dim for dim in known if dim < full)
        if not trained:
            powers = (2**i for i in range(5, full.bit_length()))
            trained = [dim for dim in powers if SMALLEST_DEFAULT_DIM <= dim < full]
        return cls((*trained, full))

    @property
    def full(self) -> int:
        """The length of a whole vector."""
        return self.dims[-1]

    @property
    def shells(self) -> tuple[tuple[int, int], ...]:
        """The half-open coordinate ranges between consecutive dims: ``((0, 64), (64, 128), ...)``."""
        return tuple(pairwise((0, *self.dims)))

    def shells_of(self, dim: int) -> tuple[tuple[int, int], ...]:
        """The shells whose union is the ``dim``-prefix.

        Raises
        ------
        InputError
            When ``dim`` is not one of the dims of this nesting.
        """
        self.check(dim)
        return self.shells[: self.dims.index(dim) + 1]

    def check(self, dim: int) -> None:
        """Raise ``InputError`` unless ``dim`` is one of the dims of this nesting."""
        if dim not in self.dims:
            raise InputError(f"dim {dim} is not in the nesting; allowed: {', '.join(map(str, self.dims))}")

    def __iter__(self) -> Iterator[int]:
        return iter(self.dims)

    def __len__(self) -> int:
        return len(self.dims)

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.dims)) + ")"


def truncate(vectors: ArrayLike, dim: int) -> NDArray[np.floating[Any]]:
    """Cut vectors to their first ``dim`` coordinates and renormalise them to length 1.

    Parameters
    ----------
    vectors : array of float, shape (width,) or (n, width)
        Any float dtype; need not be normalised. Not changed.
    dim : int
        ``1 <= dim <= width``.

    Returns
    -------
    ndarray, shape (dim,) or (n, dim)
        A new array of the same dtype, each row of length 1 to the dtype's rounding. Norms are summed in
        float64, so float16 input does not overflow.

    Raises
    ------
    VectorError
        When a row holds NaN or infinity, its first ``dim`` coordinates are all zero (there is no
        direction to renormalise), or ``dim`` is 0, above the width, or not an integer. The message names
        the row.

    Examples
    --------
    >>> truncate([3.0, 4.0, 12.0], 2)
    array([0.6, 0.8])
    """
    array = check_vectors(vectors)
    dim = check_dim(dim, what="dim", most=array.shape[-1])
    rows = np.atleast_2d(array)
    result = np.empty((len(rows), dim), dtype=array.dtype)
    for start in range(0, len(rows), BLOCK_ROWS):
        prefix = rows[start : start + BLOCK_ROWS, :dim]
        result[start : start + BLOCK_ROWS] = unit_rows(prefix, first_row=start, what=f"the {dim}-prefix")
    return result[0] if array.ndim == 1 else result


def prefix_norms(vectors: NDArray[np.float32], nesting: Nesting) -> NDArray[np.float32]:
    """The length of each prefix of each vector.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, nesting.full)

    Returns
    -------
    ndarray of float32, shape (len(nesting), n)
        Row ``i`` belongs to ``nesting.dims[i]``. Squares are summed in float64, shell by shell, those of a
        shell in the order of ``native/encode.hpp``.
    """
    norms = np.empty((len(nesting), len(vectors)), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS].astype(np.float64)
        squares = np.zeros(len(block))
        for i, (low, high) in enumerate(nesting.shells):
            squares += squares_of_rows(block[:, low:high])
            norms[i, start : start + BLOCK_ROWS] = np.sqrt(squares)
    return norms
