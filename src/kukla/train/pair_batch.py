"""Batches of queries with their relevant documents, and other documents beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairBatch", "draw_pairs"]


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Rows of queries ``(n,)`` and of documents ``(m,)``; ``positives`` (n,) are columns of the documents.

    ``also_relevant`` (n, m), bool, says which documents answer a row's query as well, other than its
    positive: they are no negatives.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    positives: NDArray[np.int64]
    also_relevant: NDArray[np.bool_]


def draw_pairs(
    pairs: NDArray[np.int64],
    others: NDArray[np.int64],
    *,
    queries: int,
    documents: int,
    rng: np.random.Generator,
) -> PairBatch:
    """At most ``queries`` of the pairs, their documents and as many of ``others`` as there is room for."""
    rows = rng.choice(len(pairs), min(queries, len(pairs)), replace=False)
    asked, answers = pairs[rows].T
    own = np.unique(answers)
    columns = np.concatenate([own, np.setdiff1d(others, answers)])[:documents]
    positives = np.searchsorted(own, answers)
    relevant = np.zeros((len(asked), len(columns)), dtype=bool)
    for row, query in enumerate(asked):
        relevant[row] = np.isin(columns, pairs[pairs[:, 0] == query, 1])
    relevant[np.arange(len(asked)), positives] = False
    return PairBatch(asked, columns, positives, relevant)
