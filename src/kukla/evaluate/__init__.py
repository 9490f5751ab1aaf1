"""How much a plan finds, and what it costs: recall, quality against judgements, curves, figures."""

from __future__ import annotations

from kukla.evaluate.adaptive import AdaptiveClassifier, AdaptiveResult, LinearScores, learn_thresholds
from kukla.evaluate.curves import CurveRow, Curves, measure_curves
from kukla.evaluate.exact import ExactResult, exact_search
from kukla.evaluate.figure import draw_curves
from kukla.evaluate.measures import Judge, rank_scores
from kukla.evaluate.plans import PlanRow, measure_plans
from kukla.evaluate.quality import Quality, QualityCurve, QualityRow, evaluate_quality
from kukla.evaluate.quality_figure import draw_quality
from kukla.evaluate.recall import ExactAnswers, exact_answers, recall_at_k
from kukla.evaluate.runs import RunQuality, RunsQuality, evaluate_runs
from kukla.evaluate.sizes import Storage, StorageRow, storage

__all__ = [
    "AdaptiveClassifier",
    "AdaptiveResult",
    "CurveRow",
    "Curves",
    "ExactAnswers",
    "ExactResult",
    "Judge",
    "LinearScores",
    "PlanRow",
    "Quality",
    "QualityCurve",
    "QualityRow",
    "RunQuality",
    "RunsQuality",
    "Storage",
    "StorageRow",
    "draw_curves",
    "draw_quality",
    "evaluate_quality",
    "evaluate_runs",
    "exact_answers",
    "exact_search",
    "learn_thresholds",
    "measure_curves",
    "measure_plans",
    "rank_scores",
    "recall_at_k",
    "storage",
]
