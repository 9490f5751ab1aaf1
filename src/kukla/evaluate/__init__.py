"""How much a plan finds, and what it costs: recall, curves over dims and precisions, a figure."""

from __future__ import annotations

from kukla.evaluate.curves import CurveRow, Curves, measure_curves
from kukla.evaluate.figure import draw_curves
from kukla.evaluate.recall import ExactAnswers, exact_answers, recall_at_k

__all__ = [
    "CurveRow",
    "Curves",
    "ExactAnswers",
    "draw_curves",
    "exact_answers",
    "measure_curves",
    "recall_at_k",
]
