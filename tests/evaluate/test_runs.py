"""Runs against judgements, and against each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kukla.errors import InputError
from kukla.evaluate import evaluate_runs

QRELS = {f"q{i}": {"good": 1} for i in range(40)} | {"empty": {"good": 0}}


def run(hits: range, queries: range = range(40)) -> dict[str, dict[str, float]]:
    """A run that finds the good document first for ``hits``, second for the other queries."""
    return {f"q{i}": {"good": 2.0 if i in hits else 0.5, "bad": 1.0} for i in queries}


def test_means_intervals_and_what_is_said() -> None:
    found = evaluate_runs(
        {"one": run(range(10), range(30)) | {"q99": {"good": 1.0}}}, QRELS, measures=["RR@10"]
    )
    (row,) = found.rows
    assert row.mean.mean == pytest.approx((10 * 1 + 20 * 0.5 + 10 * 0) / 40)
    assert row.mean.low < row.mean.mean < row.mean.high
    assert row.compared is None
    assert (row.values["q0"], row.values["q20"], row.values["q35"]) == (1, 0.5, 0)
    assert found.queries == 40
    assert found.notes == (
        "only 40 judged queries: with fewer than 100, intervals are too narrow, most of all near 100 %",
        "1 judged queries without a relevant document are left out",
        "one: 1 queries without a relevant document are left out",
        "one: 10 judged queries are not answered and count as 0",
        "one: holds at most 2 results a query, fewer than RR@10 looks at",
    )
    assert len(found.table()[0]) == 4


def test_a_second_run_is_compared_query_by_query() -> None:
    first, second = run(range(10)), run(range(5, 30))
    found = evaluate_runs({"first": first, "second": second}, QRELS, measures=["RR@10", "R@1"])
    rr = found.rows[1]
    assert (rr.run, rr.measure) == ("second", "RR@10")
    assert rr.compared is not None
    assert (rr.compared.better, rr.compared.equal, rr.compared.worse) == (20, 15, 5)
    assert rr.compared.difference.mean == pytest.approx((20 - 5) * 0.5 / 40)
    assert rr.compared.difference.low > 0
    assert rr.compared.relative is not None
    assert rr.compared.relative.mean == pytest.approx((25 + 15 * 0.5) / (10 + 30 * 0.5))
    recall = found.rows[3]
    assert recall.compared is not None
    assert recall.compared.relative is not None
    assert recall.compared.relative.mean == pytest.approx(25 / 10)
    assert found.table()[2][-1] == "20/15/5"
    printed = json.loads(json.dumps(found.as_dict()))
    assert "values" not in printed["rows"][0]
    assert found.as_dict(per_query=True)["rows"][0]["values"]["q0"] == 1


def test_intervals_cover_what_they_say() -> None:
    """Of 200 samples of 60 queries, close to 95 % have the true mean in their interval."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        hits = rng.random(60) < 0.6
        sample = {f"q{i}": {"good": 2.0 if hit else 0.5, "bad": 1.0} for i, hit in enumerate(hits)}
        qrels = {query: {"good": 1} for query in sample}
        (row,) = evaluate_runs({"run": sample}, qrels, measures=["RR@10"]).rows
        covered += row.mean.low <= 0.6 + 0.4 * 0.5 <= row.mean.high
    assert 0.9 <= covered / 200 <= 0.99


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="no runs were given"):
        evaluate_runs({}, QRELS)
    with pytest.raises(InputError, match=r"other answers none of the 40 judged queries: .*\['x'\].*\['q0'\]"):
        evaluate_runs({"one": run(range(3)), "other": {"x": {"good": 1.0}}}, QRELS)
    with pytest.raises(InputError, match="unknown measure"):
        evaluate_runs({"one": run(range(3))}, QRELS, measures=["quality"])
