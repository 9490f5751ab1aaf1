"""The chosen plan keeps its promise on queries that nobody has seen; the search space; every refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, Plan
from kukla.calibrate import Calibration, PlanTest, calibrate
from kukla.calibrate.bound import queries_needed
from kukla.calibrate.candidates import Candidate, cheaper_stages, generate, sequence, shortlists, true_ranks
from kukla.calibrate.price import Price, Prices
from kukla.calibrate.questions import document_questions, given_questions
from kukla.errors import InputError, VectorError, WriteError
from kukla.evaluate import exact_answers
from kukla.target import Target

from .conftest import DIM, Draw, make_draw, make_index


def test_the_promise_holds_on_fresh_queries_as_often_as_it_says(shared: Index) -> None:
    fresh = make_draw(99)(3000)
    exact = exact_answers(shared, fresh, k=5)
    true: dict[Plan, float] = {}
    broken, saved = 0, []
    runs = 8
    for seed in range(runs):
        found = shared.calibrate(
            make_draw(100 + seed)(400),
            target="recall@5>=0.95",
            confidence=0.8,
            seed=seed,
            timed=False,
            save=False,
        )
        if found.plan not in true:
            true[found.plan] = exact.recall(shared.search(fresh, 5, plan=found.plan).ids).mean()
        broken += true[found.plan] < 0.95
        saved.append(found.bytes_saved)
    # Were each right with probability 0.8 only, more than 4 of 8 would be wrong in 1 % of all cases.
    assert broken <= 4
    assert np.median(saved) > 2


def test_what_is_reported(shared: Index, draw: Draw) -> None:
    done: list[tuple[int, int | None]] = []
    found = shared.calibrate(
        draw(400), target="recall@10>=0.95", save=False, progress=lambda a, b: done.append((a, b))
    )
    assert done[-1][0] == done[-1][1]
    assert found.target == Target("recall", 10, 0.95)
    assert (found.selection_queries, found.held_out_queries, found.documents) == (120, 280, 800)
    assert found.chosen.bound >= 0.95
    assert found.chosen.held_out >= found.chosen.bound
    assert found.exact.plan == Plan.parse("32:float32")
    assert found.exact.bound == 1
    assert found.memory_saved > 1
    assert any(row.seconds for row in found.frontier)
    assert [row.bytes_moved for row in found.frontier] == sorted(
        (row.bytes_moved for row in found.frontier), reverse=True
    )
    text = str(found)
    assert str(found.plan) in text
    assert "280 held-out queries" in text
    assert "0.95 confidence" in text
    assert Calibration.from_dict(found.to_dict()) == found


def test_the_same_seed_gives_the_same_calibration(shared: Index) -> None:
    queries = make_draw(5)(300)
    first, second = (
        shared.calibrate(queries, target="recall@10>=0.9", seed=3, timed=False, save=False) for _ in range(2)
    )
    assert replace(first, seconds=0) == replace(second, seconds=0)


# Fixed-sequence testing


def rows_of(bounds: list[float]) -> tuple[PlanTest, ...]:
    plans = ["32:float32", "32:int8", "16:int8", "32:binary"]
    return tuple(
        PlanTest(Plan.parse(plan), 100 - i, 0, 10, 1, 1.0, 1.0, bound)
        for i, (plan, bound) in enumerate(zip(plans, bounds, strict=False))
    )


def test_testing_stops_at_the_first_plan_that_misses(shared: Index, draw: Draw) -> None:
    found = shared.calibrate(draw(300), target="recall@10>=0.9", timed=False, save=False)
    # The last would be the cheapest, but it comes after a failure: accepting it would be a second chance.
    tested = replace(found, frontier=rows_of([1, 0.97, 0.93, 0.96]), plan=Plan.parse("32:int8"))
    assert tested.plan_for(Target("recall", 10, 0.95)) == Plan.parse("32:int8")
    assert tested.plan_for(Target("recall", 10, 0.92)) == Plan.parse("32:binary")
    assert tested.plan_for(Target("recall", 10, 0.98)) == Plan.parse("32:float32")
    with pytest.raises(InputError, match="recall@10"):
        tested.plan_for(Target("recall", 5, 0.9))


def test_a_sequence_falls_in_price_and_recall() -> None:
    def candidate(moved: int, recall: float, margin: float) -> Candidate:
        return Candidate(Plan.parse(f"8:int8@{moved} > 32:float32"), Price(moved, 0), recall, margin)

    given = [
        candidate(90, 1.0, 1.0),
        candidate(70, 1.0, 0.99),
        candidate(60, 0.9, 0.97),
        candidate(40, 0.95, 0.95),
        candidate(10, 0.2, 0.2),
    ]
    chosen = sequence(given, Price(120, 0))
    # 60 found less than the cheaper 40; 10 finds too little to be worth a test.
    assert [found.price.bytes_moved for found in chosen] == [90, 70, 40]


# The search space


def test_estimates_of_one_and_two_stages_are_what_running_gives_and_of_three_never_above(own: Index) -> None:
    questions = given_questions(own, make_draw(7)(60), False)
    truth = questions.truth(own, 5, 1)
    ranks = true_ranks(own, questions, truth, cheaper_stages(own), threads=1, step=lambda: None)
    candidates = list(generate(own, ranks, 5, Prices(own, 5)))
    assert {len(candidate.plan.stages) for candidate in candidates} == {1, 2, 3}
    rng = np.random.default_rng(0)
    for i in rng.choice(len(candidates), 60, replace=False):
        plan = candidates[i].plan
        found = truth.recall(questions.find(own, 5, plan, 1)).mean()
        if len(plan.stages) < 3:
            assert candidates[i].recall == pytest.approx(found, abs=1e-9), plan
        else:
            assert candidates[i].recall <= found + 1e-9, plan
        assert candidates[i].margin <= candidates[i].recall + 1e-9


def test_shortlists_are_round_and_ascend() -> None:
    sizes = shortlists(10, 1000)
    assert (sizes[0], sizes[-1]) == (10, 1000)
    assert sizes == sorted(set(sizes))
    assert all(size < 100 or size % 10 == 0 for size in sizes)
    assert shortlists(10, 5) == []


def test_the_price_counts_cache_lines_of_candidates(own: Index) -> None:
    prices = Prices(own, 10)

    def moved(plan: str) -> int:
        return prices.of(Plan.parse(plan)).bytes_moved

    assert moved("32:float32") == 600 * 128
    assert moved("16:binary@50 > 32:float32") == 600 * 2 + 50 * 128
    # Two shells with codes and scales, and a norm: five lines.
    assert moved("16:binary@50 > 16:int8@20 > 32:float32") == 600 * 2 + 50 * 5 * 64 + 20 * 128
    assert prices.resident_bytes(Plan.parse("16:int8@50 > 32:float32")) == 600 * (16 + 2 * 4 + 4)


# Documents as queries


def test_documents_never_find_themselves_and_are_an_estimate(own: Index) -> None:
    questions = document_questions(own, np.random.default_rng(0))
    assert len(questions) == 600
    assert questions.own is not None
    found = questions.find(own, 5, Plan.parse("32:float32"), 1)
    assert found.shape == (600, 5)
    assert not (found == questions.own[:, None]).any()
    calibrated = own.calibrate(target="recall@5>=0.9", timed=False)
    assert calibrated.estimated
    assert calibrated.population == "documents as queries"
    assert "real queries differ" in str(calibrated)


def test_string_ids_work_as_well(tmp_path: Path, draw: Draw) -> None:
    with Index.create(tmp_path / "s.kukla", dim=DIM, nesting=(8, DIM)) as index:
        index.add(draw(300), ids=[f"d{i}" for i in range(300)])
        found = index.calibrate(target="recall@5>=0.8", timed=False)
        assert found.chosen.bound >= 0.8
        (state,) = index.calibration_state()
        assert state.state == "fresh"


# Refusals


def test_too_few_queries_say_how_many_are_needed(shared: Index, draw: Draw) -> None:
    needed = queries_needed(0.99, 0.95) + 20
    with pytest.raises(InputError, match=f"at least {needed}"):
        shared.calibrate(draw(50), target="recall@10>=0.99")
    with pytest.raises(InputError, match="3 different queries"):
        shared.calibrate(draw(3), target="recall@10>=0.9")
    with pytest.raises(InputError, match="1 different queries"):
        shared.calibrate(np.repeat(draw(1), 500, axis=0), target="recall@10>=0.9")


def test_just_enough_queries_may_prove_nothing_but_exact_search(shared: Index, draw: Draw) -> None:
    found = shared.calibrate(draw(180), target="recall@10>=0.98", timed=False, save=False)
    assert found.chosen.bound >= 0.98  # exact search is right by definition
    if found.plan == found.exact.plan:
        assert "more queries may prove one" in str(found)


def test_copies_and_documents_among_the_queries_are_said(own: Index, draw: Draw) -> None:
    queries = draw(200)
    stored = np.stack([document.vector for document in own.get(range(1, 4))])
    found = own.calibrate(
        np.concatenate([queries, queries[:7], stored]), target="recall@5>=0.9", timed=False, save=False
    )
    assert any("7 queries that were given before" in note for note in found.notes)
    assert any("3 queries are vectors of documents" in note for note in found.notes)


def test_memory_is_a_limit(shared: Index, draw: Draw) -> None:
    queries = draw(400)
    found = shared.calibrate(queries, target="recall@10>=0.9", max_memory=3200, timed=False, save=False)
    assert found.chosen.resident_bytes <= 3200
    with pytest.raises(InputError, match="the best bound is"):
        shared.calibrate(queries, target="recall@10>=0.9", max_memory=10, save=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "recall@10"}, "cannot read the target"),
        ({"target": "ndcg@10>=0.9"}, "judgements"),
        ({"target": "recall@10>=0.9", "confidence": 95}, "confidence"),
        ({"target": "recall@10>=0.9", "seed": -1}, "seed"),
        ({"target": "recall@10>=0.9", "max_memory": 0}, "max_memory"),
    ],
)
def test_bad_arguments(shared: Index, draw: Draw, options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        calibrate(shared, draw(200), **options)  # type: ignore[arg-type]


def test_bad_queries(shared: Index, draw: Draw) -> None:
    broken = draw(200)
    broken[4, 2] = np.nan
    with pytest.raises(VectorError, match="row 4"):
        shared.calibrate(broken, target="recall@10>=0.9")
    with pytest.raises(VectorError, match="32 dims"):
        shared.calibrate(draw(200)[:, :8], target="recall@10>=0.9")
    with pytest.raises(VectorError, match="all zeros"):
        shared.calibrate(np.zeros((200, DIM), np.float32), target="recall@10>=0.9")
    with pytest.raises(InputError, match="no"):
        shared.calibrate(draw(200)[:0], target="recall@10>=0.9")


def test_an_empty_index_and_a_read_only_one(tmp_path: Path, draw: Draw) -> None:
    with Index.create(tmp_path / "e.kukla", dim=DIM) as index, pytest.raises(InputError, match="empty"):
        index.calibrate(draw(200), target="recall@10>=0.9")
    with make_index(tmp_path / "r.kukla", draw(100)):
        pass
    with Index.open(tmp_path / "r.kukla", read_only=True) as index:
        with pytest.raises(WriteError, match="read-only"):
            index.calibrate(draw(200), target="recall@10>=0.9")
        assert index.calibrate(draw(200), target="recall@10>=0.9", save=False, timed=False)


def test_copies_of_one_document_lose_nothing(tmp_path: Path, draw: Draw) -> None:
    with Index.create(tmp_path / "c.kukla", dim=DIM, nesting=(8, DIM)) as index:
        index.add(np.repeat(draw(1), 100, axis=0))
        found = index.calibrate(draw(100), target="recall@10>=0.9", timed=False, save=False)
        assert found.plan.stages[0].dim == 8
        assert any("for 100 queries more than 10 documents share" in note for note in found.notes)
        with pytest.raises(InputError, match="1 different queries"):
            index.calibrate(target="recall@10>=0.9")


def test_more_results_than_documents(tmp_path: Path, draw: Draw) -> None:
    with make_index(tmp_path / "few.kukla", draw(5)) as index:
        found = index.calibrate(draw(200), target="recall@10>=0.9", timed=False)
        assert str(found.plan) == "8:binary"  # everything is found in any order
        assert index.search(draw(2), 10, target="recall@10>=0.9").ids.shape == (2, 5)
        exact = replace(found, plan=found.exact.plan)
        assert "none was faster here" in str(exact)


def test_nothing_but_exact_vectors(tmp_path: Path, draw: Draw) -> None:
    with Index.create(tmp_path / "f.kukla", dim=DIM, nesting=(DIM,), precisions=["float32"]) as index:
        index.add(draw(100))
        found = index.calibrate(draw(200), target="recall@10>=0.9")
        assert found.plan == found.exact.plan
        assert "more queries may prove one" not in str(found)


def test_an_inner_product_index(tmp_path: Path, draw: Draw) -> None:
    with Index.create(tmp_path / "ip.kukla", dim=DIM, nesting=(8, 16, DIM), metric="ip") as index:
        index.add(draw(500) * np.linspace(0.5, 3, 500, dtype=np.float32)[:, None])
        found = index.calibrate(draw(200), target="recall@5>=0.9", timed=False)
        assert found.chosen.bound >= 0.9
        assert index.calibration_state()[0].state == "fresh"
