"""recall@k of prefixes under projections, on arrays: what a choice and a training look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kukla.checks import normalise
from kukla.projection.base import Projection
from kukla.projection.held_out import Metric

__all__ = ["as_stored", "prefix_recalls"]

_TOLERANCE = 2e-6  # as in kukla.evaluate.recall: float32 sums of a few thousand products

Floats = NDArray[np.float32]


def prefix_recalls(
    candidates: Mapping[str, Projection],
    documents: Floats,
    queries: Floats,
    dims: Sequence[int],
    k: int,
    metric: Metric,
) -> dict[str, NDArray[np.float64]]:
    """recall@k of each query, float64 ``(dims, queries)``; documents tied with the k-th count as found."""
    exact = queries @ documents.T
    kth = np.partition(exact, -k, axis=1)[:, -k, None]
    good = exact >= kth - _TOLERANCE * np.maximum(1.0, np.abs(kth))
    result = {}
    for kind, projection in candidates.items():
        asked, found = (as_stored(projection, rows, metric) for rows in (queries, documents))
        scores = np.zeros(exact.shape, dtype=np.float32)
        squares = np.zeros(len(documents), dtype=np.float32)
        recalls = []
        for low, high in pairwise((0, *dims)):
            shell = found[:, low:high]
            scores += asked[:, low:high] @ shell.T
            squares += np.einsum("ij,ij->i", shell, shell)
            ranked: Floats = scores
            if metric == "cosine" and projection.renormalises_prefixes:
                ranked = scores / _lengths(squares)
            best = np.argpartition(ranked, -k, axis=1)[:, -k:]
            recalls.append(np.take_along_axis(good, best, axis=1).sum(axis=1) / k)
        result[kind] = np.array(recalls)
    return result


def as_stored(projection: Projection, rows: Floats, metric: Metric) -> Floats:
    """Projected rows as an index of the metric stores and asks them: of length 1 again for cosine."""
    projected = projection.transform(rows)
    return projected if metric != "cosine" or projection.keeps_scores else normalise(projected)


def _lengths(squares: Floats) -> Floats:
    """Lengths of prefixes; one of zeros scores 0 with everything."""
    return np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny)).astype(np.float32)
