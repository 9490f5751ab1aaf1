"""Choosing a projection: by measurement on queries that no candidate has seen, never by assumption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count, check_dim
from kukla.errors import InputError, VectorError
from kukla.nesting import Nesting
from kukla.progress import Progress
from kukla.projection.base import Identity, Projection
from kukla.projection.fit_pca import LEAST_ROWS, fit_pca
from kukla.projection.fit_query_aware import fit_query_aware
from kukla.projection.held_out import Metric, split
from kukla.projection.measure import prefix_recalls
from kukla.projection.random import random_rotation
from kukla.projection.rotation import Linear
from kukla.readers import VectorFile

__all__ = ["ADAPTORS", "KINDS", "LEARNED", "Choice", "Row", "choose_projection"]

KINDS = ("identity", "pca", "query-aware", "random")
"""Simplest first, which is the order in which ties are decided. ``random`` is a control, never picked."""

LEARNED = "learned"
"""A candidate only where it is asked for: training takes minutes, and the extra ``train``."""

ADAPTORS = ("adaptor", "smec")
"""Trained candidates that change full-dim scores; only where they are asked for, like ``learned``."""

_TRAINED = (LEARNED, *ADAPTORS)
_RESAMPLES = 2000

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate: recall@k of its prefixes at each of the dims, with 95 % bootstrap intervals.

    ``renormalises_prefixes`` says how they were ranked.

    ``gain`` is the mean over dims and queries of its recall minus that of the identity on the same queries;
    ``gain_unseen`` the same when only documents are searched that no candidate was fitted on: what documents
    that are added later gain.
    """

    kind: str
    renormalises_prefixes: bool
    recall: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    gain: float
    gain_low: float
    gain_high: float
    gain_unseen: float
    gain_unseen_low: float
    gain_unseen_high: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, fitted on everything there is, and the measurement behind it.

    ``documents`` were searched in the measurement; the candidates were fitted on all but ``unseen`` of them,
    and on none of the ``queries``. ``whole_recall`` is the recall@k of whole vectors after the measured
    candidate of this kind, against the model's own whole vectors: 1 where full-dim scores stay.
    """

    kind: str
    projection: Projection
    rows: tuple[Row, ...]
    dims: tuple[int, ...]
    k: int
    metric: Metric
    documents: int
    unseen: int
    queries: int
    reason: str
    whole_recall: float
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"projection": self.projection.to_dict(), "rows": [asdict(row) for row in self.rows]}


def choose_projection(
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None = None,
    *,
    kinds: Iterable[str] = KINDS,
    given: Projection | None = None,
    pick: str | None = None,
    dims: Iterable[int] | None = None,
    k: int = 10,
    metric: Metric = "cosine",
    sample: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Choice:
    """Fit candidates on one part, measure prefixes on another, and fit the winner on everything.

    Parameters
    ----------
    vectors : array of float (n, dim) or VectorFile
        The documents. Without ``queries`` a fifth of them (at most 500) are the held-out queries.
    queries : array of float (m, dim) or VectorFile, optional
        Half of them (at most 500) are held out; the query-aware candidate sees only the others.
    kinds : iterable of str
        Of :data:`KINDS`, ``learned`` or :data:`ADAPTORS`. ``query-aware`` is left out without queries,
        ``identity`` is always there.
    given : Projection, optional
        A candidate that is there already, called ``given``.
    pick : str, optional
        Take this kind whatever the measurement says, which is made all the same.
    dims : iterable of int, optional
        Default: powers of two from 32.
    k : int
    metric : {"cosine", "ip"}
        That of the index.
    sample : int
        The most vectors that the measurement looks at, drawn at random. The final fit reads all.
    seed : int
    progress : callable, optional
        Of the final fit, and of every training.

    Returns
    -------
    Choice
        Prefixes are scored as an index with that projection does; for a fit, the better of the two ways is
        kept (:attr:`Projection.renormalises_prefixes`). A quarter of the documents searched were
        not fitted on, like those added to an index later. The best mean recall over dims wins; a simpler
        candidate is taken when the paired bootstrap interval of the difference to it reaches 0 (Efron and
        Tibshirani 1993, over queries; the same queries for all). One that is worse than the identity beyond
        chance on the documents not fitted on is never picked.

    Raises
    ------
    InputError
        Too few vectors or queries, an unknown kind.
    MissingExtraError
        A trained kind without torch.
    VectorError
        NaN, all-zero rows, dims that differ.
    """
    check_count(k, what="k")
    check_count(sample, what="sample", least=100)
    rng = np.random.default_rng(check_count(seed, what="seed", least=0))
    notes: list[str] = []
    wanted = _check_kinds(kinds, pick, given is not None, queries is not None, notes)
    documents, held_out, query_fit = split(vectors, queries, sample, metric, rng, notes)
    full = documents.shape[1]
    unseen = len(documents) // 4
    fit = documents[: len(documents) - unseen]
    if len(fit) < LEAST_ROWS or len(documents) < 2 * k:
        raise InputError(
            f"choosing a projection needs more than {max(2 * k, LEAST_ROWS * 4 // 3)} documents beside the "
            f"queries, got {len(documents)}"
        )
    if len(fit) < 2 * full:
        notes.append(
            f"measured with a fit on {len(fit):,} vectors, fewer than twice the {full:,} dims: compare the "
            "gain on new documents before adding many to the index"
        )
    if given is not None and given.dim_in != full:
        raise VectorError(f"the given projection takes {given.dim_in} dims, the vectors have {full}")
    chosen_dims = _check_dims(dims, min([full, *([given.dim_out] if given else [])]))
    if any(kind in _TRAINED for kind in wanted):
        from kukla.train.extra import import_torch

        import_torch()  # missing, it is said before anything else is fitted
    candidates: dict[str, Projection] = {}
    for kind in wanted:
        candidates[kind] = (
            given
            if kind == "given" and given
            else _fit(kind, fit, query_fit, metric, seed, progress if kind in _TRAINED else None)
        )
    recalls = _best_recalls(candidates, documents, held_out, chosen_dims, k, metric)
    later_k = max(1, min(k, unseen // 4))
    later = prefix_recalls(candidates, documents[len(fit) :], held_out, chosen_dims, later_k, metric)
    rows, winner, reason = _judge(candidates, recalls, later, chosen_dims, k, rng)
    if pick is not None and pick != winner:
        reason = f"{pick}, as asked for; measured: {reason}"
    kind = pick or winner
    everything = _all_queries(queries) if kind == "query-aware" else queries
    final = given if kind == "given" and given else _fit(kind, vectors, everything, metric, seed, progress)
    if isinstance(final, Linear) and kind not in _TRAINED:  # which are trained for their own way of ranking
        final = final.scored(renormalises_prefixes=candidates[kind].renormalises_prefixes)
    return Choice(
        kind=kind,
        projection=final,
        rows=rows,
        dims=chosen_dims,
        k=k,
        metric=metric,
        documents=len(documents),
        unseen=unseen,
        queries=len(held_out),
        reason=reason,
        whole_recall=_whole_recall(candidates[kind], documents, held_out, k, metric),
        notes=tuple(notes),
    )


def _check_kinds(
    kinds: Iterable[str], pick: str | None, given: bool, has_queries: bool, notes: list[str]
) -> list[str]:
    asked = [*kinds, *([pick] if pick else [])]
    allowed = [*KINDS[:-1], *_TRAINED, KINDS[-1], *(["given"] if given else [])]
    for kind in asked:
        if kind not in allowed:
            raise InputError(f"unknown kind of projection {kind!r}; allowed: {', '.join(allowed)}")
    if pick == "query-aware" and not has_queries:
        raise InputError("a query-aware projection needs queries")
    if not has_queries:
        notes.append("no queries given: held-out vectors are the queries; real queries differ")
    return [
        kind
        for kind in allowed
        if kind in ("identity", "given") or (kind in asked and (kind != "query-aware" or has_queries))
    ]


def _check_dims(dims: Iterable[int] | None, full: int) -> tuple[int, ...]:
    if dims is None:
        return Nesting.default(full).dims[:-1] or (max(1, full // 2),)
    return Nesting(check_dim(dim, what="a dim to measure", most=full) for dim in dims).dims


def _all_queries(
    queries: NDArray[np.floating[Any]] | VectorFile | None,
) -> NDArray[np.floating[Any]] | VectorFile:
    if queries is None:  # refused before
        raise InputError("a query-aware projection needs queries")
    return queries


def _fit(
    kind: str,
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None,
    metric: Metric,
    seed: int,
    progress: Progress | None = None,
) -> Projection:
    if kind == "pca":
        return fit_pca(vectors, metric=metric, progress=progress)
    if kind == "query-aware" and queries is not None:
        return fit_query_aware(vectors, queries, metric=metric, progress=progress)
    if kind == LEARNED:
        from kukla.train import fit_linear_head  # needs torch, which no other kind does

        return fit_linear_head(vectors, queries, metric=metric, seed=seed, progress=progress)
    if kind in ADAPTORS:
        from kukla.train import fit_adaptor, fit_smec

        trained = fit_adaptor if kind == "adaptor" else fit_smec
        return trained(vectors, queries, metric=metric, seed=seed, progress=progress)
    dim = vectors.shape[1]
    return random_rotation(dim, seed=seed) if kind == "random" else Identity(dim)


def _whole_recall(
    projection: Projection, documents: Floats, queries: Floats, k: int, metric: Metric
) -> float:
    if projection.keeps_scores:
        return 1.0
    found = prefix_recalls({"": projection}, documents, queries, (projection.dim_out,), k, metric)
    return float(found[""].mean())


def _best_recalls(
    candidates: dict[str, Projection],
    documents: Floats,
    queries: Floats,
    dims: Sequence[int],
    k: int,
    metric: Metric,
) -> dict[str, NDArray[np.float64]]:
    """Like :func:`prefix_recalls`; fits among the candidates are replaced by the better of two scorings."""
    recalls = prefix_recalls(candidates, documents, queries, dims, k, metric)
    others: dict[str, Projection] = {}
    for kind, fitted in candidates.items():
        if metric == "cosine" and kind in ("pca", "query-aware") and isinstance(fitted, Linear):
            others[kind] = fitted.scored(renormalises_prefixes=not fitted.renormalises_prefixes)
    for kind, measured in prefix_recalls(others, documents, queries, dims, k, metric).items():
        if measured.mean() > recalls[kind].mean():
            candidates[kind], recalls[kind] = others[kind], measured
    return recalls


def _judge(
    candidates: dict[str, Projection],
    recalls: dict[str, NDArray[np.float64]],
    later: dict[str, NDArray[np.float64]],
    dims: Sequence[int],
    k: int,
    rng: np.random.Generator,
) -> tuple[tuple[Row, ...], str, str]:
    """The table, the winner, and why."""
    count = recalls["identity"].shape[1]
    weights = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES) / count

    def interval(per_query: NDArray[np.float64]) -> tuple[float, float]:
        low, high = np.quantile(weights @ per_query, (0.025, 0.975))
        return float(low), float(high)

    means = {kind: at_dims.mean(axis=0) for kind, at_dims in recalls.items()}
    rows = []
    for kind, at_dims in recalls.items():
        low, high = zip(*map(interval, at_dims), strict=True)
        against = means[kind] - means["identity"]
        average = tuple(map(float, at_dims.mean(axis=1)))
        unseen = later[kind].mean(axis=0) - later["identity"].mean(axis=0)
        gains = (float(against.mean()), *interval(against), float(unseen.mean()), *interval(unseen))
        renormalises = candidates[kind].renormalises_prefixes
        rows.append(Row(kind, renormalises, average, low, high, *gains))
    eligible = [row.kind for row in rows if row.kind != "random" and row.gain_unseen_high >= 0]
    best = max(eligible, key=lambda kind: means[kind].mean())  # the first of equals, the simplest
    winner = next(kind for kind in eligible if interval(means[best] - means[kind])[0] <= 0)
    gain = next(row for row in rows if row.kind == winner)
    over = f"recall@{k} averaged over dims {', '.join(map(str, dims))}"
    if winner == "identity":
        others = [row for row in rows if row.kind not in ("identity", "random")]
        nearest = max(others, key=lambda row: row.gain, default=None)
        reason = "identity: nothing beat it beyond chance, on new documents too"
        if nearest is not None:
            reason += f"; the nearest is {nearest.kind}, {_signed(nearest)} in {over}"
        return tuple(rows), winner, reason
    return tuple(rows), winner, f"{winner}: {_signed(gain)} against identity in {over}"


def _signed(row: Row) -> str:
    return f"{row.gain:+.3f} (95 % interval {row.gain_low:+.3f} to {row.gain_high:+.3f})"
