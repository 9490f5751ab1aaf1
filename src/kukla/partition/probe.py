"""A query's look at a partition, in NumPy: the specification of ``native/lists.hpp``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.partition.codebooks import CODEWORDS
from kukla.partition.model import HEAD_DIMS, MORE, Partition
from kukla.precision import QUERY_CODE_MAX

__all__ = ["Probe"]

STEPS = 127
"""Two table entries add up in a byte."""

LEAST_WIDTH = np.float32(1e-36)
"""Where no table is wider (or one is beyond float32), only the centroids say what is near."""


@dataclass(frozen=True, eq=False)
class Probe:
    """The order in which one query looks into lists, and the tables by which it scores their rows.

    Parameters
    ----------
    lists : ndarray of int64, shape (lists,)
        All lists, the most promising first. The first ``probes + probes // 2 + 16`` are those whose heads
        score best, ordered by their whole centroids; then come all others.
    scores : ndarray of float64, shape (lists,)
        ``<query, centroid>``, in the order of ``lists``.
    tables : ndarray of uint8, shape (groups, 16)
    offset, delta : float
        A row is estimated at ``float32(score of its list + stretch * (offset + delta * sum))``, where the
        sum is of its table entries.
    """

    lists: NDArray[np.int64]
    scores: NDArray[np.float64]
    tables: NDArray[np.uint8]
    offset: float
    delta: float

    @classmethod
    def of(cls, partition: Partition, query: NDArray[np.float32], probes: int) -> Probe:
        """For a float32 query ``(dim,)`` that looks into ``probes`` lists first."""
        lists, scores = _order(partition, query, probes)
        return cls(lists, scores, *_tables(partition, query))


def _order(
    partition: Partition, query: NDArray[np.float32], probes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    step = float(np.abs(query).max()) / QUERY_CODE_MAX
    coded = np.zeros(len(query), dtype=np.int64)
    if step > 0:
        coded = np.clip(np.rint(query.astype(np.float64) / step), -QUERY_CODE_MAX, QUERY_CODE_MAX).astype(
            np.int64
        )
    worth = step * partition.scales.astype(np.float64)
    routes = partition.routes.astype(np.float64)
    head = partition.heads.astype(np.int64) @ coded[:HEAD_DIMS]
    scores = (head + partition.tails.astype(np.int64) @ coded[HEAD_DIMS:]) * worth
    numbers = np.arange(partition.lists)
    heads = head * (step * partition.worths.astype(np.float64))
    with np.errstate(over="ignore"):
        by_head = np.lexsort((numbers, -heads.astype(np.float32)))
    chosen = np.zeros(partition.lists, dtype=np.bool_)
    chosen[by_head[: probes + probes // 2 + MORE]] = True
    order = np.lexsort((numbers, -(scores * routes), ~chosen))
    return order, scores[order]


def _tables(partition: Partition, query: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    gathered = query[partition.order.astype(np.int64)]
    values = np.zeros((partition.groups, CODEWORDS), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        start = 0
        for group, end in enumerate(partition.ends.astype(np.int64).tolist()):
            for d in range(start, end):
                values[group] += gathered[d] * partition.books[d]
            start = end
        lows = values.min(axis=1)
        widest = (values.max(axis=1) - lows).max()
        # One after the other, as the native code adds: np.sum pairs them up.
        offset = float(np.cumsum(lows.astype(np.float64))[-1])
    if not (LEAST_WIDTH < widest <= np.finfo(np.float32).max and np.isfinite(offset)):
        return np.zeros(values.shape, dtype=np.uint8), offset if np.isfinite(offset) else 0.0, 0.0
    steps = np.float32(STEPS) / widest
    tables = ((values - lows[:, None]) * steps + np.float32(0.5)).astype(np.uint8)
    return tables, offset, float(widest) / STEPS
