"""Plans side by side on the index as it is: exact search, its own plan, the calibrated one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kukla.calibrate import Calibration, CalibrationState
from kukla.calibrate.price import Prices
from kukla.calibrate.questions import Questions, document_questions, given_questions
from kukla.calibrate.record import entries
from kukla.evaluate.recall import exact_plan
from kukla.report.facts import PlanFacts

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["PlansMeasured", "measure_plans", "pick_state"]

TIMED = 40


@dataclass(frozen=True, slots=True)
class PlansMeasured:
    """Rows, and the queries that they were measured on."""

    rows: tuple[PlanFacts, ...]
    queries: int
    asked: str


def pick_state(states: Sequence[CalibrationState], fresh: Calibration | None) -> CalibrationState | None:
    """The calibration to report: the one just made, else the one that a search would use.

    Those on given queries before those on documents, against exact search before judged ones, newer before
    older, as ``kukla.calibrate.state`` has it; and before all that, those that still hold.
    """
    if fresh is not None:
        return next(state for state in states if state.calibration == fresh)
    ranked = sorted(
        states,
        key=lambda state: (
            state.state == "fresh",
            not state.calibration.judged,
            not state.calibration.estimated,
        ),
    )
    return ranked[-1] if ranked else None


def measure_plans(
    index: Index,
    queries: NDArray[np.floating[Any]] | None,
    state: CalibrationState | None,
    *,
    k: int,
    seed: int,
) -> PlansMeasured:
    """Price, time and recall of the plans that a user chooses between.

    Plans take turns at each query, so that a busy moment hits all alike.
    """
    if not len(index):
        return PlansMeasured((), 0, "no documents")
    wanted = {"exact": exact_plan(index), "own": index.plan}
    if state is not None:
        wanted["chosen"] = state.calibration.plan
        wanted = {role: plan for role, plan in wanted.items() if role != "own" or plan != wanted["chosen"]}
    if wanted.get("own") == wanted["exact"]:
        del wanted["own"]
    questions, asked = _questions(index, queries, state, seed)
    truth = questions.truth(index, k, 1)
    prices = Prices(index, k)
    recalls = {
        role: float(truth.recall(questions.find(index, k, plan, 1)).mean()) for role, plan in wanted.items()
    }  # which warms up
    seconds: dict[str, list[float]] = {role: [] for role in wanted}
    for vector in questions.vectors:
        for role, plan in wanted.items():
            seconds[role].append(index.search(vector, k, plan=plan).seconds)
    rows = [
        PlanFacts(
            role=role,
            plan=plan,
            cost=index.explain(plan, k=k),
            bytes_moved=prices.of(plan).bytes_moved,
            seconds=median(seconds[role]),
            recall=recalls[role],
        )
        for role, plan in wanted.items()
    ]
    return PlansMeasured(tuple(rows), len(questions), asked)


def _questions(
    index: Index, queries: NDArray[np.floating[Any]] | None, state: CalibrationState | None, seed: int
) -> tuple[Questions, str]:
    """A few queries: given, or kept with the calibration, or documents."""
    if queries is not None:
        return _some(given_questions(index, queries, False)), "the given queries"
    if state is not None:
        kept = [entry for entry in entries(index) if entry.calibration == state.calibration]
        if kept:
            return _some(kept[0].questions()), f"{state.calibration.population}, kept with the calibration"
    found = document_questions(index, np.random.default_rng([seed, 4]))
    return _some(found), "documents as queries, none of which finds itself"


def _some(questions: Questions) -> Questions:
    rows = np.unique(np.linspace(0, len(questions) - 1, min(TIMED, len(questions))).astype(np.int64))
    return questions.part(rows)
