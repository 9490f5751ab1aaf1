"""What a search with a target says of a single query."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from tests.calibrate.conftest import Draw, make_draw

from kukla import Index
from kukla.calibrate import StaleCalibrationWarning
from kukla.calibrate.per_query import RecallByGap
from kukla.evaluate import exact_answers

TARGET = "recall@10>=0.9"


def test_the_quantile_of_split_conformal_prediction() -> None:
    """Of 99 recalls the 5th smallest is reached with probability 1 - 5 / 100, by exchangeability."""
    recalls = np.concatenate([[0.1, 0.2, 0.3, 0.4, 0.5], np.full(94, 1.0)])
    gaps = np.zeros(99)
    learned = RecallByGap.learn(gaps, gaps, recalls, 10)
    assert learned.recalls(gaps[:1], 0.95).tolist() == [0.5]
    assert learned.recalls(gaps[:1], 0.96).tolist() == [0.4]
    assert learned.recalls(gaps[:1], 0.94).tolist() == [1.0]
    assert learned.recalls(gaps[:1], 0.99).tolist() == [0.1]
    assert learned.recalls(gaps[:1], 0.995).tolist() == [0.0]  # 99 queries cannot tell


def test_queries_with_a_wide_gap_are_told_from_those_without() -> None:
    rng = np.random.default_rng(0)
    gaps = rng.uniform(0, 1, 480)
    recalls = np.where(gaps < 0.25, 0.5, 1.0)
    learned = RecallByGap.learn(gaps[:240], gaps[240:], recalls[240:], 10)
    assert len(learned.counts) == 4
    assert learned.recalls(np.array([0.1, 0.9, np.inf]), 0.95).tolist() == [0.5, 1.0, 1.0]
    assert RecallByGap.from_dict(asdict(learned)) == learned


def test_few_queries_are_one_group_and_equal_gaps_are_no_error() -> None:
    few = RecallByGap.learn(np.linspace(0, 1, 30), np.linspace(0, 1, 50), np.ones(50), 10)
    assert few.edges == ()
    assert few.recalls(np.array([0.5]), 0.95).tolist() == [1.0]
    equal = RecallByGap.learn(np.full(300, np.inf), np.full(300, np.inf), np.ones(300), 10)
    assert equal.recalls(np.array([np.inf, 0.0]), 0.95).tolist() == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore::kukla.calibrate.StaleCalibrationWarning")
def test_a_search_with_a_target_says_how_sure_each_answer_is(own: Index, draw: Draw) -> None:
    own.calibrate(draw(400), target=TARGET, timed=False)
    fresh = make_draw(9)(600)
    found = own.search(fresh, target=TARGET)
    recalls = exact_answers(own, fresh, k=10).recall(found.ids)
    certificates = found.certificates()
    assert {one.kind for one in certificates} <= {"exact", "probable"}
    held = np.array([one.recall for one in certificates]) <= recalls
    # 600 fresh queries: three standard errors below the stated probability.
    assert held.mean() >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 600)
    assert recalls[[one.kind == "exact" for one in certificates]].min(initial=1.0) == 1.0
    probable = next(one for one in certificates if one.kind == "probable")
    assert str(probable) == f"recall >= {probable.recall:.3g} with probability 0.95"
    lower = found.certificates(probability=0.5)
    assert all(a.recall >= b.recall for a, b in zip(lower, certificates, strict=True))

    # A filter changes which documents compete, a change what there is: then nothing is promised.
    filtered = own.search(fresh, target=TARGET, filter={"a": {"$exists": False}}).certificates()
    assert {one.kind for one in filtered} <= {"exact", "none"}
    own.delete(list(range(200)))
    with pytest.warns(StaleCalibrationWarning):
        stale = own.search(fresh, target=TARGET)
    assert {one.kind for one in stale.certificates()} <= {"exact", "none"}


def test_documents_as_queries_promise_nothing_of_real_ones(own: Index, draw: Draw) -> None:
    found = own.calibrate(None, target=TARGET, timed=False)
    assert all(row.per_query is None for row in found.frontier)
    kinds = {one.kind for one in own.search(draw(20), target=TARGET).certificates()}
    assert kinds <= {"exact", "none"}


def test_certified_searches_with_a_target_run_its_plan_first(own: Index, draw: Draw) -> None:
    found = own.calibrate(draw(400), target=TARGET, timed=False)
    queries = make_draw(9)(50)
    result = own.search(queries, target=TARGET, certify=True)
    assert result.plan == found.plan
    assert result.ids.tolist() == own.search(queries, plan="32:float32").ids.tolist()
    assert {str(one) for one in result.certificates()} == {"exact"}
