"""What must be read before the numbers: no calibration, a stale one, an estimate, too few of something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kukla.profile import Nested
from kukla.report.facts import IndexFacts, Report

__all__ = ["Notice", "notices"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What must be read before the numbers, with a command where there is one to run."""

    kind: Literal["warning", "note"]
    title: str
    text: str
    command: str = ""


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
                "note",
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
        found.append(Notice("note", "About these queries", _sentences(notes)))
    return found


def _sentences(lines: Sequence[str]) -> str:
    return " ".join(f"{line[0].upper()}{line[1:]}." for line in lines)
