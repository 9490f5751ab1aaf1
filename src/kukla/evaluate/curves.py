"""Recall over dims and precisions, beside the bytes that a scan reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.evaluate.recall import exact_answers, exact_plan
from kukla.index import Index, Queries
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.progress import Progress

__all__ = ["CurveRow", "Curves", "measure_curves"]


@dataclass(frozen=True, slots=True)
class CurveRow:
    """One plan: what it scans first, and the recall of its results.

    ``bytes_per_vector`` are the bytes of one document that the first stage reads; ``shortlist`` is ``None``
    for a plan of that stage alone, else how many candidates were rescored with whole vectors.
    """

    dim: int
    precision: Precision
    shortlist: int | None
    plan: Plan
    bytes_per_vector: int
    recall: float


@dataclass(frozen=True, slots=True)
class Curves:
    """A table of plans, with what it was measured on.

    Parameters
    ----------
    rows : tuple of CurveRow
        By precision, cheapest first, then by dim; each first alone, then as a shortlist.
    documents, queries, k, shortlist, full_dim : int
    """

    rows: tuple[CurveRow, ...]
    documents: int
    queries: int
    k: int
    shortlist: int
    full_dim: int

    def alone(self) -> tuple[CurveRow, ...]:
        """Plans of one stage."""
        return tuple(row for row in self.rows if row.shortlist is None)

    def rescored(self) -> tuple[CurveRow, ...]:
        """Plans whose shortlist is rescored with whole vectors."""
        return tuple(row for row in self.rows if row.shortlist is not None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        rows = [asdict(row) | {"plan": str(row.plan), "precision": row.precision.value} for row in self.rows]
        return {name: getattr(self, name) for name in self.__slots__} | {"rows": rows}


def measure_curves(
    index: Index,
    queries: Queries,
    *,
    k: int = 10,
    shortlist: int = 200,
    dims: Iterable[int] | None = None,
    precisions: Iterable[Precision | str] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Curves:
    """Measure recall@k for each dim and precision: alone, and as a shortlist rescored with whole vectors.

    Parameters
    ----------
    index : Index
    queries : str, sequence of str, or array of float (n_queries, dim)
        Should not be documents of the index: those find themselves.
    k : int
    shortlist : int
        How many candidates the rescored plans keep.
    dims, precisions : iterable, optional
        Of the index's nesting and precisions; all by default.
    threads : int
    progress : callable, optional
        ``progress(done, total)``, in plans.

    Returns
    -------
    Curves
        Recall is the mean over queries, ties counted as :mod:`kukla.evaluate.recall` says.

    Raises
    ------
    InputError
        The index or the queries are empty, or ``shortlist`` is below ``k``.
    PlanError
        A dim or precision that the index does not keep.
    """
    check_count(k, what="k")
    check_count(shortlist, what="shortlist", least=k)
    truth = exact_answers(index, queries, k=k, threads=threads)
    if not truth.ids.size:
        raise InputError("curves need at least one document and one query")
    info = index.info()
    (final,) = exact_plan(index).stages
    chosen_dims = tuple(index.nesting if dims is None else dims)
    kept = [Precision.parse(name) for name in (info.precisions if precisions is None else precisions)]
    plans: list[tuple[Stage, Plan, int | None]] = []
    for precision in sorted(kept, key=lambda precision: precision.bits):
        for dim in chosen_dims:
            stage = Stage(dim, precision)
            plans.append((stage, Plan([stage]), None))
            if stage.bits_per_vector < final.bits_per_vector:
                plan = Plan([Stage(dim, precision, keep=shortlist), final])
                plans.append((stage, plan, shortlist))
    rows = []
    for done, (stage, plan, kept_candidates) in enumerate(plans, start=1):
        found = index.search(queries, k, plan=plan, threads=threads)
        size = index.explain(Plan([stage]), documents=1).resident_bytes
        recall = float(truth.recall(found.ids).mean())
        rows.append(CurveRow(stage.dim, stage.precision, kept_candidates, plan, size, recall))
        if progress is not None:
            progress(done, len(plans))
    return Curves(tuple(rows), info.documents, len(truth.ids), k, shortlist, index.nesting.full)
