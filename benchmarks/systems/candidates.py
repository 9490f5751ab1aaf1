"""The systems: every one ranks the queries of a task at each dim, without having seen those queries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.systems.tasks import Task
from kukla import Index
from kukla.errors import InputError
from kukla.projection import Identity, Projection, Rotation, fit_pca, fit_query_aware, random_rotation
from kukla.projection.measure import as_stored, prefix_recalls
from kukla.train import fit_linear_head, halving_dims

__all__ = ["SYSTEMS", "K", "Ranking", "judged_pairs", "rank", "rank_fitted", "rank_prefixes"]

K = 10
SEED = 0
LINEAR = "any matrix, pairs"
SYSTEMS = (
    "MRL prefix",
    "PCA rotation",
    "query-aware rotation",
    "learned rotation",
    "learned rotation, pairs",
    LINEAR,
    "random rotation",
    "quantised only",
)

Fit = Callable[[Task, np.ndarray], Projection]


@dataclass(frozen=True)
class Ranking:
    """The first `K` documents of each query at one size; ``precision`` is float32 unless quantised only."""

    dim: int
    precision: str
    bytes_per_vector: float
    found: np.ndarray


def rank(task: Task, system: str, steps: int, dims: tuple[int, ...] | None = None) -> list[Ranking]:
    """Rankings from the largest to the smallest; ``InputError`` where a system cannot be fitted.

    What learns from queries is fitted on one half of them and ranks the other, both ways. ``dims`` ascend to
    the width; by default each is half of the next.
    """
    width = task.documents.shape[1]
    if system == "quantised only":
        return _quantised(task)
    dims = dims or halving_dims(width)
    rankings = rank_fitted(task, lambda known: _fit(system, task, known, dims, steps), dims)
    # A rotation does not change the ranking by whole vectors.
    return rankings if system in ("MRL prefix", LINEAR) else rankings[1:]


def rank_fitted(task: Task, fit: Callable[[np.ndarray], Projection], dims: tuple[int, ...]) -> list[Ranking]:
    """Rankings at every dim, descending; ``fit`` gets the numbers of queries that it may see.

    They are one half of the queries, and the other half is ranked; then the other way round.
    """
    folds = np.random.default_rng(SEED).permutation(len(task.queries)) % 2
    descending = sorted(dims, reverse=True)
    found = np.empty((len(dims), len(task.queries), K), dtype=np.int64)
    for fold in (0, 1):
        projection = fit(np.flatnonzero(folds != fold))
        asked = task.queries[folds == fold]
        for row, best in enumerate(rank_prefixes(projection, task.documents, asked, descending)):
            found[row, folds == fold] = best
    return [Ranking(dim, "float32", 4 * dim, best) for dim, best in zip(descending, found, strict=True)]


def rank_prefixes(
    projection: Projection, documents: np.ndarray, queries: np.ndarray, dims: Iterable[int]
) -> Iterator[np.ndarray]:
    """The first `K` documents by the prefix of each dim, as a cosine index with the projection ranks them."""
    asked, stored = (as_stored(projection, rows, "cosine") for rows in (queries, documents))
    for dim in dims:
        scores = asked[:, :dim] @ stored[:, :dim].T
        if projection.renormalises_prefixes:
            scores /= np.maximum(np.linalg.norm(stored[:, :dim], axis=1), 1e-30)
        yield np.argsort(-scores, axis=1, kind="stable")[:, :K]


def judged_pairs(task: Task, known: np.ndarray) -> np.ndarray:
    """Rows of ``known`` and the documents that are relevant to each: int64 ``(pairs, 2)``."""
    return np.array([(row, document) for row, query in enumerate(known) for document in task.judged[query]])


def _fit(system: str, task: Task, known: np.ndarray, dims: tuple[int, ...], steps: int) -> Projection:
    width, queries = task.documents.shape[1], task.queries[known]
    if system == "MRL prefix":
        return Identity(width)
    if system == "random rotation":
        return random_rotation(width, seed=SEED)
    if system == "PCA rotation":
        return _better_ranked(fit_pca(task.documents), task.documents, queries, dims)
    if system == "query-aware rotation":
        return _better_ranked(fit_query_aware(task.documents, queries), task.documents, queries, dims)
    if system == "learned rotation":
        return fit_linear_head(task.documents, queries, dims=dims, steps=steps, seed=SEED)
    return fit_linear_head(
        task.documents,
        queries,
        pairs=judged_pairs(task, known),
        dims=dims,
        orthonormal=system != LINEAR,
        steps=steps,
        seed=SEED,
    )


def _better_ranked(
    rotation: Rotation, documents: np.ndarray, queries: np.ndarray, dims: tuple[int, ...]
) -> Projection:
    """Prefixes renormalised or not, whichever finds more for the queries that are not evaluated."""
    both = {
        str(way): Rotation(rotation.matrix, renormalises_prefixes=way, about=rotation.about)
        for way in (True, False)
    }
    recalls = prefix_recalls(both, documents, queries, dims[:-1], K, "cosine")
    return both[max(both, key=lambda way: recalls[way].mean())]


def _quantised(task: Task) -> list[Ranking]:
    """All dims in fewer bits, by the index as it ships; bytes without the scale of each row."""
    width = task.documents.shape[1]
    if len(task.documents) < K:
        raise InputError(f"{len(task.documents)} documents")
    rankings = []
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "i", dim=width) as index:
        index.add(task.documents)
        for precision, size in (("int8", width), ("binary", width / 8)):
            ids = index.search(task.queries, K, plan=f"{width}:{precision}").ids
            rankings.append(Ranking(width, precision, size, ids.astype(np.int64)))
    return rankings
