"""nDCG@10 of every query at every dim: prefixes of each model, projections and adaptors of the untouched."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.minilm.adapted import ADAPTORS, STEPS, fit_on_collection
from benchmarks.minilm.encode import Encoder
from benchmarks.systems.candidates import Ranking, rank, rank_fitted
from benchmarks.systems.measure import judge_rankings
from benchmarks.systems.tasks import Task, Texts
from kukla.errors import InputError
from kukla.projection import Projection

__all__ = ["ON_THE_COLLECTION", "Quality", "measure_collection"]

# Fitted on the documents searched, and on queries where they need some (half of them, cross-fitted).
ON_THE_COLLECTION = (
    "PCA rotation",
    "query-aware rotation",
    "learned rotation",
    "learned rotation, pairs",
)
_LEARNING_STEPS = 100

Quality = dict[str, np.ndarray]
"""By system, float64 ``(dims, queries)``."""


def measure_collection(
    texts: Texts,
    encoders: Sequence[Encoder],
    transferred: dict[str, Projection],
    dims: tuple[int, ...],
    cache: Path,
    say: Callable[[str], None],
) -> Quality:
    """Every system on one collection; one that cannot be fitted there is missing, and said.

    Parameters
    ----------
    texts : Texts
    encoders : sequence of Encoder
        The untouched model first; the others are trained.
    transferred : dict
        Projections of the untouched model's space that were fitted elsewhere.
    dims : tuple of int
        Descending, the first is the width.
    """
    tasks = [encoder.task(texts) for encoder in encoders]
    untouched = tasks[0]
    found: Quality = {}
    ascending = tuple(sorted(dims))

    def add(name: str, task: Task, ranked: Callable[[], list[Ranking]], decides: str = "") -> None:
        key = zlib.crc32(task.documents.tobytes() + task.queries.tobytes() + repr((dims, decides)).encode())
        path = cache / "values" / f"{texts.name}-{name.replace(' ', '_')}-{key:08x}.npy"
        if not path.exists():
            try:
                rankings = ranked()
            except InputError as error:
                say(f"{texts.name}: {name}: left out: {error}")
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp.npy")
            values = judge_rankings(task.judged, [ranking.found for ranking in rankings])
            if len(values) < len(dims):  # of a rotation: its whole vectors rank as they did before
                values = np.vstack([found[task.model][:1], values])
            np.save(temporary, values)
            temporary.replace(path)
            say(f"{texts.name}: {name}: measured")
        found[name] = np.load(path)

    for encoder, task in zip(encoders, tasks, strict=True):
        add(encoder.name, task, partial(rank, task, "MRL prefix", 0, ascending))
        if task is not untouched:
            add(f"{encoder.name} + PCA rotation", task, partial(rank, task, "PCA rotation", 0, ascending))
    for system in ON_THE_COLLECTION:
        add(
            system,
            untouched,
            partial(rank, untouched, system, _LEARNING_STEPS, ascending),
            str(_LEARNING_STEPS),
        )
    for system in ADAPTORS:
        for supervised in (False, True):
            fit = partial(fit_on_collection, system, untouched, dims=ascending, supervised=supervised)
            title = f"{system}, pairs" if supervised else system
            add(title, untouched, partial(rank_fitted, untouched, fit, dims), f"{title} {STEPS}")
    for name, projection in transferred.items():
        probe = projection.transform(untouched.documents[:1]).tobytes().hex()
        add(name, untouched, partial(rank_fitted, untouched, lambda _, one=projection: one, dims), probe)
    return found
