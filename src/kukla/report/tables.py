"""The tables and bars of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kukla.calibrate.result import floor4
from kukla.cost import format_bytes
from kukla.evaluate.sizes import storage
from kukla.info import CHANGED
from kukla.report.chart import Table
from kukla.report.facts import IndexFacts, PlanFacts, Report
from kukla.report.plan_words import milliseconds, times

__all__ = ["Bar", "Bars", "bars", "calibrations_table", "facts_of", "plans_table", "storage_table"]

Measure = tuple[str, Callable[[PlanFacts], float], Callable[[float], str]]
_ROLES = {"exact": "exact search", "own": "the index's own plan", "chosen": "calibrated plan"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A length, 0..1 of the longest, with its text; ``used`` is the plan in use."""

    name: str
    share: float
    text: str
    used: bool


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one measure."""

    title: str
    bars: tuple[Bar, ...]


def bars(facts: IndexFacts) -> tuple[Bars, ...]:
    """Memory, bytes and time of each plan, longest first as measured."""
    measures: tuple[Measure, ...] = (
        ("memory that a scan reads", lambda row: row.cost.resident_bytes, format_bytes),
        ("bytes moved a query", lambda row: row.bytes_moved, format_bytes),
        (f"median time a query, {facts.timed_queries} queries", lambda row: row.seconds, milliseconds),
    )
    found = []
    for title, value, text in measures:
        most = max(value(row) for row in facts.plans) or 1
        rows = [
            Bar(_ROLES[row.role], value(row) / most, text(value(row)), row is facts.used)
            for row in facts.plans
        ]
        found.append(Bars(title, tuple(rows)))
    return tuple(found)


def plans_table(facts: IndexFacts) -> Table:
    """The numbers of :func:`bars`, the plans themselves, and what the timed queries found."""
    exact = facts.plans[0]
    k = exact.cost.k
    header = ("plan", "", "bytes/vector", "memory", "less", "moved", "less", "ms", "faster", f"recall@{k}")
    rows = tuple(_plan_row(row, exact) for row in facts.plans)
    return Table(header, rows, left=2, marked=frozenset({len(rows) - 1}))


def _plan_row(row: PlanFacts, exact: PlanFacts) -> tuple[str, ...]:
    return (
        _ROLES[row.role],
        str(row.plan),
        f"{row.cost.stages[0].bytes_per_vector:,}",
        format_bytes(row.cost.resident_bytes),
        times(exact.cost.resident_bytes / row.cost.resident_bytes),
        format_bytes(row.bytes_moved),
        times(exact.bytes_moved / row.bytes_moved),
        milliseconds(row.seconds).removesuffix(" ms"),
        times(exact.seconds / row.seconds),
        f"{row.recall:.3f}",
    )


def calibrations_table(facts: IndexFacts) -> Table | None:
    """Every calibration that is kept, where there are several."""
    if len(facts.states) < 2:
        return None
    rows = tuple(
        (
            str(state.calibration.target),
            state.calibration.population + (" (estimated)" if state.calibration.estimated else ""),
            str(state.calibration.plan),
            floor4(state.calibration.chosen.bound),
            state.state,
        )
        for state in facts.states
    )
    marked = frozenset(i for i, state in enumerate(facts.states) if state is facts.main)
    return Table(("target", "queries", "plan", "at least", "state"), rows, left=3, marked=marked)


def facts_of(report: Report) -> list[tuple[str, str]]:
    """What the vectors are: names and values."""
    if report.index is None:
        profile = report.profile
        return [] if profile is None else [("vectors", f"{profile.total:,}"), ("dims", f"{profile.width:,}")]
    info, used = report.index.info, report.index.used
    space = info.space
    model = f"{space.model} ({space.provider})" if space.provider else space.model
    memory = "nothing: it is empty"
    if used is not None:
        memory = f"{format_bytes(used.cost.resident_bytes)}, scanned by {used.plan}"
    deleted = f", {info.deleted_rows:,} deleted rows still take room" if info.deleted_rows else ""
    disk = (
        f"{format_bytes(info.vector_bytes)} of vectors, {format_bytes(info.catalog_bytes)} of texts, "
        "metadata and ids"
    )
    return [
        ("documents", f"{info.documents:,}{deleted}"),
        ("model", f"{model}, revision {space.revision}" if space.revision else model),
        ("dims", f"{space.dim:,}; prefixes {', '.join(map(str, info.nesting))}"),
        ("metric", {"cosine": "cosine", "ip": "inner product"}[info.metric]),
        ("precisions", ", ".join(info.precisions)),
        ("projection", info.projection if info.keeps_scores else f"{info.projection}, {CHANGED}"),
        ("on disk", disk),
        ("in memory", memory),
        ("segments", f"{info.segments:,}"),
    ]


def storage_table(report: Report) -> Table | None:
    """Bytes of bare vectors at dims and precisions: for as many as there are, a million, a billion."""
    profile = report.profile
    if report.index is not None or profile is None:
        return None
    knees = [knee for knee in (profile.knee, profile.pca_knee) if knee is not None]
    dims = {profile.width, profile.width // 2, profile.width // 4, *knees}
    counts = (profile.total, 10**6, 10**9)
    rows = tuple(
        (f"{same[0].dim}", same[0].precision.value, *(format_bytes(row.scanned_bytes) for row in same))
        for same in zip(*(storage(count, dims).rows for count in counts), strict=True)
    )
    return Table(("dims", "precision", f"these {profile.total:,}", "a million", "a billion"), rows, left=2)
