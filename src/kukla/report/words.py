"""The report in words: the first sentence, the numbers that stand out, what is saved and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from kukla.calibrate import Calibration
from kukla.calibrate.result import floor4
from kukla.cost import format_bytes
from kukla.profile import Nested, Profile
from kukla.report.facts import IndexFacts, PlanFacts, Report
from kukla.report.plan_words import gain, milliseconds, times

__all__ = ["Tile", "headline", "quality_sentence", "savings_sentence", "tiles"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that stands out, and what it is."""

    value: str
    label: str
    detail: str
    accent: bool = False


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
    memory, moved, time = _gains(used, exact)
    bytes_used, bytes_exact = format_bytes(used.cost.resident_bytes), format_bytes(exact.cost.resident_bytes)
    moved_used, moved_exact = format_bytes(used.bytes_moved), format_bytes(exact.bytes_moved)
    time_used, time_exact = milliseconds(used.seconds), milliseconds(exact.seconds)
    return [
        _recall_tile(facts, used),
        Tile(memory[0], f"{memory[1]} memory to scan", f"{bytes_used}, exact search {bytes_exact}"),
        Tile(moved[0], f"{moved[1]} bytes moved a query", f"{moved_used}, exact search {moved_exact}"),
        Tile(time[0], f"{time[1]} a query", f"{time_used}, exact search {time_exact}, one thread"),
    ]


def _recall_tile(facts: IndexFacts, used: PlanFacts) -> Tile:
    """The bound where there is one; else what a few queries saw, and that it proves nothing."""
    calibration = facts.calibration
    if calibration is None:
        detail = f"on {facts.timed_queries} queries: {facts.timed_on}"
        return Tile(f"{used.recall:.3f}", f"recall@{used.cost.k}, measured, not proven", detail)
    row, what = calibration.chosen, calibration.target.name
    if calibration.judged:
        what = f"of full vectors' {what}"
    doubt = ", estimated" if calibration.estimated else ""
    doubt += ", before the change" if facts.main is not None and facts.main.state == "stale" else ""
    return Tile(
        f"≥ {floor4(row.bound)}",
        f"{what}, {calibration.confidence * 100:.4g} % confidence{doubt}",
        f"{row.held_out:.4f} on {calibration.held_out_queries:,} held-out queries",
        accent=True,
    )


def _gains(used: PlanFacts, exact: PlanFacts) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    """Memory, bytes moved and time of a plan against exact search."""
    return (
        gain(exact.cost.resident_bytes / used.cost.resident_bytes, "less", "more"),
        gain(exact.bytes_moved / used.bytes_moved, "fewer", "more"),
        gain(exact.seconds / used.seconds, "faster", "slower"),
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
            detail = f"{shortlist}; {fewer} fewer dims to scan"
            found.append(Tile(f"{knee}", f"dims of the {what} keep 99 %", detail))
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
    memory, moved, time = (" ".join(words) for words in _gains(used, exact))
    disk = format_bytes(used.cost.disk_bytes)
    return (
        f"Against exact search: {memory} memory to scan, {moved} bytes moved, {time}. Full vectors stay on "
        f"disk ({disk} in all precisions) and are read for shortlists only."
    )


def quality_sentence(report: Report) -> str:
    """What full vectors reach, the smallest codes that keep 95 % of it, and what whole plans keep."""
    quality = report.quality
    if quality is None:
        return ""
    measure = quality.measures[0]
    said = [f"Full vectors reach {measure} {quality.full.quality(measure).mean.mean:.3f}"]
    smallest = quality.smallest(measure)
    if smallest is not None and smallest.plan != quality.reference:
        said.append(
            f"the smallest codes whose whole interval keeps 95 % of that are {smallest.plan}, in "
            f"{smallest.bytes_per_vector:,} bytes a vector ({times(1 / smallest.size)} less)"
        )
    else:
        said.append("no shorter prefix and no coarser precision keeps 95 % of that with its whole interval")
    for row in quality.plans():
        share = row.quality(measure).relative
        if share is not None:
            said.append(
                f"{row.plan} keeps {100 * share.mean:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"
            )
    return "; ".join(said) + "."
