"""The report in words: the plan, what it saves, what a reader must not overlook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kukla.calibrate import Calibration
from kukla.calibrate.result import floor4
from kukla.cost import PlanCost, StageCost, format_bytes
from kukla.precision import Precision
from kukla.profile import Nested, Profile
from kukla.report.facts import IndexFacts, PlanFacts, Report

__all__ = [
    "Notice",
    "Step",
    "Tile",
    "headline",
    "milliseconds",
    "notices",
    "plan_sentence",
    "plan_steps",
    "savings_sentence",
    "tiles",
    "times",
]

_HOW = {
    Precision.BINARY: "as sign bits",
    Precision.INT8: "in int8",
    Precision.FLOAT16: "in float16",
    Precision.FLOAT32: "in float32",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One stage in words; ``share`` of the vector and ``bits`` a coordinate say how much it looks at."""

    title: str
    text: str
    share: float
    bits: int
    scored: int
    kept: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that stands out, and what it is."""

    value: str
    label: str
    detail: str
    accent: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What must be read before the numbers: a warning, or something to do with a command for it."""

    kind: Literal["warning", "todo"]
    title: str
    text: str
    command: str = ""


def plan_steps(cost: PlanCost, full: int) -> list[Step]:
    """Each stage of a plan in words."""
    steps = []
    for number, stage in enumerate(cost.stages):
        verb = "Scan" if number == 0 else "Rescore on" if number < len(cost.stages) - 1 else "Rank on"
        last = number == len(cost.stages) - 1
        who = f"all {stage.scored:,} documents" if number == 0 else f"those {stage.scored:,}"
        keep = f"return the best {stage.kept:,}" if last else f"keep the best {stage.kept:,}"
        read = f"{stage.bytes_per_vector:,} bytes each, {format_bytes(stage.bytes_read)} a query"
        steps.append(
            Step(
                title=f"{verb} {_dims(stage, full)} {_HOW[stage.stage.precision]}",
                text=f"{who[0].upper()}{who[1:]}: {read}; {keep}.",
                share=stage.stage.dim / full,
                bits=stage.stage.precision.bits,
                scored=stage.scored,
                kept=stage.kept,
            )
        )
    return steps


def plan_sentence(cost: PlanCost, full: int) -> str:
    """A plan as one sentence: ``Scan 128 of 512 dims in int8 for all 200,000 documents, keep 200; ...``."""
    parts = []
    for number, stage in enumerate(cost.stages):
        what = f"{_dims(stage, full)} {_HOW[stage.stage.precision]}"
        last = number == len(cost.stages) - 1
        keep = f"return {stage.kept:,}" if last else f"keep {stage.kept:,}"
        if number == 0:
            parts.append(f"Scan {what} for all {stage.scored:,} documents, {keep}")
        else:
            parts.append(f"{'rank' if last else 'rescore'} those on {what}, {keep}")
    return "; ".join(parts) + "."


def _dims(stage: StageCost, full: int) -> str:
    dim = stage.stage.dim
    return f"all {full:,} dims" if dim == full else f"{dim:,} of {full:,} dims"


def times(ratio: float) -> str:
    """``14×``, ``3.8×``: two digits, and what is no gain shown as what it is."""
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2f}×"


def milliseconds(seconds: float) -> str:
    """``0.46 ms``: three digits."""
    value = seconds * 1e3
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def headline(report: Report) -> str:
    """The first sentence of the page."""
    facts = report.index
    if facts is None:
        return _of_profile(report.profile)
    used, exact, calibration = facts.used, facts.exact, facts.calibration
    if used is None or exact is None:
        return "This index is empty: there is nothing to measure yet."
    read = (
        f"{used.cost.stages[0].bytes_per_vector:,} bytes of each vector, where exact search scans "
        f"{exact.cost.stages[0].bytes_per_vector:,}"
    )
    if calibration is None:
        return (
            f"Nothing is calibrated yet. The index's own plan scans {read}; which recall it reaches is not "
            "proven."
        )
    asked = _asked(calibration)
    if used.plan == exact.plan:
        return f"No cheaper plan is used for {asked}: exact search runs, and loses nothing."
    how = "estimated" if calibration.estimated else "proven"
    if facts.main is not None and facts.main.state == "stale":
        return f"Before this index changed, the plan was {how} to reach {asked}. It scans {read}."
    return f"A plan {how} to reach {asked} scans {read}."


def _asked(calibration: Calibration) -> str:
    target = calibration.target
    what = f"{target.name} of at least {target.threshold:g}"
    if calibration.judged:
        what = f"{target.threshold:.3g} of the {target.name} of full vectors"
    return what


def _of_profile(profile: Profile | None) -> str:
    if profile is None:
        return ""
    return {
        Nested.NESTED: "These vectors are nested: their prefixes are embeddings too.",
        Nested.WEAKLY: "These vectors are weakly nested: a prefix beats random coordinates by little.",
        Nested.NOT: "These vectors are not nested: a prefix finds no more than as many random coordinates.",
        Nested.NOT_EMBEDDINGS: "These are not embeddings at all: they cannot be told from noise.",
    }[profile.verdict.word]


