"""The charts of a report: what short vectors find, and the frontier of recall and bytes."""

from __future__ import annotations

from collections.abc import Callable

from kukla.calibrate import Calibration, PlanTest
from kukla.calibrate.result import floor4
from kukla.cost import format_bytes
from kukla.evaluate.quality import QualityCurve, QualityRow
from kukla.precision import Precision
from kukla.profile import Interval, Profile, Row
from kukla.profile.report import KEPT
from kukla.report.chart import (
    Axis,
    Chart,
    Colour,
    Point,
    Rule,
    Series,
    Shape,
    Table,
    byte_axis,
    dim_axis,
    share_axis,
)

__all__ = ["frontier_chart", "profile_charts", "quality_chart"]

Line = tuple[str, Colour, Shape, Callable[[Row], Interval]]
_ALONE: tuple[Line, ...] = (
    ("prefix", "blue", "circle", lambda row: row.prefix),
    ("PCA", "green", "up", lambda row: row.pca),
    ("random", "grey", "diamond", lambda row: row.random),
    ("suffix", "pink", "down", lambda row: row.suffix),
    ("projection", "orange", "plus", lambda row: row.projection),
    ("signs", "red", "square", lambda row: row.sign),
)
_SHORTLIST: tuple[Line, ...] = (
    ("prefix", "blue", "circle", lambda row: row.shortlisted),
    ("PCA", "green", "up", lambda row: row.shortlisted_pca),
    ("random", "grey", "diamond", lambda row: row.shortlisted_random),
)


def profile_charts(profile: Profile) -> tuple[Chart, Chart]:
    """recall@k against dims: short vectors alone, and as a shortlist that full vectors rescore."""
    measured = (
        f"{profile.queries:,} queries, {profile.documents:,} documents; bands are 95 % intervals over queries"
    )
    alone = Chart(
        name="alone",
        title="Short vectors alone",
        caption=f"recall@{profile.k} against exact full vectors. {measured}. random: as many coordinates "
        "drawn at random; PCA: held out from what it scores; projection: random directions; signs: sign bits "
        "of the prefix.",
        x=dim_axis([row.dim for row in profile.rows]),
        y=share_axis(f"recall@{profile.k}"),
        series=_series(profile, _ALONE),
        table=_table(profile, _ALONE),
    )
    shortlist = Chart(
        name="shortlist",
        title=f"As a shortlist of {profile.shortlist}, to be rescored",
        caption=f"The share of the true {profile.k} among the best {profile.shortlist} by short vectors: "
        f"what a second stage with full vectors can still find; the dashed line is {KEPT:.0%}. "
        f"{measured}.",
        x=dim_axis([row.dim for row in profile.rows]),
        y=_shares(profile),
        series=_series(profile, _SHORTLIST),
        table=_table(profile, _SHORTLIST),
        rules=(Rule(KEPT),),
    )
    return alone, shortlist


def _shares(profile: Profile) -> Axis:
    least = min(value(row).low for row in profile.rows for *_, value in _SHORTLIST)
    return share_axis(f"share of the true {profile.k}", max(0.0, least - 0.03))


def _series(profile: Profile, lines: tuple[Line, ...]) -> tuple[Series, ...]:
    found = []
    for name, colour, shape, value in lines:
        points = [
            Point(row.dim, value(row).mean, value(row).low, value(row).high, _note(name, row.dim, value(row)))
            for row in profile.rows
        ]
        found.append(Series(name, colour, shape, tuple(points)))
    return tuple(found)


def _note(name: str, dim: int, found: Interval) -> str:
    return f"{name}, {dim} dims: {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _table(profile: Profile, lines: tuple[Line, ...]) -> Table:
    rows = tuple((f"{row.dim}", *(f"{value(row)}" for *_, value in lines)) for row in profile.rows)
    return Table(("dims", *(name for name, *_ in lines)), rows)


ROOM = 5
"""The chart shows so many times the allowed loss: plans far below the target are in the table."""


