"""How much a plan finds, and what it costs: recall, curves over dims and precisions, a figure."""

from __future__ import annotations

from kukla.evaluate.curves import CurveRow, Curves, measure_curves
from kukla.evaluate.figure import draw_curves
from kukla.evaluate.plans import PlanRow, measure_plans
from kukla.evaluate.recall import ExactAnswers, exact_answers, recall_at_k

__all__ = [
    "CurveRow",
    "Curves",
    "ExactAnswers",
    "PlanRow",
    "draw_curves",
    "exact_answers",
    "measure_curves",
    "measure_plans",
    "recall_at_k",
]
