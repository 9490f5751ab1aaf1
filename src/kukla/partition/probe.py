"""A query's look at a partition, in NumPy: the specification of ``native/lists.hpp``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.partition.codebooks import CODEWORDS, Codebook
from kukla.partition.model import HEAD_DIMS, Partition
from kukla.precision import QUERY_CODE_MAX

__all__ = ["Probe", "Tables"]

STEPS = 254
"""Of the two tables of a pair of groups: two entries, each rounded, add up in a byte."""

LEAST_WIDTH = np.float32(1e-36)
"""Where no pair is wider, only the centroids say what is near."""

MOST = 2.0**124
"""Where residuals may score more, too: twice that, stretched, is still a float32."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What a query makes of the codewords of one codebook.

    Parameters
    ----------
    entries : ndarray of uint8, shape (groups, 16)
        Those of a pair of groups add up to at most 255.
    offset, delta : float
        The dot product of the query with what a code stands for is about ``offset + delta * sum``, where the
        sum is of its entries. Where tables are not usable, entries and delta are zeros.
    """

    entries: NDArray[np.uint8]
    offset: float
    delta: float

    @classmethod
    def of(cls, book: Codebook, query: NDArray[np.float32]) -> Tables:
        """Of a float32 query ``(dim,)``."""
        gathered = query[book.order.astype(np.int64)]
        values = np.zeros((book.groups, CODEWORDS), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            start = 0
            for group, end in enumerate(book.ends.astype(np.int64).tolist()):
                for d in range(start, end):
                    values[group] += gathered[d] * book.books[d]
                start = end
            lows = values.min(axis=1)
            widths = values.max(axis=1) - lows
            widest = (widths[::2] + widths[1::2]).max()
            # One after the other, as the native code adds: np.sum pairs them up.
            offset = float(np.cumsum(lows.astype(np.float64))[-1])
        bounded = abs(offset) <= MOST  # not where it is NaN
        if not (bounded and widest > LEAST_WIDTH and float(widest) * book.groups <= MOST):
            return cls(np.zeros(values.shape, dtype=np.uint8), offset if bounded else 0.0, 0.0)
        steps = np.float32(STEPS) / widest
        entries = ((values - lows[:, None]) * steps + np.float32(0.5)).astype(np.uint8)
        return cls(entries, offset, float(widest) / STEPS)


@dataclass(frozen=True, eq=False)
class Probe:
    """The order in which one query looks into lists, and the tables by which it scores their rows twice.

    Parameters
    ----------
    lists : ndarray of int64, shape (lists,)
        All lists: first the ``probes`` whose heads score best, in the order of their numbers; then all
        others, ordered by their whole centroids.
    scores : ndarray of float64, shape (lists,)
        ``<query, centroid>``, in the order of ``lists``.
    mean, short, long : Tables
        Of the codes of means of blocks, of short and of long codes.
    """

    lists: NDArray[np.int64]
    scores: NDArray[np.float64]
    mean: Tables
    short: Tables
    long: Tables

    @classmethod
    def of(cls, partition: Partition, query: NDArray[np.float32], probes: int) -> Probe:
        """For a float32 query ``(dim,)`` that looks into ``probes`` lists first."""
        lists, scores = _order(partition, query, probes)
        books = partition.mean, partition.short, partition.long
        return cls(lists, scores, *(Tables.of(book, query) for book in books))


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
    chosen[by_head[:probes]] = True
    order = np.lexsort((numbers, np.where(chosen, 0.0, -(scores * routes)), ~chosen))
    return order, scores[order]
