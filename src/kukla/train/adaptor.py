"""Matryoshka-Adaptor: a residual network trained so that prefixes are as similar as whole vectors were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.progress import Progress
from kukla.projection.adaptor import Adaptor
from kukla.projection.base import Projection
from kukla.projection.held_out import Metric
from kukla.readers import VectorFile
from kukla.train.adapting import check_options, prepare
from kukla.train.extra import import_torch
from kukla.train.neighbours import OTHERS, draw_neighbours
from kukla.train.pair_batch import draw_pairs
from kukla.train.similarity import difference, ranking, reconstruction, similarities
from kukla.train.steps import take_steps

__all__ = ["fit_adaptor"]

_LARGEST_HIDDEN = 1024
_BATCH_PAIRS = 64


def fit_adaptor(
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None = None,
    *,
    pairs: NDArray[np.integer[Any]] | None = None,
    dims: Iterable[int] | None = None,
    start: Literal["best", "identity"] = "best",
    hidden: int | None = None,
    metric: Metric = "cosine",
    k: int = 10,
    steps: int = 300,
    learning_rate: float = 1e-3,
    patience: int = 100,
    pair_weight: float = 1.0,
    reconstruction_weight: float = 1.0,
    ranking_weight: float = 1.0,
    sample: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Projection:
    """Learn an :class:`~kukla.projection.Adaptor` for the frozen vectors of any model, an API's too.

    Matryoshka-Adaptor (Yoon et al. 2024, arXiv 2407.20243): without labels the similarities of a vector to
    its neighbours (eq. 2) and to others (eq. 1) should be the same by every prefix as by the original, and
    vectors should move little (eq. 3). With ``pairs`` half of the steps are that, and the other half add a
    ranking loss (eq. 5). What differs from the paper: the start may be a rotation, there are no offsets (see
    :class:`~kukla.projection.Adaptor`), queries are asked of documents where they are given, losses are
    means, and the step with the best recall on held-out queries is taken.

    **Full-dim scores change**: whole vectors are trained to say what they said before, and do so only about.

    Parameters
    ----------
    vectors : array of float (n, dim) or VectorFile
        Documents, at least 100. Without ``queries`` they are the queries too.
    queries : array of float (m, dim) or VectorFile, optional
        Like those that will be asked, at least 20; a fifth (at most 300) is held out to stop by.
    pairs : array of int (p, 2), optional
        Rows of ``queries`` and of relevant ``vectors``, at least 50 queries. What is held out and measured is
        then whether the relevant document is among the first ``k``.
    dims : iterable of int, optional
        The prefixes to train, by whose mean recall the step is chosen. Whole vectors are trained in any case,
        and count in that mean if the width is named. Default: :func:`kukla.train.halving_dims`, which does.
    start : {"best", "identity"}
        From where: the best closed form (none, PCA, query-aware) on held-out queries, or as in the paper.
    hidden : int, optional
        Units of the network. Default: the width, at most 1,024.
    metric : {"cosine", "ip"}
        That of the index.
    k : int
        Neighbours in the loss and in the measure.
    steps : int
        At most.
    learning_rate : float
        Of Adam, at the start; it falls to 0 as half a cosine.
    patience : int
        Steps without a better held-out recall before a half, or the whole, is over.
    pair_weight, reconstruction_weight, ranking_weight : float
        Alpha, beta and gamma of the paper, 1 each there.
    sample : int
        The most vectors (and queries) to learn from, drawn at random.
    seed : int
        The same on one machine and number of threads; elsewhere to rounding, which training amplifies.
    progress : callable, optional
        In steps.

    Returns
    -------
    Adaptor
        ``about`` tells the start, the best step and its held-out recall. Where no step was better than the
        start: the start, a :class:`~kukla.projection.Rotation`, fitted on all vectors and queries.

    Raises
    ------
    MissingExtraError
        Without torch: ``pip install 'kukla[train]'``.
    InputError
        Too few vectors, queries or pairs; options out of range; a loss that is no longer finite.
    VectorError
        NaN, all-zero rows, dims that differ.
    """
    torch = import_torch("an adaptor")
    weights = {
        "pair_weight": pair_weight,
        "reconstruction_weight": reconstruction_weight,
        "ranking_weight": ranking_weight,
    }
    check_options(steps, patience, learning_rate, start, weights)
    found = prepare(
        vectors, queries, pairs, dims=dims, start=start, metric=metric, k=k, sample=sample, seed=seed
    )
    width = found.documents.shape[1]
    units = check_count(hidden, what="hidden") if hidden is not None else min(width, _LARGEST_HIDDEN)
    documents, asked_all, rng = found.documents, found.queries, found.rng
    first = rng.standard_normal((width, units)).astype(np.float32) * (2 / width) ** 0.5
    inner = torch.from_numpy(first).requires_grad_(True)
    outer = torch.zeros((units, width), requires_grad=True)  # nothing is moved at the start

    def moved(rows: Any) -> Any:
        return (rows @ inner).clamp_min(0) @ outer

    def unsupervised() -> Any:
        batch = draw_neighbours(documents, asked_all, k, rng)
        both = torch.from_numpy(np.concatenate([batch.asked, documents[batch.documents]]))
        change = moved(both)
        adapted = both + change
        size = len(batch.asked)
        scores = similarities(adapted[:size], adapted[size:], found.dims, found.ranked)
        target = torch.from_numpy(batch.target)
        return (
            difference(scores, target, torch.from_numpy(batch.near))
            + pair_weight * difference([s[:, : batch.others] for s in scores], target[:, : batch.others])
            + reconstruction_weight * reconstruction(change)
        )

    def supervised() -> Any:
        others = rng.choice(len(documents), min(OTHERS, len(documents)), replace=False)
        batch = draw_pairs(
            found.sample.pairs, others, queries=_BATCH_PAIRS, documents=_BATCH_PAIRS + OTHERS, rng=rng
        )
        rows = np.concatenate([asked_all[batch.queries], documents[batch.documents]])
        both = torch.from_numpy(rows)
        adapted = both + moved(both)
        size = len(batch.queries)
        scores = similarities(adapted[:size], adapted[size:], found.dims, found.ranked)
        positives = torch.from_numpy(batch.positives)
        negatives = torch.from_numpy(~batch.also_relevant).scatter(1, positives[:, None], False)
        ranked = ranking(scores, positives, negatives)
        return unsupervised() + ranking_weight * ranked

    def built() -> Adaptor:
        arrays = (one.detach().numpy() for one in (inner, outer))
        return Adaptor(found.start.matrix, *arrays, renormalises_prefixes=found.renormalises)

    stages = [(unsupervised, steps)]
    if len(found.sample.pairs):
        stages = [(unsupervised, steps // 2), (supervised, steps - steps // 2)]
    recall, best_step, done = found.start.recall, 0, 0
    for loss, share in stages:
        best = take_steps(
            (inner, outer), loss, lambda: found.recall(built()), steps=share, learning_rate=learning_rate,
            patience=patience, recall=recall, report=found.report(progress, done, steps),
        )  # fmt: skip
        best_step = done + best.step if best.step else best_step
        recall, done = best.recall, done + share
    about = found.about("adaptor", best_step, recall) | {"hidden": units, "weights": weights}
    if not best_step:
        return found.start_on_everything(vectors, queries, about)
    arrays = (one.detach().numpy() for one in (inner, outer))
    return Adaptor(found.start.matrix, *arrays, renormalises_prefixes=found.renormalises, about=about)
