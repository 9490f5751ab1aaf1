"""Codebooks: sixteen codewords for each group of dims."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.kernels.partition import group_widths

__all__ = ["CODEWORDS", "train_codebooks", "weighted_codewords"]

CODEWORDS = 16
ROUNDS = 10

F32 = NDArray[np.float32]


def weighted_codewords(books: F32, weights: F32, ends: NDArray[np.uint64]) -> tuple[F32, F32]:
    """What finds the nearest codeword by a sum: weighted codewords, and half their squared lengths.

    Parameters
    ----------
    books : ndarray of float32, shape (used, 16)
    weights : ndarray of float32, shape (used,)
    ends : ndarray of uint64, shape (groups,)

    Returns
    -------
    weighted : ndarray of float32, shape (used, 16)
    halves : ndarray of float32, shape (groups, 16)
    """
    weighted = np.ascontiguousarray(books * weights[:, None])
    squares = np.cumsum(weighted.astype(np.float64) * books / 2, axis=0)
    halves = np.diff(squares[ends.astype(np.int64) - 1], axis=0, prepend=np.zeros((1, CODEWORDS)))
    return weighted, halves.astype(np.float32)


def train_codebooks(values: F32, weights: F32, ends: NDArray[np.uint64], rng: np.random.Generator) -> F32:
    """k-means in every group at once.

    Parameters
    ----------
    values : ndarray of float32, shape (n, used)
        Residuals, their dims in the order of the groups; at least 16.
    weights : ndarray of float32, shape (used,)
        Of squared errors, relative to others of the group.
    ends : ndarray of uint64, shape (groups,)

    Returns
    -------
    ndarray of float32, shape (used, 16)
    """
    books = np.ascontiguousarray(values[rng.choice(len(values), CODEWORDS, replace=False)].T)
    starts = np.concatenate([[0], ends[:-1].astype(np.int64)])
    group_of = np.repeat(np.arange(len(ends)), group_widths(ends))
    alone = np.flatnonzero(group_widths(ends) == 1)
    # One dim has quantiles to start from.
    shares = (np.arange(CODEWORDS) + 0.5) / CODEWORDS
    books[starts[alone]] = np.quantile(values[:, starts[alone]], shares, axis=0).T
    for _ in range(ROUNDS):
        packed = kernels.nibble_codes(values, ends, *weighted_codewords(books, weights, ends))
        codes = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(values), len(ends))
        for d, group in enumerate(group_of.tolist()):
            sums = np.bincount(codes[:, group], values[:, d], CODEWORDS)
            sizes = np.bincount(codes[:, group], minlength=CODEWORDS)
            books[d] = np.where(sizes > 0, sums / np.maximum(sizes, 1), values[rng.integers(len(values)), d])
    return books
