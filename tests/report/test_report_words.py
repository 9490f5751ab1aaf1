"""What the report says: the plan, what it saves, and what it must not keep quiet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, Nesting, Plan
from kukla.cost import PlanCost, plan_cost
from kukla.precision import Precision
from kukla.projection import fit_pca
from kukla.report import Asked, Report, render, report_index, report_vectors
from kukla.report.notices import notices
from kukla.report.plan_words import gain, milliseconds, plan_sentence, plan_steps, times
from kukla.report.plans import pick_state
from kukla.report.words import headline, savings_sentence, tiles

from .conftest import DIM, draw, make_index


def cost_of(plan: str, documents: int = 200_000) -> PlanCost:
    """A plan on 512 dims."""
    kept = (Precision.BINARY, Precision.INT8, Precision.FLOAT32)
    return plan_cost(Plan.parse(plan), Nesting((128, 256, 512)), kept, documents=documents, k=10)


def test_a_plan_is_a_sentence() -> None:
    assert plan_sentence(cost_of("128:int8@20x > 512:float32"), 512) == (
        "Scan 128 of 512 dims in int8 for all 200,000 documents, keep 200; rank those on all 512 dims in "
        "float32, return 10."
    )
    three = plan_sentence(cost_of("256:binary@160 > 512:binary@64 > 512:float32"), 512)
    assert "keep 160; rescore those on all 512 dims as sign bits, keep 64; rank those" in three


def test_stages_say_what_they_read_and_keep() -> None:
    first, last = plan_steps(cost_of("128:int8@20x > 512:float32"), 512)
    assert first.title == "Scan 128 of 512 dims in int8"
    assert first.text == "All 200,000 documents: 136 bytes each, 27.2 MB a query; keep the best 200."
    assert (first.share, first.bits) == (0.25, 8)
    assert last.text == "Those 200: 2,048 bytes each, 410 kB a query; return the best 10."
    (only,) = plan_steps(cost_of("512:float32", documents=3), 512)
    assert only.text.endswith("return the best 3.")


def test_a_plan_that_looks_into_lists_is_a_sentence_too(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=64, nesting=(64,)) as index:
        index.add(draw(1200, 0))
        index.partition(30)
        cost = index.explain("64:pq4/8@50 > 64:float32")
    scored = cost.stages[0].scored
    assert 0 < scored < 1200
    assert plan_sentence(cost, 64) == (
        f"Scan all 64 dims by codes in lists for the most promising {scored:,} documents, keep 50; rank "
        "those on all 64 dims in float32, return 10."
    )
    assert plan_steps(cost, 64)[0].text.startswith(f"The most promising {scored:,} documents: ")


@pytest.mark.parametrize(
    ("ratio", "said"), [(64.0, "64×"), (9.96, "10×"), (3.84, "3.8×"), (1.0, "1.0×"), (0.79, "0.79×")]
)
def test_ratios_have_two_digits(ratio: float, said: str) -> None:
    assert times(ratio) == said


def test_a_loss_is_not_called_a_gain() -> None:
    assert gain(4.0, "less", "more") == ("4.0×", "less")
    assert gain(0.5, "faster", "slower") == ("2.0×", "slower")
    assert milliseconds(0.0004567) == "0.457 ms"
    assert milliseconds(0.00085) == "0.850 ms"
    assert milliseconds(0.1234) == "123 ms"


def test_a_calibrated_index_leads_with_its_bound(report: Report) -> None:
    calibration = report.index.calibration
    assert headline(report).startswith("A plan proven to reach recall@5 of at least 0.9 scans ")
    first, memory, *_ = tiles(report)
    assert first.value == f"≥ {np.floor(calibration.chosen.bound * 1e4) / 1e4:.4f}"
    assert first.detail == f"{calibration.chosen.held_out:.4f} on 175 held-out queries"
    assert memory.label == "less memory to scan"
    assert notices(report) == []
    assert savings_sentence(report.index).startswith("Against exact search: ")


def test_the_plan_in_use_is_the_calibrated_one_and_was_run(report: Report) -> None:
    facts = report.index
    assert [row.role for row in facts.plans] == ["exact", "own", "chosen"]
    assert facts.used.plan == facts.calibration.plan
    assert facts.exact.recall == 1.0
    assert facts.used.recall >= 0.85
    assert all(row.seconds > 0 for row in facts.plans)
    assert (facts.timed_queries, facts.timed_on) == (32, "questions.npy, kept with the calibration")


def test_without_a_calibration_nothing_is_promised(tmp_path: Path) -> None:
    with Index.open(make_index(tmp_path / "new.kukla")) as index:
        made = report_index(index)
    assert headline(made).startswith("Nothing is calibrated yet.")
    (todo,) = notices(made)
    assert todo.title == "Not calibrated"
    assert todo.command == (
        f"kukla calibrate {tmp_path / 'new.kukla'} --queries questions.jsonl --target 'recall@10>=0.95'"
    )
    assert "not proven" in tiles(made)[0].label
    assert not any("≥" in tile.value for tile in tiles(made))


def test_a_target_calibrates_and_keeps(tmp_path: Path) -> None:
    path = make_index(tmp_path / "i.kukla")
    with Index.open(path) as index:
        made = report_index(index, target="recall@5>=0.8")
        assert len(index.calibration_state(search=False)) == 1
    assert made.index.chosen_here
    (warning,) = notices(made)
    assert warning.title == "An estimate"
    assert headline(made).startswith("A plan estimated to reach")
    assert tiles(made)[0].label.endswith("estimated")


def test_a_stale_calibration_is_said_first(tmp_path: Path) -> None:
    path = make_index(tmp_path / "i.kukla")
    with Index.open(path) as index:
        index.calibrate(draw(250, 2), target="recall@5>=0.9", timed=False)
        index.add(draw(200, 9))
        made = report_index(index)
    first = notices(made)[0]
    assert (first.kind, first.title) == ("warning", "Stale")
    assert "200 documents were added" in first.text
    assert first.command.startswith("kukla calibrate ")
    assert headline(made).startswith("Before this index changed, the plan was proven")
    assert tiles(made)[0].label.endswith("before the change")


def test_exact_search_saves_nothing_and_says_so(tmp_path: Path) -> None:
    with Index.create(tmp_path / "f.kukla", dim=DIM, precisions=["float32"], nesting=(DIM,)) as index:
        index.add(draw(60, 1))
        made = report_index(index)
    assert savings_sentence(made.index) == "This is exact search: it loses nothing and saves nothing."
    assert [row.role for row in made.index.plans] == ["exact"]


def test_three_documents_and_none(tmp_path: Path) -> None:
    with Index.open(make_index(tmp_path / "three.kukla", 3)) as index:
        three = report_index(index)
    assert three.profile is None
    assert "at least 20 different vectors, got 3" in notices(three)[1].text
    assert three.index.used.recall == 1.0
    with Index.open(make_index(tmp_path / "none.kukla", 0)) as index:
        none = report_index(index)
    assert headline(none) == "This index is empty: there is nothing to measure yet."


def test_too_few_queries_cost_the_verdict_and_not_the_page(tmp_path: Path) -> None:
    with Index.open(make_index(tmp_path / "i.kukla")) as index:
        made = report_index(index, draw(4, 5))
    assert made.profile is None
    assert any("at least 10 queries, got 4" in notice.text for notice in notices(made))
    assert made.index.timed_queries == 4


def test_bare_vectors_have_a_verdict_and_no_plan() -> None:
    made = report_vectors(draw(300, 1), title="vectors.npy")
    assert made.index is None
    assert headline(made) == "These vectors are nested: their prefixes are embeddings too."
    assert tiles(made)[0].label == "recall@10 of 32 dims alone"


def test_the_headline_follows_the_verdict() -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, (97, 96)).astype(np.float32)
    made = report_vectors(noise, title="noise.npy")
    assert headline(made) == "These are not embeddings at all: they cannot be told from noise."
    assert [notice.title for notice in notices(made)] == ["Not embeddings at all"]


def test_commands_repeat_the_calibration_that_is_shown(report: Report, calibrated: Path) -> None:
    texts = [command.text for command in report.commands]
    assert f"kukla calibrate {calibrated} --queries QUERIES --target 'recall@5>=0.9'" in texts
    assert f"kukla search {calibrated} 'your question' -k 5 --target 'recall@5>=0.9'" in texts


def test_options_of_the_calibration_are_repeated(tmp_path: Path) -> None:
    with Index.open(make_index(tmp_path / "i.kukla")) as index:
        index.calibrate(target="recall@5>=0.8", confidence=0.9, seed=3, timed=False)
        made = report_index(index, asked=Asked("my index.kukla"))
    texts = [command.text for command in made.commands]
    assert "kukla calibrate 'my index.kukla' --confidence 0.9 --seed 3 --target 'recall@5>=0.8'" in texts


def test_a_projection_is_undone_for_the_verdict_on_the_model(tmp_path: Path) -> None:
    vectors = draw(400, 1)
    turn = fit_pca(vectors)
    with Index.create(tmp_path / "p.kukla", dim=DIM, nesting=(16, 32, DIM), projection=turn) as index:
        index.add(vectors)
        made = report_index(index)
    assert any("before the index's " in note for note in made.profile.notes)
    assert "stores its vectors after a " in render(made)


def test_slower_and_dearer_plans_are_called_so(report: Report) -> None:
    exact, _, chosen = report.index.plans
    worse = replace(chosen, seconds=2 * exact.seconds, bytes_moved=2 * exact.bytes_moved)
    made = replace(report, index=replace(report.index, plans=(exact, worse)))
    _, memory, moved, time = tiles(made)
    assert memory.label == "less memory to scan"
    assert (moved.value, moved.label) == ("2.0×", "more bytes moved a query")
    assert (time.value, time.label) == ("2.0×", "slower a query")
    assert "2.0× more bytes moved, 2.0× slower." in savings_sentence(made.index)
    better = replace(chosen, seconds=exact.seconds / 4)
    made = replace(report, index=replace(report.index, plans=(exact, better)))
    assert (tiles(made)[3].value, tiles(made)[3].label) == ("4.0×", "faster a query")


def test_which_calibration_is_reported(report: Report) -> None:
    given = report.index.main
    estimated = replace(given, calibration=replace(given.calibration, estimated=True))
    judged = replace(given, calibration=replace(given.calibration, judged=True))
    stale = replace(given, state="stale")
    newer = replace(given, calibration=replace(given.calibration, seed=9))
    assert pick_state([given, newer], None) is newer
    assert pick_state([newer, stale], None) is newer
    assert pick_state([given, judged], None) is given
    assert pick_state([given, estimated], None) is given
    assert pick_state([estimated, stale], None) is estimated
    assert pick_state([given, newer], given.calibration) is given
    assert pick_state([], None) is None


def test_a_plan_has_the_k_of_its_calibration_and_the_verdict_may_have_another(calibrated: Path) -> None:
    with Index.open(calibrated, read_only=True) as index:
        made = report_index(index, k=20)
    assert made.profile.k == 20
    assert made.index.used.cost.k == 5
    texts = [command.text for command in made.commands]
    assert f"kukla profile {calibrated} -k 20" in texts
    assert any(text.startswith("kukla explain") and text.endswith("-k 5") for text in texts)
