"""Quality against judgements over dims and precisions: what is kept of full vectors, and at what size.

Intervals are 95 % percentile intervals of the bootstrap over queries (:mod:`kukla.profile.statistics`); those
of a share of full vectors resample both values of a query together, so that hard queries cancel out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.cost import bytes_per_row
from kukla.errors import InputError
from kukla.evaluate.device import find_device
from kukla.evaluate.exact import ExactResult, exact_plan, exact_search
from kukla.evaluate.measures import DEFAULT_MEASURES, Judge, Qrels, few_queries, rank_scores
from kukla.index import Index, Queries
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.profile.statistics import Bootstrap, Interval
from kukla.progress import Progress
from kukla.search.result import SearchResult

__all__ = ["OnRun", "Quality", "QualityCurve", "QualityRow", "evaluate_quality"]

OnRun = Callable[[Plan, Sequence[str], NDArray[Any], NDArray[np.float32]], None]
"""Called for each plan with query ids ``(n,)``, result ids ``(n, m)`` best first, and their scores."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One measure of one plan.

    ``mean`` is over queries; ``relative`` the share of what full vectors reach on the same queries, ``None``
    where those reach nothing.
    """

    measure: str
    mean: Interval
    relative: Interval | None


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One plan: what its first stage reads of each document, and its qualities in the order of measures.

    ``bytes_per_vector`` counts codes, scales and prefix norms, ``payload_bytes`` the codes alone; ``size``
    and ``payload_size`` are their shares of a float32 vector of the full dim. ``alone`` is False where later
    stages rescore a shortlist; they read whole vectors too, of a few documents.
    """

    plan: Plan
    dim: int
    precision: Precision
    alone: bool
    bytes_per_vector: int
    payload_bytes: int
    size: float
    payload_size: float
    qualities: tuple[Quality, ...]

    def quality(self, measure: str) -> Quality:
        """The quality of this measure; ``InputError`` when it was not measured."""
        for quality in self.qualities:
            if quality.measure == measure:
                return quality
        raise InputError(
            f"{measure!r} was not measured; measured: {', '.join(q.measure for q in self.qualities)}"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        qualities = {
            quality.measure: {
                "mean": asdict(quality.mean),
                "relative": None if quality.relative is None else asdict(quality.relative),
            }
            for quality in self.qualities
        }
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {
            "plan": str(self.plan),
            "precision": self.precision.value,
            "qualities": qualities,
        }


@dataclass(frozen=True, slots=True)
class QualityCurve:
    """Quality of every dim and precision on one collection.

    Parameters
    ----------
    rows : tuple of QualityRow
        Plans of one stage, by precision, coarsest first, then by dim; then the other plans, as given.
    measures : tuple of str
        ``("nDCG@10", "R@100")``
    reference : Plan
        Full vectors in the best precision that the index keeps: what ``relative`` is relative to.
    documents, queries, full_dim : int
        ``queries`` are those that were measured: with a relevant document.
    grades : tuple of int
        The grades of relevance in the judgements.
    notes : tuple of str
        What was left out, and why.
    seed : int
        Of the bootstrap.
    """

    rows: tuple[QualityRow, ...]
    measures: tuple[str, ...]
    reference: Plan
    documents: int
    queries: int
    full_dim: int
    grades: tuple[int, ...]
    notes: tuple[str, ...]
    seed: int

    @property
    def full(self) -> QualityRow:
        """The row of the reference."""
        return next(row for row in self.rows if row.plan == self.reference)

    def curve(self, precision: Precision | str) -> tuple[QualityRow, ...]:
        """Plans of one stage in this precision, by dim."""
        return tuple(row for row in self.rows if row.alone and row.precision == precision)

    def plans(self) -> tuple[QualityRow, ...]:
        """Plans of several stages."""
        return tuple(row for row in self.rows if not row.alone)

    def smallest(self, measure: str, *, keeps: float = 0.95) -> QualityRow | None:
        """Of the plans of one stage, the smallest whose whole interval of ``relative`` is above ``keeps``."""
        good = [
            row
            for row in self.rows
            if row.alone and (share := row.quality(measure).relative) is not None and share.low >= keeps
        ]
        return min(good, key=lambda row: row.bytes_per_vector, default=None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"rows": [row.as_dict() for row in self.rows], "reference": str(self.reference)}

    def table(self, measure: str) -> list[tuple[str, ...]]:
        """A header, then a row for each plan: bytes, size, the value, what it is of full vectors."""
        header = ("plan", "bytes/vector", "size", measure, "95 % interval", "of full", "95 % interval")
        return [header, *(_cells(row, row.quality(measure)) for row in self.rows)]


def evaluate_quality(
    index: Index,
    queries: Queries,
    qrels: Qrels,
    *,
    query_ids: Sequence[str],
    measures: Sequence[str] = DEFAULT_MEASURES,
    dims: Iterable[int] | None = None,
    precisions: Iterable[Precision | str] | None = None,
    plans: Iterable[Plan | str] = (),
    on_run: OnRun | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    progress: Progress | None = None,
) -> QualityCurve:
    """Search with every dim and precision, and measure the rankings against judgements.

    Parameters
    ----------
    index : Index
        Holds the documents; their ids, as texts, are those of the judgements.
    queries : str, sequence of str, or array of float (n_queries, dim)
    qrels : mapping
        The grade of documents by query id.
    query_ids : sequence of str
        Of ``queries``, in their order.
    measures : sequence of str
        Names of :mod:`kukla.evaluate.measures`. Those without a cutoff look at 1,000 results.
    dims, precisions : iterable, optional
        Of the index's nesting and precisions; all by default. Full vectors are always measured.
    plans : iterable of Plan or str
        Whole plans to measure as well.
    on_run : callable, optional
        Is given every ranking.
    seed : int
        Of the bootstrap.
    device : str
        Where float vectors and their prefixes are searched: see :func:`kukla.evaluate.exact_search`. The
        rankings are the same. Codes and plans of several stages are searched by the native kernels.
    threads : int
    progress : callable, optional
        ``progress(done, total)``, in plans.

    Returns
    -------
    QualityCurve

    Raises
    ------
    InputError
        Unknown measures; no query is judged; none of the judged documents is in the index.
    PlanError
        A dim, precision or plan that the index does not have.
    MissingExtraError
        Without ir_measures.
    """
    check_count(seed, what="seed", least=0)
    find_device(device)  # says what is wrong with it before the work
    judge = Judge(qrels, measures)
    names, vectors, notes = _judged_queries(index, queries, query_ids, judge)
    notes += [*_documents_notes(index, judge, names), *few_queries(len(names))]
    if deep := [m for m in judge.measures if judge.cutoffs[m] >= len(index)]:
        notes.append(f"the corpus has {len(index):,} documents: {', '.join(deep)} looks at all of them")
    reference = exact_plan(index)
    todo = _single_stages(index, reference, dims, precisions)
    todo += [plan for plan in dict.fromkeys(map(Plan.of, plans)) if plan not in todo]
    for plan in todo:
        plan.check(index.nesting, index._opened.settings.precisions)
    bootstrap = Bootstrap(len(names), np.random.default_rng(seed))
    values: dict[Plan, dict[str, NDArray[np.float64]]] = {}
    # The reference first: the others are compared with it.
    for done, plan in enumerate(sorted(todo, key=lambda plan: plan != reference), start=1):
        values[plan] = {}
        # A shortlist such as @4x depends on k, so each measure is taken at its own; stages alone do not.
        for depth in sorted(set(judge.cutoffs.values()) if len(plan.stages) > 1 else {judge.depth}):
            found = _search(index, vectors, depth, plan, device, threads)
            run = {name: rank_scores(ids) for name, ids in zip(names, found.ids.tolist(), strict=True)}
            for measure, valued in judge.values(run).items():
                if len(plan.stages) == 1 or judge.cutoffs[measure] == depth:
                    values[plan][measure] = np.array([valued[name] for name in names])
        if on_run is not None:
            on_run(plan, names, found.ids, found.scores)
        if progress is not None:
            progress(done, len(todo))
    rows = []
    for plan in todo:
        qualities = tuple(
            Quality(m, bootstrap.interval(own), bootstrap.share(own, values[reference][m]))
            for m in judge.measures
            for own in (values[plan][m],)
        )
        rows.append(_row(index, plan, qualities))
    return QualityCurve(
        rows=tuple(rows),
        measures=judge.measures,
        reference=reference,
        documents=len(index),
        queries=len(names),
        full_dim=index.nesting.full,
        grades=judge.grades,
        notes=tuple(notes),
        seed=seed,
    )


def _search(
    index: Index, vectors: NDArray[np.floating[Any]], depth: int, plan: Plan, device: str, threads: int
) -> SearchResult | ExactResult:
    stage = plan.stages[0]
    if device == "cpu" or plan != Plan([stage]) or stage.precision != exact_plan(index).stages[0].precision:
        return index.search(vectors, depth, plan=plan, threads=threads)
    return exact_search(index, vectors, depth, dim=stage.dim, device=device, threads=threads)


def _judged_queries(
    index: Index, queries: Queries, query_ids: Sequence[str], judge: Judge
) -> tuple[list[str], NDArray[np.floating[Any]], list[str]]:
    """Names and vectors of the queries that have a relevant document, and what was left out."""
    vectors = index._opened.raw_queries(queries)  # texts are embedded once, not once a plan
    ids = [str(id_) for id_ in query_ids]
    if len(ids) != len(vectors):
        raise InputError(f"{len(ids)} query ids for {len(vectors)} queries; give one for each")
    if len(set(ids)) < len(ids):
        twice = next(id_ for row, id_ in enumerate(ids) if id_ in ids[:row])
        raise InputError(f"the query id {twice!r} is given twice; judgements could not tell the two apart")
    kept = [row for row, id_ in enumerate(ids) if id_ in judge.qrels]
    if not kept:
        raise InputError(
            f"none of the {len(ids):,} queries has a relevant document: queries are called such as "
            f"{ids[:1] or ['(there are none)']}, judged ones such as {list(judge.qrels)[:1]}"
        )
    notes = []
    if len(kept) < len(ids):
        notes.append(
            f"{len(ids) - len(kept):,} of {len(ids):,} queries without a relevant document are left out"
        )
    if missing := len(judge.qrels) - len(kept):
        notes.append(f"{missing:,} judged queries are not among the queries: left out")
    return [ids[row] for row in kept], vectors[kept], notes


def _documents_notes(index: Index, judge: Judge, names: Sequence[str]) -> list[str]:
    relevant = {id_ for name in names for id_, grade in judge.qrels[name].items() if grade > 0}
    missing = [id_ for id_ in sorted(relevant) if not _holds(index, id_)]
    if len(missing) == len(relevant):
        raise InputError(
            f"none of the {len(relevant):,} relevant documents is in the corpus, {missing[0]!r} for one: "
            "these judgements are about other documents, or about other ids"
        )
    if not missing:
        return []
    return [
        f"{len(missing):,} of {len(relevant):,} relevant documents are not in the corpus ({missing[0]!r} for "
        "one): no ranking can find them, and every value is lower for it"
    ]


def _holds(index: Index, id_: str) -> bool:
    if id_ in index:
        return True
    try:
        number = int(id_)
    except ValueError:
        return False
    return str(number) == id_ and -(2**63) <= number < 2**63 and number in index


def _single_stages(
    index: Index,
    reference: Plan,
    dims: Iterable[int] | None,
    precisions: Iterable[Precision | str] | None,
) -> list[Plan]:
    kept = index.info().precisions if precisions is None else precisions
    chosen = sorted({Precision.parse(name) for name in kept}, key=lambda precision: precision.bits)
    widths = tuple(index.nesting) if dims is None else tuple(sorted(set(dims)))
    found = [Plan([Stage(dim, precision)]) for precision in chosen for dim in widths]
    return found if reference in found else [*found, reference]


def _row(index: Index, plan: Plan, qualities: tuple[Quality, ...]) -> QualityRow:
    first = plan.stages[0]
    settings = index._opened.settings
    size = bytes_per_row(
        first, settings.nesting, renormalise=settings.cosine and settings.renormalises_prefixes
    )
    payload = -(-first.dim * first.precision.bits // 8)
    full = 4 * settings.nesting.full
    return QualityRow(
        plan=plan,
        dim=first.dim,
        precision=first.precision,
        alone=len(plan.stages) == 1,
        bytes_per_vector=size,
        payload_bytes=payload,
        size=size / full,
        payload_size=payload / full,
        qualities=qualities,
    )


def _cells(row: QualityRow, quality: Quality) -> tuple[str, ...]:
    mean, share = quality.mean, quality.relative
    return (
        str(row.plan),
        f"{row.bytes_per_vector:,}",
        f"{row.size:.1%}".replace("%", " %"),
        f"{mean.mean:.3f}",
        f"[{mean.low:.3f}, {mean.high:.3f}]",
        "-" if share is None else f"{100 * share.mean:.1f} %",
        "-" if share is None else f"[{100 * share.low:.1f}, {100 * share.high:.1f}]",
    )
