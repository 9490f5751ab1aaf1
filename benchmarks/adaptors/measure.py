"""nDCG@10 against judgements and recall@10 against the model's own whole vectors, by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.adaptors.candidates import AWARE, SYSTEMS, K, Labelled, candidates
from benchmarks.systems.candidates import rank_prefixes
from benchmarks.systems.measure import judge_rankings
from benchmarks.systems.tasks import Task
from kukla.projection import Projection
from kukla.projection.measure import prefix_recalls

__all__ = ["Values", "compare", "ndcg"]

_SEED = 0


@dataclass(frozen=True)
class Values:
    """One collection: float64 ``(dims, queries)`` by system, ``dims`` descending; ``about`` of the fits."""

    model: str
    name: str
    documents: int
    dims: tuple[int, ...]
    ndcg: dict[str, np.ndarray]
    recall: dict[str, np.ndarray]
    about: dict[str, dict[str, object]]


def compare(
    task: Task,
    dims: Sequence[int],
    *,
    elsewhere: Labelled | None = None,
    systems: Sequence[str] = SYSTEMS,
    steps: int = 300,
    hidden: int | None = None,
) -> Values:
    """Fit every system and measure it on all queries; the query-aware rotation is cross-fitted on halves."""
    width = task.documents.shape[1]
    descending = tuple(sorted({*dims, width}, reverse=True))
    trained = [dim for dim in dims if dim < width]
    rest = [name for name in systems if name != AWARE]
    fitted = candidates(
        task.documents, None, trained, elsewhere=elsewhere, systems=rest, steps=steps, hidden=hidden
    )
    found = {name: _values(task, one, descending, slice(None)) for name, one in fitted.items()}
    if AWARE in systems:
        folds = np.random.default_rng(_SEED).permutation(len(task.queries)) % 2
        both = [np.empty((len(descending), len(task.queries))) for _ in range(2)]
        for fold in (0, 1):
            known = task.queries[folds != fold]
            aware = candidates(task.documents, known, trained, systems=[AWARE])
            for whole, part in zip(
                both, _values(task, aware[AWARE], descending, np.flatnonzero(folds == fold)), strict=True
            ):
                whole[:, folds == fold] = part
        found[AWARE] = (both[0], both[1])
    return Values(
        task.model,
        task.name,
        len(task.documents),
        descending,
        {name: found[name][0] for name in SYSTEMS if name in found},
        {name: found[name][1] for name in SYSTEMS if name in found},
        {name: getattr(one, "about", {}) for name, one in fitted.items()},
    )


def _values(
    task: Task, projection: Projection, dims: tuple[int, ...], rows: slice | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    queries = task.queries[rows]
    judged = np.arange(len(task.queries))[rows]
    quality = ndcg(task.documents, queries, [task.judged[i] for i in judged], projection, dims)
    recalls = prefix_recalls({"": projection}, task.documents, queries, dims[::-1], K, "cosine")[""]
    return quality, recalls[::-1]


def ndcg(
    documents: np.ndarray,
    queries: np.ndarray,
    judged: Sequence[Mapping[int, int]],
    projection: Projection,
    dims: Sequence[int],
) -> np.ndarray:
    """nDCG@10 of each query by the prefix of each dim, as a cosine index with the projection ranks."""
    return judge_rankings(judged, rank_prefixes(projection, documents, queries, dims))
