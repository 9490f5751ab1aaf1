"""Calibrations stay with the index, serve searches, and say when they do not hold any more."""

from __future__ import annotations

import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, Plan
from kukla.calibrate import StaleCalibrationWarning
from kukla.errors import ChecksumError, ForeignFileError, InputError

from .conftest import DIM, Draw, make_draw

TARGET = "recall@5>=0.9"


@pytest.fixture
def calibrated(own: Index) -> Index:
    own.calibrate(make_draw(3)(200), target=TARGET, timed=False)
    return own


def test_a_search_uses_the_cheapest_proven_plan(calibrated: Index, draw: Draw) -> None:
    (state,) = calibrated.calibration_state()
    assert (state.state, state.reasons) == ("fresh", ())
    assert state.recall_now == state.recall_then > 0.8
    found = calibrated.search(draw(2), 5, target=TARGET)
    assert found.plan == state.calibration.plan
    stricter = calibrated.search(draw(2), 5, target="recall@5>=0.97").plan
    bytes_moved = {row.plan: row.bytes_moved for row in state.calibration.frontier}
    assert bytes_moved[stricter] >= bytes_moved[found.plan]
    assert calibrated.search(draw(2), 5, target="recall@5>=0.99999").plan == Plan.parse("32:float32")


def test_it_survives_closing_and_a_read_only_folder(calibrated: Index, draw: Draw) -> None:
    plan = calibrated.search(draw(1), 5, target=TARGET).plan
    state = calibrated.calibration_state()
    calibrated.close()
    with Index.open(calibrated.path, read_only=True) as index:
        assert index.search(draw(1), 5, target=TARGET).plan == plan
        assert index.calibration_state() == state
        index.verify()


def test_several_stand_side_by_side_and_a_new_one_replaces_its_own(calibrated: Index, draw: Draw) -> None:
    calibrated.calibrate(target=TARGET, timed=False)
    calibrated.calibrate(draw(200), target="recall@3>=0.8", timed=False)
    names = [(s.calibration.target.name, s.calibration.population) for s in calibrated.calibration_state()]
    assert names == [("recall@5", "queries"), ("recall@5", "documents as queries"), ("recall@3", "queries")]
    # Real queries come before documents as queries, although those are newer.
    expected = calibrated.calibration_state()[0].calibration.plan
    assert calibrated.search(draw(1), 5, target=TARGET).plan == expected
    calibrated.calibrate(draw(200), target="recall@5>=0.8", timed=False)
    names = [(str(s.calibration.target), s.calibration.population) for s in calibrated.calibration_state()]
    assert names == [
        (TARGET, "documents as queries"), ("recall@3>=0.8", "queries"), ("recall@5>=0.8", "queries"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("k", "options", "says"),
    [
        (10, {"target": TARGET}, "they must agree"),
        (7, {"target": "recall@7>=0.9"}, "it has recall@5.*kukla calibrate"),
        (5, {"target": TARGET, "plan": "32:float32"}, "give no plan"),
        (5, {"target": TARGET, "dims": 8}, "give no plan"),
        (5, {"target": "recall"}, "cannot read the target"),
    ],
)
def test_targets_that_cannot_be_met(
    calibrated: Index, draw: Draw, k: int, options: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        calibrated.search(draw(1), k, **options)  # type: ignore[arg-type]


def test_without_a_calibration_the_error_tells_the_command(own: Index, draw: Draw) -> None:
    assert own.calibration_state() == ()
    with pytest.raises(InputError, match=r"run kukla calibrate .* --target 'recall@5>=0.9'"):
        own.search(draw(1), 5, target=TARGET)


def test_a_few_new_documents_leave_it_fresh_and_many_make_it_stale(calibrated: Index, draw: Draw) -> None:
    calibrated.add(draw(50))
    assert calibrated.calibration_state()[0].state == "fresh"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated.search(draw(1), 5, target=TARGET)
    calibrated.add(draw(50))
    assert "100 documents were added" in calibrated.calibration_state()[0].reasons[0]
    with pytest.warns(StaleCalibrationWarning, match="100 documents were added.*calibrate again"):
        found = calibrated.search(draw(1), 5, target=TARGET)
    assert found.plan == calibrated.calibration_state()[0].calibration.plan
    calibrated.calibrate(draw(200), target=TARGET, timed=False)
    assert calibrated.calibration_state()[0].state == "fresh"


def test_deleted_and_replaced_documents_count(calibrated: Index, draw: Draw) -> None:
    ids = calibrated.search(draw(1), 100).ids[0].tolist()
    calibrated.upsert(draw(70), ids=ids[:70])
    reasons = calibrated.calibration_state(search=False)[0].reasons
    assert "70 documents were added" in reasons[0]
    assert "70 documents were removed" in reasons[1]


def test_a_few_documents_that_are_nearer_to_every_query_move_the_scores(tmp_path: Path) -> None:
    queries = make_draw(3)(200)
    with Index.create(tmp_path / "big.kukla", dim=DIM, nesting=(8, DIM)) as index:
        index.add(make_draw(1)(11_000))
        index.calibrate(queries, target=TARGET, timed=False)
        assert index.calibration_state()[0].state == "fresh"
        index.add(np.concatenate([queries * factor for factor in (0.8, 0.9, 1.0, 1.1, 1.2)]))
        (state,) = index.calibration_state()
        assert state.state == "stale"
        assert "score of the stored queries moved" in state.reasons[0]
        assert index.calibration_state(search=False)[0].state == "fresh"


def test_damage_is_found(calibrated: Index, draw: Draw) -> None:
    calibrated.close()
    change(
        calibrated.path, "UPDATE settings SET value = replace(value, '0.9', '0.8') WHERE name = 'calibration'"
    )
    with pytest.raises(ChecksumError, match="calibration"):
        Index.open(calibrated.path)


def test_a_setting_that_is_none_of_ours(calibrated: Index, draw: Draw) -> None:
    from kukla.storage.catalog import put_setting

    for value, error in (({"format": 2}, None), ({"format": 1, "entries": [{"key": {}}]}, ForeignFileError)):
        with calibrated._opened.store.catalog.write() as connection:
            put_setting(connection, "calibration", value)
        if error is None:
            assert calibrated.calibration_state() == ()
        else:
            with pytest.raises(error, match="calibrate again"):
                calibrated.calibration_state()
    calibrated.calibrate(draw(200), target=TARGET, timed=False)
    assert len(calibrated.calibration_state()) == 1


def test_another_projection_metric_or_nesting_makes_it_stale(calibrated: Index, draw: Draw) -> None:
    from kukla.storage.catalog import put_setting

    stored = calibrated._opened.store.catalog.settings()["calibration"]
    stored["entries"][0]["key"] |= {"projection": "pca:0a1b2c3d", "kukla": "0.0.1"}
    with calibrated._opened.store.catalog.write() as connection:
        put_setting(connection, "calibration", stored)
    (state,) = calibrated.calibration_state()
    assert state.state == "stale"
    assert len(state.reasons) == 1
    assert state.reasons[0].startswith("the projection was pca:0a1b2c3d, now identity")
    with pytest.warns(StaleCalibrationWarning, match="projection"):
        calibrated.search(draw(1), 5, target=TARGET)


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path / "catalog.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()