def frontier_chart(calibration: Calibration) -> Chart:
    """What each tested plan finds against what it moves, with the bound as a whisker."""
    target, rows = calibration.target, calibration.frontier
    least = max(0.0, 1 - ROOM * (1 - target.threshold))
    accepted = set(calibration.accepted(target.threshold))
    shown = [row for row in rows if row.bound >= least]
    hidden = len(rows) - len(shown)
    chosen, exact = calibration.chosen, calibration.exact
    others = [row for row in shown if row not in (chosen, exact)]
    series = (
        Series("chosen", "chosen", "circle", (_tested(chosen),), line=False, interval="whisker", large=True),
        *(
            [Series("exact search", "green", "square", (_tested(exact),), line=False, interval="whisker")]
            if exact is not chosen
            else []
        ),
        Series(
            "proven",
            "blue",
            "circle",
            tuple(_tested(row) for row in others if row in accepted),
            line=False,
            interval="whisker",
            labelled=False,
        ),
        Series(
            "not proven",
            "grey",
            "circle",
            tuple(_tested(row) for row in others if row not in accepted),
            line=False,
            interval="whisker",
            hollow=True,
            labelled=False,
        ),
    )
    left_out = f" {hidden} cheaper plans that find less are in the table only." if hidden else ""
    what = f"share of the {target.name} of full vectors" if calibration.judged else target.name
    return Chart(
        name="frontier",
        title="What each plan finds, and what it moves",
        caption=f"Mean {what} on {calibration.held_out_queries:,} held-out queries; the whisker reaches down "
        f"to the lower {calibration.confidence * 100:.4g} % confidence bound. Filled: proven to reach the "
        f"target; hollow: not.{_slower(calibration)}{left_out}",
        x=byte_axis([row.bytes_moved for row in shown], "bytes moved a query (log scale)"),
        y=share_axis(what, least),
        series=series,
        table=_frontier_table(calibration),
        rules=(Rule(target.threshold, f"target {target.threshold:g}"),),
        labels="point",
    )


def _slower(calibration: Calibration) -> str:
    """Why the cheapest proven plan is not the chosen one, where it is not."""
    timed = [row for row in calibration.accepted(calibration.target.threshold) if row.seconds is not None]
    if all(calibration.chosen.bytes_moved <= row.bytes_moved for row in timed):
        return ""
    return f" Of the {len(timed)} cheapest that are proven the fastest by the clock was chosen."


def _tested(row: PlanTest) -> Point:
    note = (
        f"{row.plan}: {row.held_out:.4f}, at least {floor4(row.bound)}; {format_bytes(row.bytes_moved)} a "
        f"query, {row.bytes_per_vector:,} bytes a vector scanned"
    )
    return Point(row.bytes_moved, row.held_out, row.bound, row.held_out, note)


def _frontier_table(calibration: Calibration) -> Table:
    header, *rows = calibration.table()
    chosen = [i for i, row in enumerate(calibration.frontier) if row.plan == calibration.plan]
    return Table(header, tuple(rows), marked=frozenset(chosen))


_PRECISIONS: tuple[tuple[Precision, Colour, Shape], ...] = (
    (Precision.INT8, "blue", "square"),
    (Precision.FLOAT16, "pink", "diamond"),
    (Precision.FLOAT32, "green", "up"),
    (Precision.BINARY, "red", "circle"),
)


def quality_chart(quality: QualityCurve) -> Chart:
    """The first measure against dims, a line for each precision, prefixes alone."""
    measure = quality.measures[0]
    series = []
    for precision, colour, shape in _PRECISIONS:
        rows = quality.curve(precision)
        if rows:
            points = tuple(_judged(row, measure) for row in rows)
            # int8 lies on float32 more often than not: dashed and on top, both are seen.
            dashed = precision is Precision.INT8
            series.append(Series(precision.value, colour, shape, points, dashed=dashed))
    found = [point for one in series for point in one.points]
    return Chart(
        name="quality",
        title=f"{measure} against dims",
        caption=f"Rankings by prefixes alone against judgements, {quality.queries:,} queries, "
        f"{quality.documents:,} documents; bands are 95 % intervals over queries. The "
        "dashed line is full vectors.",
        x=dim_axis(sorted({int(point.x) for point in found})),
        y=share_axis(measure, max(0.0, min(p.low for p in found) - 0.02), max(p.high for p in found)),
        series=tuple(series),
        table=_quality_table(quality),
        rules=(Rule(quality.full.quality(measure).mean.mean),),
    )


def _judged(row: QualityRow, measure: str) -> Point:
    found = row.quality(measure)
    kept = "" if found.relative is None else f", {found.relative.mean:.1%} of full vectors"
    note = f"{row.plan}: {measure} {found.mean.mean:.3f} [{found.mean.low:.3f}, {found.mean.high:.3f}]{kept}"
    return Point(row.dim, found.mean.mean, found.mean.low, found.mean.high, note)


def _quality_table(quality: QualityCurve) -> Table:
    """Every plan, and what a million and a billion such vectors take."""
    header, *rows = quality.table(quality.measures[0])
    sizes = [
        (format_bytes(10**6 * row.bytes_per_vector), format_bytes(10**9 * row.bytes_per_vector))
        for row in quality.rows
    ]
    cells = tuple((*row, *size) for row, size in zip(rows, sizes, strict=True))
    return Table((*header, "a million", "a billion"), cells)
