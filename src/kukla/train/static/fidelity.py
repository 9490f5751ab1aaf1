"""How much of the teacher is left: whether its neighbours are still neighbours, at every dim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_TEXTS", "neighbour_recall"]

LEAST_TEXTS = 40
_NEIGHBOURS = 10


def neighbour_recall(
    student: NDArray[np.float32], teacher: NDArray[np.float32], dims: Sequence[int], k: int = _NEIGHBOURS
) -> dict[int, float]:
    """The share of each text's ``k`` nearest by the teacher that are among its ``k`` nearest by each prefix.

    Parameters
    ----------
    student : float32 array (n, D)
        Of texts that no step has seen; any length, prefixes are compared by cosine.
    teacher : float32 array (n, d)
        Of the same texts, L2-normalised.
    dims : sequence of int
    k : int

    Returns
    -------
    dict of int to float
        By dim, 0..1; chance is k / (n - 1).
    """
    wanted = _nearest(teacher, k)
    found: dict[int, float] = {}
    for dim in dims:
        rows = student[:, :dim]
        lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        near = _nearest(rows / lengths, k)
        found[dim] = float(np.mean([np.isin(a, b).mean() for a, b in zip(near, wanted, strict=True)]))
    return found


def _nearest(rows: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
