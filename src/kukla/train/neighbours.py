"""Batches without labels: some rows, other rows at random, and the nearest of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.projection.fit_query_aware import query_weight

__all__ = ["ANCHORS", "OTHERS", "NeighbourBatch", "draw_neighbours"]

ANCHORS = 64
OTHERS = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NeighbourBatch:
    """``asked`` (a, dim) and their similarities ``target`` (a, m) to the ``documents`` (m,), row numbers.

    The first ``others`` of the documents were drawn at random; ``near`` (a, k) are the columns of the most
    similar documents of each row, itself left out.
    """

    asked: Floats
    documents: NDArray[np.int64]
    others: int
    near: NDArray[np.int64]
    target: Floats


def draw_neighbours(
    documents: Floats,
    queries: Floats,
    k: int,
    rng: np.random.Generator,
    within: NDArray[np.int64] | None = None,
) -> NeighbourBatch:
    """Anchors are documents, and queries where there are some, in the share that their number deserves.

    Neighbours are the nearest documents of all, or those ``within``: rows of a memory.
    """
    asked_queries = 0
    if len(queries):
        asked_queries = min(round(ANCHORS * query_weight(len(queries), queries.shape[1])), len(queries))
    rows = rng.choice(len(documents), min(ANCHORS - asked_queries, len(documents)), replace=False)
    asked = documents[rows]
    if asked_queries:
        asked = np.concatenate([asked, queries[rng.choice(len(queries), asked_queries, replace=False)]])
    pool = np.arange(len(documents)) if within is None else within
    scores = asked @ (documents if within is None else documents[pool]).T
    scores[: len(rows)][rows[:, None] == pool] = -np.inf
    nearest = pool[np.argpartition(scores, -k, axis=1)[:, -k:]]
    others = rng.choice(len(documents), min(OTHERS, len(documents)), replace=False)
    near, places = np.unique(nearest, return_inverse=True)
    chosen = np.concatenate([others, near])
    target = asked @ documents[chosen].T
    return NeighbourBatch(asked, chosen, len(others), len(others) + places.reshape(nearest.shape), target)
