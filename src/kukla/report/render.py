"""From a report to a page: one file with everything in it, and no script.

Whatever comes from outside (names of models, files, notes with ids) passes through Jinja's escaping; control
and bidirectional characters are taken out first. A policy in the page forbids it to load or run anything.
"""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from kukla.errors import InputError, MissingExtraError, WriteError
from kukla.report.charts import frontier_chart, profile_charts, quality_chart
from kukla.report.facts import Report
from kukla.report.layout import HALF, NARROW, WIDE, lay_out
from kukla.report.notices import notices
from kukla.report.plan_words import plan_sentence, plan_steps
from kukla.report.tables import bars, calibrations_table, facts_of, plans_table, storage_table
from kukla.report.words import headline, quality_sentence, savings_sentence, tiles

__all__ = ["charts_of", "check_target", "check_templates", "render", "write"]

GENERATOR = '<meta name="generator" content="kukla report'

PAIRED = ("alone", "shortlist")
_UNIT = re.compile(r"(?<=[0-9]) (?=(?:[kMGT]?B|ms|%)(?![a-z]))")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def charts_of(report: Report) -> dict[str, Any]:
    """The charts of a report by name, those that there is something to draw of."""
    found = []
    if report.index is not None and report.index.calibration is not None:
        found.append(frontier_chart(report.index.calibration))
    if report.profile is not None:
        found += profile_charts(report.profile)
    if report.quality is not None:
        found.append(quality_chart(report.quality))
    return {chart.name: chart for chart in found}


def render(report: Report) -> str:
    """The page as text.

    Raises
    ------
    MissingExtraError
        Without Jinja.
    """
    check_templates()
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = {
        name: (chart, [lay_out(chart, size) for size in (HALF if name in PAIRED else WIDE, NARROW)])
        for name, chart in charts_of(report).items()
    }
    facts = report.index
    used = None if facts is None else facts.used
    values: dict[str, Any] = {
        "report": report,
        "profile": report.profile,
        "facts": facts,
        "used": used,
        "headline": headline(report),
        "tiles": tiles(report),
        "notices": notices(report),
        "charts": charts,
        "facts_table": facts_of(report),
        "storage": storage_table(report),
        "quality": report.quality,
        "quality_said": quality_sentence(report),
    }
    if facts is not None and used is not None:
        full = facts.info.space.dim
        values |= {
            "sentence": plan_sentence(used.cost, full),
            "steps": plan_steps(used.cost, full),
            "savings": savings_sentence(facts),
            "bars": bars(facts),
            "plans": plans_table(facts),
            "explain": used.cost.rows(),
            "explained": used.cost.summary(),
            "kept": calibrations_table(facts),
        }
    environment.filters |= {"prose": _prose, "units": _units}
    return environment.get_template("page.html.jinja").render(values).lstrip()


def check_templates() -> None:
    """Raise ``MissingExtraError`` without Jinja: before the work, not after it."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtraError("writing a report", "report") from None


def check_target(path: Path, *, force: bool) -> None:
    """Refuse to write where something else is; a report is replaced.

    Raises
    ------
    InputError
        No folder to write into, a folder at ``path``, or a file that no ``kukla report`` made.
    WriteError
        A folder that cannot be written.
    """
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise WriteError(f"--out {path}: the folder {path.parent} cannot be written")
    if path.is_dir():
        raise InputError(f"--out {path}: is a folder; name a file in it, such as {path / 'report.html'}")
    if force or not path.exists():
        return
    with path.open("rb") as stream:
        start = stream.read(2000)
    if GENERATOR.encode() not in start:
        raise InputError(f"there is something at {path} already that is no report; --force replaces it")


def write(page: str, path: Path) -> int:
    """Write a page to a file beside ``path`` and rename it into place; returns its bytes.

    Raises
    ------
    WriteError
    """
    data = page.encode("utf-8")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if os.access(partial, os.F_OK):
            partial.unlink(missing_ok=True)
    return len(data)


def _template(name: str) -> str:
    return files("kukla.report").joinpath("page", name).read_text(encoding="utf-8")


def _visible(value: Any) -> Any:
    """Strings without characters that hide or reorder others; markup, which is ours, stays as it is."""
    return _clean(value) if type(value) is str else value


def _clean(text: str) -> str:
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _units(text: str) -> str:
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def _prose(text: str) -> Any:
    """A note as a sentence: a capital, a full stop, code between backticks, units beside their number."""
    from markupsafe import Markup, escape

    text = _units(_clean(text))
    parts = [escape(part) for part in f"{text[:1].upper()}{text[1:]}".split("`")]
    if len(parts) % 2 == 0:  # a backtick without its partner is one
        parts = [escape(text)]
    ended = "" if text.endswith((".", ":", "!", "?")) else "."
    inside = [Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup("").join([*inside, ended])
