"""Calibrations of an index with lists: plans that look into some, stale when lists are replaced."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, Precision
from kukla.calibrate import StaleCalibrationWarning
from kukla.errors import PlanError
from kukla.evaluate.recall import exact_plan
from kukla.storage.catalog import put_setting

from .conftest import DIM, make_draw

TARGET = "recall@5>=0.9"


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[Index]:
    """3,000 documents in 60 lists, codes of 8 bytes."""
    with Index.create(tmp_path / "listed.kukla", dim=DIM, nesting=(8, DIM)) as index:
        index.add(make_draw(1)(3000))
        index.partition(60, code_bytes=8)
        yield index


def looks_into_lists(plan: object) -> bool:
    return plan.stages[0].precision is Precision.PQ4  # type: ignore[attr-defined]


def test_the_plan_with_lists_is_cheaper_and_reaches_the_target_on_new_queries(listed: Index) -> None:
    found = listed.calibrate(make_draw(3)(300), target=TARGET, timed=False)
    assert looks_into_lists(found.plan)
    (chosen,) = [row for row in found.frontier if row.plan == found.plan]
    assert chosen.bound >= 0.9
    scans = [row for row in found.frontier if not looks_into_lists(row.plan)]
    assert all(row.bytes_moved > chosen.bytes_moved for row in scans)
    # A thousand queries that no part of it has seen.
    fresh = make_draw(4)(1000)
    answers = listed.search(fresh, 5, target=TARGET)
    assert answers.plan == found.plan
    exact = listed.search(fresh, 5, plan=exact_plan(listed)).ids
    recall = np.mean([len({*a} & {*b}) / 5 for a, b in zip(answers.ids, exact, strict=True)])
    assert recall >= 0.9


def test_the_price_is_what_a_search_reads(listed: Index) -> None:
    """On average, within what lists differ in length."""
    found = listed.calibrate(make_draw(3)(300), target=TARGET, timed=False)
    (chosen,) = [row for row in found.frontier if row.plan == found.plan]
    searched = listed.search(make_draw(4)(200), 5, plan=found.plan)
    assert chosen.bytes_moved == pytest.approx(searched.bytes_read / 200, rel=0.5)


def test_new_lists_make_it_stale_and_the_same_ones_do_not(listed: Index) -> None:
    listed.calibrate(make_draw(3)(300), target=TARGET, timed=False)
    assert listed.calibration_state()[0].state == "fresh"
    listed.partition(60, code_bytes=8)  # the same seed and documents: the same lists under a new number
    assert listed.calibration_state()[0].state == "fresh"
    listed.partition(30, code_bytes=8)
    (state,) = listed.calibration_state(search=False)
    assert state.state == "stale"
    assert state.reasons[0].startswith("the lists were 60 (")
    assert ", now 30 (" in state.reasons[0]
    with pytest.warns(StaleCalibrationWarning, match="the lists were 60"):
        listed.search(make_draw(4)(1), 5, target=TARGET)


def test_without_its_lists_the_error_or_the_warning_says_so(listed: Index) -> None:
    listed.calibrate(make_draw(3)(300), target=TARGET, timed=False)
    listed.partition(0)
    (state,) = listed.calibration_state()
    assert state.state == "stale"
    assert ", now none" in state.reasons[0]
    assert state.recall_now is None
    with (
        pytest.warns(StaleCalibrationWarning, match="now none"),
        pytest.raises(PlanError, match="has no lists"),
    ):
        listed.search(make_draw(4)(1), 5, target=TARGET)


def test_a_calibration_of_scans_does_not_care_for_lists(listed: Index) -> None:
    """Also one that was made before there were lists, whose key has none."""
    listed.partition(0)
    found = listed.calibrate(make_draw(3)(300), target=TARGET, timed=False)
    assert not any(looks_into_lists(row.plan) for row in found.frontier)
    stored = listed._opened.store.catalog.settings()["calibration"]
    assert stored["entries"][0]["key"].pop("lists") == "none"
    with listed._opened.store.catalog.write() as connection:
        put_setting(connection, "calibration", stored)
    assert listed.calibration_state()[0].state == "fresh"
    listed.partition(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert listed.calibration_state()[0].state == "fresh"
        assert listed.search(make_draw(4)(2), 5, target=TARGET).plan == found.plan