def tiles(report: Report) -> list[Tile]:
    """Three or four numbers for the top of the page."""
    facts = report.index
    if facts is None:
        return [] if report.profile is None else _profile_tiles(report.profile)
    used, exact = facts.used, facts.exact
    if used is None or exact is None:
        return [Tile("0", "documents", "the index is empty")]
    found = []
    calibration = facts.calibration
    if calibration is not None:
        row, what = calibration.chosen, calibration.target.name
        if calibration.judged:
            what = f"of full vectors' {what}"
        found.append(
            Tile(
                f"≥ {floor4(row.bound)}",
                f"{what}, {calibration.confidence * 100:.4g} % confidence"
                + (", estimated" if calibration.estimated else ""),
                f"{row.held_out:.4f} on {calibration.held_out_queries:,} held-out queries",
                accent=True,
            )
        )
    else:
        found.append(Tile("not proven", "recall", "no calibration is kept with this index"))
    resident, full = used.cost.resident_bytes, exact.cost.resident_bytes
    found.append(
        Tile(
            times(full / resident),
            "less memory to scan",
            f"{format_bytes(resident)}, exact search {format_bytes(full)}",
        )
    )
    found.append(
        Tile(
            times(exact.bytes_moved / used.bytes_moved),
            "fewer bytes moved a query",
            f"{format_bytes(used.bytes_moved)}, exact search {format_bytes(exact.bytes_moved)}",
        )
    )
    found.append(_time_tile(used, exact))
    return found


def _time_tile(used: PlanFacts, exact: PlanFacts) -> Tile:
    ratio = exact.seconds / used.seconds
    label = "faster a query" if ratio >= 1 else "slower a query"
    return Tile(
        times(max(ratio, 1 / ratio)),
        label,
        f"{milliseconds(used.seconds)}, exact search {milliseconds(exact.seconds)}, one thread",
    )


def _profile_tiles(profile: Profile) -> list[Tile]:
    full = profile.rows[-1]
    half = min(profile.rows, key=lambda row: abs(row.dim - profile.width / 2))
    shortlist = f"in the best {profile.shortlist}, rescored"
    found = [
        Tile(
            f"{half.prefix.mean:.3f}",
            f"recall@{profile.k} of {half.dim} dims alone",
            f"random coordinates {half.random.mean:.3f}, PCA {half.pca.mean:.3f}",
            accent=True,
        )
    ]
    for knee, what in ((profile.knee, "prefix"), (profile.pca_knee, "PCA")):
        if knee is None or knee == profile.width:
            found.append(Tile("none", f"shorter {what} keeps 99 %", shortlist))
        else:
            fewer = times(profile.width / knee)
            found.append(
                Tile(f"{knee}", f"dims keep 99 %: {what}", f"{shortlist}; {fewer} fewer dims to scan")
            )
    found.append(
        Tile(f"{full.sign.mean:.3f}", f"recall@{profile.k} of sign bits", "all dims, 32× fewer bytes, alone")
    )
    return found


def savings_sentence(facts: IndexFacts) -> str:
    """What the plan in use saves, and what it does not, in one sentence."""
    used, exact = facts.used, facts.exact
    if used is None or exact is None:
        return ""
    if used.plan == exact.plan:
        return "This is exact search: it loses nothing and saves nothing."
    faster = exact.seconds / used.seconds
    speed = f"{times(faster)} faster" if faster >= 1 else f"{times(1 / faster)} slower"
    return (
        f"Against exact search: {times(exact.cost.resident_bytes / used.cost.resident_bytes)} less memory to "
        f"scan, {times(exact.bytes_moved / used.bytes_moved)} fewer bytes moved, {speed}. Full vectors stay "
        f"on disk ({format_bytes(used.cost.disk_bytes)} in all precisions) and are read for shortlists only."
    )


def notices(report: Report) -> list[Notice]:
    """What must be read before the numbers."""
    found: list[Notice] = []
    facts = report.index
    if facts is not None and facts.exact is not None:
        found += _about_calibration(report, facts)
    if report.profile_missing:
        found.append(Notice("warning", "No verdict on the model", f"{report.profile_missing}."))
    profile = report.profile
    if profile is not None and profile.verdict.word is Nested.NOT_EMBEDDINGS:
        found.append(Notice("warning", "Not embeddings at all", f"{'; '.join(profile.advice)}."))
    elif profile is not None and profile.verdict.leaning:
        others = " or ".join(profile.verdict.instead_of)
        text = f"{profile.documents:,} documents cannot rule out {others}; more would decide."
        found.append(Notice("warning", f"Leaning: {profile.verdict.word}", text))
    return found


def _about_calibration(report: Report, facts: IndexFacts) -> list[Notice]:
    calibrate = next((one.text for one in report.commands if one.text.startswith("kukla calibrate")), "")
    main = facts.main
    if main is None:
        return [
            Notice(
                "todo",
                "Not calibrated",
                "No calibration is kept with this index, so nothing here promises a recall. This makes one:",
                calibrate,
            )
        ]
    found, calibration = [], main.calibration
    if main.state == "stale":
        found.append(
            Notice(
                "warning",
                "Stale",
                f"The calibration does not describe this index any more: {'; '.join(main.reasons)}. Its "
                "bound is about the index as it was. Calibrate again:",
                calibrate,
            )
        )
    if calibration.estimated:
        found.append(
            Notice(
                "warning",
                "An estimate",
                "Documents were the queries. Real queries are harder: calibrate with some before you rely on "
                "this bound.",
            )
        )
    said = calibration.summary()[3:]
    if said:
        found.append(Notice("warning", "Exact search", f"{_sentences(said)}"))
    notes = [note for note in calibration.notes if not note.startswith("estimated")]
    if notes:
        found.append(Notice("warning", "About these queries", _sentences(notes)))
    return found


def _sentences(lines: Sequence[str]) -> str:
    return " ".join(f"{line[0].upper()}{line[1:]}." for line in lines)
