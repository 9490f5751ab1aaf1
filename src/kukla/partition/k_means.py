"""Lloyd's k-means on float32 rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kukla.progress import Progress

__all__ = ["k_means", "means", "nearest"]

SCORES = 1 << 24
"""So many scores are held at a time: 64 MB."""

F32 = NDArray[np.float32]


def nearest(rows: F32, centroids: F32) -> NDArray[np.int64]:
    """The nearest centroid of each row, by Euclidean distance; of equals the first."""
    halves = np.einsum("ij,ij->i", centroids, centroids) / 2
    found = np.empty(len(rows), dtype=np.int64)
    step = max(1, SCORES // len(centroids))
    for start in range(0, len(rows), step):
        scores = rows[start : start + step] @ centroids.T
        scores -= halves
        found[start : start + step] = scores.argmax(axis=1)
    return found


def k_means(
    rows: F32,
    count: int,
    rng: np.random.Generator,
    *,
    rounds: int = 6,
    progress: Progress | None = None,
) -> F32:
    """Centroids ``(count, dim)`` of rows ``(n, dim)``, from rows drawn by ``rng``.

    A centroid without rows takes the place of a row of the most populous list.
    """
    if len(rows) < count:
        raise ValueError(f"{len(rows)} rows cannot be cut into {count} lists")
    centroids = rows[rng.choice(len(rows), count, replace=False)].copy()
    for done in range(rounds):
        centroids = means(rows, nearest(rows, centroids), count, rng)
        if progress is not None:
            progress(done + 1, rounds)
    return centroids


def means(rows: F32, lists: NDArray[np.int64], count: int, rng: np.random.Generator) -> F32:
    """The means of ``count`` lists of rows; of a list without rows, a row of the longest."""
    order = np.argsort(lists, kind="stable")
    sizes = np.bincount(lists, minlength=count)
    full = np.flatnonzero(sizes)
    starts = np.cumsum(sizes) - sizes
    means = np.empty((count, rows.shape[1]), dtype=np.float32)
    for list_ in full.tolist():
        means[list_] = rows[order[starts[list_] : starts[list_] + sizes[list_]]].mean(axis=0)
    for list_ in np.flatnonzero(sizes == 0).tolist():
        largest = int(sizes.argmax())
        means[list_] = rows[order[starts[largest] + rng.integers(sizes[largest])]]
    return means
