"""Blocks: the rows of a list in groups of 32 that are like each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["in_blocks"]

ROUNDS = 3

F32 = NDArray[np.float32]


def in_blocks(rows: F32, size: int) -> NDArray[np.int64]:
    """An order in which every ``size`` rows are like each other.

    Rows are halved, at a multiple of ``size``, and the halves again: a k-means of two clusters of given
    sizes, which begins with the row farthest from the mean and the one farthest from that.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, dim)
    size : int

    Returns
    -------
    ndarray of int64, shape (n,)
        Row numbers, ascending inside a block; only the last block may have fewer than ``size``.
    """
    blocks: list[NDArray[np.int64]] = []
    waiting = [np.arange(len(rows))]
    while waiting:
        part = waiting.pop()
        if len(part) <= size:
            blocks.append(np.sort(part))
            continue
        half = round(len(part) / 2 / size) * size
        half = min(max(half, size), (len(part) - 1) // size * size)
        order = _halves(rows[part], half)
        waiting += [part[order[half:]], part[order[:half]]]
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)


def _halves(rows: F32, half: int) -> NDArray[np.int64]:
    """An order of rows whose first ``half`` are one cluster, the others the other."""
    squares = np.einsum("ij,ij->i", rows, rows)

    def farthest(point: F32) -> F32:
        found: F32 = rows[int(np.argmax(squares - 2 * (rows @ point)))]
        return found

    first = farthest(rows.mean(axis=0))
    direction = farthest(first) - first
    order = np.arange(len(rows))
    for _ in range(ROUNDS):
        # Equal rows stay in their order: einsum gives them equal products wherever they are, BLAS does not.
        before, order = order, np.argsort(np.einsum("ij,j->i", rows, direction), kind="stable")
        if np.array_equal(before, order):
            break
        direction = rows[order[half:]].mean(axis=0) - rows[order[:half]].mean(axis=0)
    return order
