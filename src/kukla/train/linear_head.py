"""The learned linear head: a matrix trained so that prefixes score as whole vectors do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.progress import Progress
from kukla.projection.fit_query_aware import query_weight
from kukla.projection.held_out import Metric
from kukla.projection.moments import Moments
from kukla.projection.rotation import Linear, Rotation
from kukla.readers import VectorFile
from kukla.train.descent import Settings, Trained, descend
from kukla.train.extra import import_torch
from kukla.train.finish import complete
from kukla.train.sample import Sample, draw_sample
from kukla.train.schedule import check_dims
from kukla.train.start import Start, choose_start, fit_again, held_out_recall

__all__ = ["fit_linear_head"]


def fit_linear_head(
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None = None,
    *,
    pairs: NDArray[np.integer[Any]] | None = None,
    dims: Iterable[int] | None = None,
    orthonormal: bool = True,
    metric: Metric = "cosine",
    k: int = 10,
    steps: int = 200,
    learning_rate: float = 0.5,
    patience: int = 60,
    pairs_weight: float = 0.5,
    sample: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Linear:
    """Learn a linear map after which prefixes rank documents as the whole vectors do, or as pairs say.

    A model stays as it is and a matrix is learned after it, which is what ZeroEntropy put in the place of
    Matryoshka training ("Matryoshka Is Dead", 2026; one matrix for each dim of zembed-1). Here one
    matrix serves all dims, because a stored vector has one order of coordinates. The training starts at
    the best closed form (none, PCA, query-aware) and ends at the step that was best on held-out queries, so
    on these it is never worse than where it started.

    Parameters
    ----------
    vectors : array of float (n, dim) or VectorFile
        Documents, at least 100. Without ``queries`` they are the queries too.
    queries : array of float (m, dim) or VectorFile, optional
        Like those that will be asked, at least 20; a fifth (at most 300) is held out to stop by. The weight
        of the others is that of :func:`kukla.projection.fit_query_aware.query_weight`.
    pairs : array of int (p, 2), optional
        Rows of ``queries`` and of relevant ``vectors``, at least 50 queries. Adds a contrastive loss, and
        what is held out and measured is then whether the relevant document is among the first ``k``.
    dims : iterable of int, optional
        The prefixes to train. Default: :func:`kukla.train.halving_dims` of the width.
    orthonormal : bool
        ``True``: a rotation; full-dim scores do not change. ``False``: any matrix ``(dim, max(dims))``;
        **full-dim scores change**, for the better only as far as the sample goes.
    metric : {"cosine", "ip"}
        That of the index.
    k : int
    steps : int
        At most.
    learning_rate : float
        Length (Frobenius norm) of the first steps; it falls to 0 as half a cosine.
    patience : int
        Steps without a better held-out recall before the training stops.
    pairs_weight : float
        Of the contrastive loss, 0..1; the rest is the divergence from the full scores.
    sample : int
        The most vectors (and queries) to learn from, drawn at random.
    seed : int
        The same on one machine and number of threads; elsewhere to rounding, which training amplifies.
    progress : callable, optional
        In steps.

    Returns
    -------
    Rotation or Linear
        ``about`` tells the start, the best step and its held-out recall. Prefixes are ranked in the way that
        was best at the start (:attr:`Projection.renormalises_prefixes`). Where no step was better than the
        start, the start fitted on all vectors and queries.

    Raises
    ------
    MissingExtraError
        Without torch: ``pip install 'kukla[train]'``.
    InputError
        Too few vectors, queries or pairs; options out of range; a loss that is no longer finite.
    VectorError
        NaN, all-zero rows, dims that differ.
    """
    import_torch()
    for value, what in ((k, "k"), (steps, "steps"), (patience, "patience")):
        check_count(value, what=what)
    check_count(sample, what="sample", least=100)
    if not learning_rate > 0 or not np.isfinite(learning_rate):
        raise InputError(f"the learning rate must be a number above 0, got {learning_rate!r}")
    if not 0 <= pairs_weight <= 1:
        raise InputError(f"the weight of pairs must be from 0 to 1, got {pairs_weight!r}")
    rng = np.random.default_rng(check_count(seed, what="seed", least=0))
    drawn = draw_sample(vectors, queries, pairs, metric=metric, size=sample, rng=rng)
    width = drawn.documents.shape[1]
    if len(drawn.documents) < 2 * k:
        raise InputError(f"k = {k} needs at least {2 * k} vectors to search, got {len(drawn.documents)}")
    wanted = check_dims(dims, width)
    # A rotation cannot change what whole vectors score: only its prefixes are trained and measured.
    trained_dims = tuple(dim for dim in wanted if dim < width or not orthonormal)
    start = choose_start(drawn, trained_dims, k, metric, renormalise_only=not orthonormal)
    cosine = metric == "cosine" and start.projection.renormalises_prefixes
    settings = Settings(
        trained_dims,
        cosine,
        orthonormal,
        steps,
        learning_rate,
        patience,
        pairs_weight if len(drawn.pairs) else 0,
    )

    def measure(columns: NDArray[np.float32]) -> float:
        candidate = Linear(columns, renormalises_prefixes=cosine)
        # These are the first columns of a rotation where prefixes are not renormalised: their lengths count.
        return held_out_recall(drawn, candidate, trained_dims, k, metric if cosine else "ip")

    trained = descend(
        start.matrix, drawn, settings, measure, start_recall=start.recall, rng=rng, progress=progress
    )
    about = _about(drawn, start, trained, settings, metric)
    if trained.step == 0:
        columns = None if orthonormal else trained_dims[-1]
        return fit_again(start, vectors, queries, metric=metric, about=about, columns=columns)
    if not orthonormal:
        return Linear(trained.columns, renormalises_prefixes=cosine, about=about)
    matrix = complete(trained.columns, trained_dims, _moments(drawn, metric))
    return Rotation(matrix, renormalises_prefixes=cosine, about=about)


def _about(
    sample: Sample, start: Start, trained: Trained, settings: Settings, metric: Metric
) -> dict[str, Any]:
    return {
        "fit": "learned",
        "vectors": len(sample.documents),
        "queries": len(sample.queries),
        "pairs": len(sample.pairs),
        "dims": list(settings.dims),
        "metric": metric,
        "start": start.kind,
        "step": trained.step,
        "held_out": len(sample.held_out),
        "start_recall": round(start.recall, 4),
        "recall": round(max(recall for _, recall in trained.recalls), 4),
    }


def _moments(sample: Sample, metric: Metric) -> NDArray[np.float64]:
    """Of documents and queries, weighted as in training."""
    found = Moments(sample.documents, metric=metric).relative
    if not len(sample.queries):
        return found
    share = query_weight(len(sample.queries), sample.queries.shape[1])
    return (1 - share) * found + share * Moments(sample.queries, metric=metric, what="queries").relative
