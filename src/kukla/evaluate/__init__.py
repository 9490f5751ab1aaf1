"""How much a plan finds, and what it costs: recall, quality against judgements, curves, figures."""

from __future__ import annotations

from kukla.evaluate.curves import CurveRow, Curves, measure_curves
from kukla.evaluate.figure import draw_curves
from kukla.evaluate.measures import Judge, rank_scores
from kukla.evaluate.plans import PlanRow, measure_plans
from kukla.evaluate.quality import Quality, QualityCurve, QualityRow, evaluate_quality
from kukla.evaluate.recall import ExactAnswers, exact_answers, recall_at_k

__all__ = [
    "CurveRow",
    "Curves",
    "ExactAnswers",
    "Judge",
    "PlanRow",
    "Quality",
    "QualityCurve",
    "QualityRow",
    "draw_curves",
    "evaluate_quality",
    "exact_answers",
    "measure_curves",
    "measure_plans",
    "rank_scores",
    "recall_at_k",
]
