"""Adaptors of the untouched model's vectors: as published, from the vectors, and started at a closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.systems.candidates import judged_pairs
from benchmarks.systems.tasks import Task
from kukla.projection import Projection
from kukla.train import fit_adaptor, fit_smec

__all__ = ["ADAPTORS", "STEPS", "fit_on_collection"]

# The steps that `docs/adaptors.md` was measured with. "From PCA" is from whichever closed form is best.
STEPS = 200
ADAPTORS: dict[str, Callable[..., Projection]] = {
    "Matryoshka-Adaptor": partial(fit_adaptor, start="identity", steps=STEPS, seed=0),
    "Matryoshka-Adaptor from PCA": partial(fit_adaptor, start="best", steps=STEPS, seed=0),
    "SMEC": partial(fit_smec, start="identity", steps=STEPS, seed=0),
    "SMEC from PCA": partial(fit_smec, start="best", steps=STEPS, seed=0),
}


def fit_on_collection(
    name: str, task: Task, known: np.ndarray, dims: tuple[int, ...], *, supervised: bool
) -> Projection:
    """One of `ADAPTORS` on all documents and the queries ``known``; ``supervised``: and their judgements.

    Raises
    ------
    InputError
        Too few documents or queries to fit it.
    """
    pairs = judged_pairs(task, known) if supervised else None
    return ADAPTORS[name](task.documents, task.queries[known], pairs=pairs, dims=dims)
