"""Which dims share four bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["choose_groups"]

DISTORTION = {1: 0.0115, 2: 0.11, 4: 0.32, 8: 0.55, 16: 0.74, 32: 0.86}
"""What is left of the variance of so many normal variables that share sixteen codewords: for one, Max
(1960); for more, k-means on drawn ones."""


def choose_groups(costs: NDArray[np.float64], groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of dims, and where groups end in it, so that the error that codes leave is least.

    Dims are sorted by what they cost; a group is a run of 1, 2, 4, 8, 16 or 32 of them, found by dynamic
    programming over groups and dims. Dims that cost least may be in no group.

    Parameters
    ----------
    costs : ndarray of float64, shape (dim,)
        Of leaving each dim out.
    groups : int
        Fewer are made where there are fewer dims: rounded down to a multiple of four, but at least four.

    Returns
    -------
    order : ndarray of int64, shape (used,)
    ends : ndarray of int64, shape (groups,)
    """
    dim = len(costs)
    groups = max(4, min(groups, dim) // 4 * 4)
    order = np.argsort(-costs, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(costs[order])])
    # least[i]: the cost of the first i dims in so many groups; size[m, i]: of the last group of the best way.
    least = np.full(dim + 1, np.inf)
    least[0] = 0.0
    size = np.zeros((groups + 1, dim + 1), dtype=np.int64)
    for m in range(1, groups + 1):
        following = np.full(dim + 1, np.inf)
        for width, left in DISTORTION.items():
            if width > dim:
                continue
            cost = np.full(dim + 1, np.inf)
            cost[width:] = least[:-width] + left * (before[width:] - before[:-width])
            better = cost < following
            following[better] = cost[better]
            size[m, better] = width
        least = following
    end = int(np.argmin(least + (before[-1] - before)))
    ends = []
    for m in range(groups, 0, -1):
        ends.append(end)
        end -= int(size[m, end])
    return order[: ends[0]], np.array(ends[::-1], dtype=np.int64)
