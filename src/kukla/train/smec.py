"""SMEC: prefixes trained one after the other, from the longest, each from what the one before it settled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.progress import Progress
from kukla.projection.held_out import Metric
from kukla.projection.rotation import Linear
from kukla.readers import VectorFile
from kukla.train.adapting import Adapting, check_options, prepare
from kukla.train.extra import import_torch
from kukla.train.halving import Halving
from kukla.train.steps import take_steps

__all__ = ["fit_smec"]


def fit_smec(
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None = None,
    *,
    pairs: NDArray[np.integer[Any]] | None = None,
    dims: Iterable[int] | None = None,
    start: Literal["best", "identity"] = "best",
    memory: int = 4096,
    metric: Metric = "cosine",
    k: int = 10,
    steps: int = 400,
    learning_rate: float = 1e-3,
    patience: int = 60,
    ranking_weight: float = 1.0,
    sample: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Linear:
    """Learn a square matrix by sequential Matryoshka compression of frozen vectors.

    SMEC (Zhang et al. 2025, arXiv 2510.12474) in nested form: from the longest dim to the shortest, each
    stage trains a layer on the coordinates of one dim, with the losses of that dim and of the next, and picks
    which of them the next dim keeps (adaptive dimension selection, by Gumbel-softmax); they move to the
    front, and everything after them is frozen. Neighbours come from a memory of the original vectors of the
    last batches (selectable cross-batch memory). Layers have no non-linearity, so they end as one matrix.

    **Full-dim scores change.** What differs from the paper: prefixes of one stored vector are trained, so
    that a layer of a shorter dim changes the longer prefixes too; the start may be a rotation; and the step
    with the best recall on held-out queries is taken in every stage.

    Parameters
    ----------
    vectors, queries, pairs, dims, start, metric, k, ranking_weight, sample, seed, progress
        As of :func:`kukla.train.fit_adaptor`.
    memory : int
        Rows of the memory: first in, first out.
    steps : int
        At most, shared equally by the stages.
    learning_rate : float
        Of Adam at the start of every stage.
    patience : int
        Steps without a better held-out recall before a stage is over.

    Returns
    -------
    Linear
        ``about`` tells the start, how many stages helped and the held-out recall. Where none was better than
        the start: the start, a :class:`~kukla.projection.Rotation`, fitted on all vectors and queries.

    Raises
    ------
    MissingExtraError
        Without torch: ``pip install 'kukla[train]'``.
    InputError
        Too few vectors, queries or pairs; options out of range; a loss that is no longer finite.
    VectorError
        NaN, all-zero rows, dims that differ.
    """
    torch = import_torch("SMEC")
    check_options(steps, patience, learning_rate, start, {"ranking_weight": ranking_weight})
    room = check_count(memory, what="memory", least=2 * check_count(k, what="k"))
    found = prepare(
        vectors, queries, pairs, dims=dims, start=start, metric=metric, k=k, sample=sample, seed=seed
    )
    descending = found.dims[::-1]
    matrix, recall = found.start.matrix.copy(), found.start.recall
    helped: list[int] = []
    stages = list(pairwise(descending))
    if steps < len(stages):
        raise InputError(f"{len(stages)} stages need as many steps at least, got {steps}")
    for number, (dim, shorter) in enumerate(stages):
        before, after = steps * number // len(stages), steps * (number + 1) // len(stages)
        stage = Halving(found, matrix, dim, shorter, room, ranking_weight)
        best = take_steps(
            stage.parameters, stage.loss, lambda stage=stage: _recall(found, stage.matrix()),  # type: ignore[misc]
            steps=after - before, learning_rate=learning_rate, patience=patience, recall=recall,
            report=found.report(progress, before, steps),
        )  # fmt: skip
        if best.step:
            with torch.no_grad():
                matrix, recall = stage.matrix(), best.recall
            helped.append(dim)
    about = found.about("smec", len(helped), recall) | {
        "stages": helped,
        "memory": room,
        "ranking_weight": ranking_weight,
    }
    if not helped:
        return found.start_on_everything(vectors, queries, about)
    return Linear(matrix, renormalises_prefixes=found.renormalises, about=about)


def _recall(found: Adapting, matrix: NDArray[np.float32]) -> float:
    return found.recall(Linear(matrix, renormalises_prefixes=found.renormalises))
