"""The systems: every one ranks the queries of a task at each dim, without having seen those queries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.systems.tasks import Task
from kukla import Index
from kukla.errors import InputError
from kukla.projection import Identity, Projection, Rotation, fit_pca, fit_query_aware, random_rotation
from kukla.projection.measure import prefix_recalls
from kukla.train import fit_linear_head, halving_dims

__all__ = ["SYSTEMS", "K", "Ranking", "rank"]

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
    folds = np.random.default_rng(SEED).permutation(len(task.queries)) % 2
    found = {dim: np.empty((len(task.queries), K), dtype=np.int64) for dim in dims}
    for fold in (0, 1):
        projection = _fit(system, task, np.flatnonzero(folds != fold), dims, steps)
        asked = projection.transform(task.queries[folds == fold])
        documents = projection.transform(task.documents)
        for dim in dims:
            scores = asked[:, :dim] @ documents[:, :dim].T
            if projection.renormalises_prefixes:
                scores /= np.maximum(np.linalg.norm(documents[:, :dim], axis=1), 1e-30)
            found[dim][folds == fold] = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    # A rotation does not change the ranking by whole vectors.
    kept = dims if system in ("MRL prefix", LINEAR) else dims[:-1]
    return [Ranking(dim, "float32", 4 * dim, found[dim]) for dim in sorted(kept, reverse=True)]


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
    place = {int(query): row for row, query in enumerate(known)}
    pairs = [(place[query], document) for query in place for document in task.judged[query]]
    return fit_linear_head(
        task.documents,
        queries,
        pairs=np.array(pairs),
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
