"""A report as one page: the verdict, the curves, the frontier, the chosen plan in words, what it saves.

:mod:`.collect` measures, :mod:`.words`, :mod:`.tables` and :mod:`.charts` say it, :mod:`.render` writes the
page and :mod:`.png` the same charts as pictures.
"""

from __future__ import annotations

from kukla.report.collect import Asked, report_index, report_vectors
from kukla.report.facts import Report
from kukla.report.png import check_drawing, draw_charts
from kukla.report.render import charts_of, check_target, check_templates, render, write

__all__ = [
    "Asked",
    "Report",
    "charts_of",
    "check_drawing",
    "check_target",
    "check_templates",
    "draw_charts",
    "render",
    "report_index",
    "report_vectors",
    "write",
]
