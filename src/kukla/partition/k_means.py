"""k-means on float32 rows, for thousands of centroids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kukla.progress import Progress

__all__ = ["Nearest", "k_means", "means", "nearest"]

SCORES = 1 << 24
"""So many scores are held at a time: 64 MB."""

FEW = 512
"""Up to so many centroids are all compared with a row."""

ROUNDS = 6
LAST_ROUNDS = 4
ROWS_PER_PARENT = 256
LOOKS = 8
"""A row is compared with the centroids below so many parents; nearly all find the nearest so."""

STEP_ROWS = 1 << 15

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


class Nearest:
    """Finds the nearest of many centroids, nearly always: below the few parents that are nearest to a row.

    Parameters
    ----------
    centroids : ndarray of float32, shape (count, dim)
    """

    def __init__(self, centroids: F32) -> None:
        self._centroids = centroids
        self._halves = np.einsum("ij,ij->i", centroids, centroids) / 2
        self._parents: F32 | None = None
        if len(centroids) <= FEW:
            return
        count = round(float(np.sqrt(len(centroids))))
        self._parents = _lloyd(centroids, count, np.random.default_rng(0), ROUNDS)
        above = nearest(centroids, self._parents)
        order = np.argsort(above, kind="stable")
        self._below = np.split(order, np.cumsum(np.bincount(above, minlength=count))[:-1])

    def of(self, rows: F32) -> NDArray[np.int64]:
        """The centroid of each row ``(n, dim)``."""
        if self._parents is None:
            return nearest(rows, self._centroids)
        found = np.empty(len(rows), dtype=np.int64)
        for start in range(0, len(rows), STEP_ROWS):
            part = slice(start, start + STEP_ROWS)
            found[part] = self._below_parents(rows[part], self._parents)
        return found

    def _below_parents(self, rows: F32, parents: F32) -> NDArray[np.int64]:
        scores = rows @ parents.T
        scores -= np.einsum("ij,ij->i", parents, parents) / 2
        looks = min(LOOKS, len(parents))
        near = np.argpartition(-scores, looks - 1, axis=1)[:, :looks]
        which = np.argsort(near, axis=None, kind="stable")
        bounds = np.searchsorted(near.ravel()[which], np.arange(len(parents) + 1))
        best = np.full(len(rows), -np.inf, dtype=np.float32)
        found = np.zeros(len(rows), dtype=np.int64)
        for parent, below in enumerate(self._below):
            some = which[bounds[parent] : bounds[parent + 1]] // looks
            if not len(some) or not len(below):
                continue
            scores = rows[some] @ self._centroids[below].T
            scores -= self._halves[below]
            first = scores.argmax(axis=1)
            most = scores[np.arange(len(some)), first]
            better = most > best[some]
            found[some[better]] = below[first[better]]
            best[some[better]] = most[better]
        return found


def k_means(rows: F32, count: int, rng: np.random.Generator, *, progress: Progress | None = None) -> F32:
    """Centroids ``(count, dim)`` of rows ``(n, dim)``, from rows drawn by ``rng``.

    Many centroids are found in two steps: k-means into about the root of ``count`` parts, k-means inside
    each, and then rounds over all.
    """
    if len(rows) < count:
        raise ValueError(f"{len(rows)} rows cannot be cut into {count} lists")
    if count <= FEW:
        return _lloyd(rows, count, rng, ROUNDS)
    total = 1 + LAST_ROUNDS
    parents = round(float(np.sqrt(count)))
    some = rng.choice(len(rows), min(len(rows), ROWS_PER_PARENT * parents), replace=False)
    above = nearest(rows, _lloyd(rows[np.sort(some)], parents, rng, ROUNDS))
    sizes = np.bincount(above, minlength=parents)
    parts = [
        _lloyd(rows[above == parent], share, rng, ROUNDS)
        for parent, share in enumerate(_shares(sizes, count))
        if share
    ]
    centroids = np.concatenate(parts)
    if progress is not None:
        progress(1, total)
    for done in range(LAST_ROUNDS):
        centroids = means(rows, Nearest(centroids).of(rows), count, rng)
        if progress is not None:
            progress(done + 2, total)
    return centroids


def _shares(sizes: NDArray[np.int64], count: int) -> list[int]:
    """``count`` in parts proportional to sizes, none larger than its size."""
    exact = sizes * (count / sizes.sum())
    shares = np.minimum(np.floor(exact).astype(np.int64), sizes)
    while shares.sum() < count:
        shares[np.argmax(np.where(shares < sizes, exact - shares, -np.inf))] += 1
    return [int(share) for share in shares]


def _lloyd(rows: F32, count: int, rng: np.random.Generator, rounds: int) -> F32:
    centroids = rows[rng.choice(len(rows), count, replace=False)].copy()
    for _ in range(rounds):
        centroids = means(rows, nearest(rows, centroids), count, rng)
    return centroids


def means(rows: F32, lists: NDArray[np.int64], count: int, rng: np.random.Generator) -> F32:
    """The means of ``count`` lists of rows; for a list without rows, a row of the longest."""
    order = np.argsort(lists, kind="stable")
    sizes = np.bincount(lists, minlength=count)
    starts = np.cumsum(sizes) - sizes
    found = np.empty((count, rows.shape[1]), dtype=np.float32)
    for list_ in np.flatnonzero(sizes).tolist():
        found[list_] = rows[order[starts[list_] : starts[list_] + sizes[list_]]].mean(axis=0)
    for list_ in np.flatnonzero(sizes == 0).tolist():
        longest = int(sizes.argmax())
        found[list_] = rows[order[starts[longest] + rng.integers(sizes[longest])]]
    return found
