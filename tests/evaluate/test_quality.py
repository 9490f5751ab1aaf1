"""Quality of dims and precisions on real texts: Python's documentation, asked for by its own summaries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, Plan, kernels, load_embedder
from kukla.errors import InputError, PlanError
from kukla.evaluate import QualityCurve, draw_quality, evaluate_quality, evaluate_runs
from kukla.evaluate.measures import rank_scores
from kukla.readers import python_documents

Task = tuple[list[str], list[str], list[str], list[str], dict[str, dict[str, int]]]


@pytest.fixture(scope="session")
def task() -> Task:
    """Ids and texts of 400 documents; ids, texts, judgements of 120 queries: a first line finds the rest."""
    ids, texts, query_ids, queries, qrels = [], [], [], [], {}
    for number, document in enumerate(islice(python_documents(), 1200)):
        rest = (document.text or "").partition("\n")[2]
        summary, _, body = rest.strip().partition("\n")
        if len(body) < 80 or len(summary) < 25 or body in texts or len(ids) == 400:
            continue
        ids.append(f"doc{number:04}")
        texts.append(body)
        if len(queries) < 120 and len(ids) % 3 == 0:
            query_ids.append(f"q{number}")
            queries.append(summary)
            qrels[f"q{number}"] = {f"doc{number:04}": 2, ids[-2]: 1}  # the one before is of the same module
    return ids, texts, query_ids, queries, qrels


@pytest.fixture(scope="session")
def index(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """The documents, embedded by the built-in model."""
    path = tmp_path_factory.mktemp("quality") / "docs.kukla"
    with pytest.MonkeyPatch.context() as patch:
        if kernels.available() == ("numpy",):
            patch.setenv("KUKLA_KERNELS", "numpy")
        with Index.create(path, embedder=load_embedder()) as index:
            index.add(task[1], ids=task[0])
            yield index


@pytest.fixture(scope="session")
def curve(index: Index, task: Task) -> QualityCurve:
    """Everything, at nDCG@10 and R@50."""
    _, _, query_ids, queries, qrels = task
    return evaluate_quality(
        index,
        queries,
        qrels,
        query_ids=query_ids,
        measures=["nDCG@10", "R@50"],
        plans=["32:int8@4x > 512:float32"],
    )


def test_every_dim_and_precision_then_plans(curve: QualityCurve, index: Index) -> None:
    assert (curve.documents, curve.queries, curve.full_dim, curve.grades) == (400, 120, 512, (1, 2))
    assert curve.notes == ()
    assert [(row.precision, row.dim) for row in curve.rows if row.alone] == [
        (precision, dim) for precision in ("binary", "int8", "float32") for dim in (32, 64, 128, 256, 512)
    ]
    assert [str(row.plan) for row in curve.plans()] == ["32:int8@4x > 512:float32"]
    assert [row.dim for row in curve.curve("int8")] == [32, 64, 128, 256, 512]
    for row in curve.rows:
        cost = index.explain(row.plan, documents=1, k=1)
        assert row.bytes_per_vector == cost.stages[0].bytes_per_vector
        assert row.size == row.bytes_per_vector / 2048
        assert row.payload_bytes == row.dim * row.precision.bits // 8
    assert json.loads(json.dumps(curve.as_dict()))["rows"][-1]["plan"] == "32:int8@4x > 512:float32"


def test_values_are_those_of_the_rankings_that_numpy_makes(curve: QualityCurve, task: Task) -> None:
    ids, texts, query_ids, queries, qrels = task
    embedder = load_embedder()
    documents, asked = embedder.encode_documents(texts)[:, :64], embedder.encode_queries(queries)[:, :64]
    documents = documents / np.linalg.norm(documents, axis=1, keepdims=True)
    best = np.argsort(-(asked @ documents.T), axis=1, kind="stable")
    run = {q: rank_scores(ids[i] for i in row[:50]) for q, row in zip(query_ids, best, strict=True)}
    truth = {
        row.measure: row.mean for row in evaluate_runs({"numpy": run}, qrels, measures=curve.measures).rows
    }
    (row,) = (row for row in curve.curve("float32") if row.dim == 64)
    for measure in curve.measures:
        assert row.quality(measure).mean.mean == pytest.approx(truth[measure].mean, abs=1e-9)
    assert 0.2 < row.quality("nDCG@10").mean.mean < 0.95


def test_shares_of_full_vectors_are_paired(curve: QualityCurve) -> None:
    full = curve.full.quality("nDCG@10")
    assert str(curve.full.plan) == "512:float32"
    assert (full.relative.mean, full.relative.low, full.relative.high) == (1, 1, 1)  # type: ignore[union-attr]
    for row in curve.rows:
        quality = row.quality("nDCG@10")
        assert quality.relative is not None
        assert quality.relative.mean == pytest.approx(quality.mean.mean / full.mean.mean)
        assert quality.mean.low <= quality.mean.mean <= quality.mean.high
        assert quality.relative.low <= quality.relative.mean <= quality.relative.high
    int8 = curve.curve("int8")[-2].quality("nDCG@10")
    # Hard queries are hard for both: the share is known far better than the value.
    assert int8.relative is not None
    assert int8.relative.half < int8.mean.half / int8.mean.mean / 2
    coarse = curve.curve("binary")[0].quality("nDCG@10").relative
    assert coarse is not None
    assert coarse.high < 0.9


def test_the_smallest_that_keeps_enough(curve: QualityCurve) -> None:
    found = curve.smallest("R@50", keeps=0.9)
    assert found is not None
    assert found.alone
    assert found.quality("R@50").relative.low >= 0.9  # type: ignore[union-attr]
    for row in curve.rows:
        share = row.quality("R@50").relative
        if row.alone and row.bytes_per_vector < found.bytes_per_vector:
            assert share is not None
            assert share.low < 0.9
    assert curve.smallest("nDCG@10", keeps=1.5) is None
    with pytest.raises(InputError, match="'AP' was not measured; measured: nDCG@10, R@50"):
        curve.full.quality("AP")


def test_a_plan_is_measured_at_the_cutoff_of_each_measure(
    index: Index, task: Task, curve: QualityCurve
) -> None:
    """@4x keeps 40 candidates for nDCG@10, whatever other measures look at."""
    _, _, query_ids, queries, qrels = task
    run = index.search(queries, 10, plan="32:int8@4x > 512:float32").ids
    ranked = {q: rank_scores(row) for q, row in zip(query_ids, run.tolist(), strict=True)}
    (row,) = evaluate_runs({"run": ranked}, qrels, measures=["nDCG@10"]).rows
    (plan,) = curve.plans()
    assert plan.quality("nDCG@10").mean.mean == pytest.approx(row.mean.mean, abs=1e-12)
    at_50 = index.search(queries, 50, plan="32:int8@4x > 512:float32").ids[:, :10]
    assert not np.array_equal(at_50, run)  # or this test could not fail


def test_what_is_left_out_is_said(index: Index, task: Task) -> None:
    ids, _, query_ids, queries, qrels = task
    some = {query: dict(qrels[query]) for query in query_ids[:20]}
    some[query_ids[0]]["gone"] = 1
    some["nobody"] = {ids[0]: 1}
    some[query_ids[21]] = {ids[0]: 0}
    found = evaluate_quality(index, queries, some, query_ids=query_ids, measures=["R@500"], dims=[64])
    assert found.queries == 20
    assert [str(row.plan) for row in found.rows] == ["64:binary", "64:int8", "64:float32", "512:float32"]
    assert found.notes == (
        "100 of 120 queries without a relevant document are left out",
        "1 judged queries are not among the queries: left out",
        "1 of 41 relevant documents are not in the corpus ('gone' for one): no ranking can find them, and "
        "every value is lower for it",
        "only 20 judged queries: with fewer than 100, intervals are too narrow, most of all near 100 %",
        "the corpus has 400 documents: R@500 looks at all of them",
    )
    # All 400 documents are returned, so only the missing one is not found: 19 queries at 1, one at 2 of 3.
    assert found.full.quality("R@500").mean.mean == pytest.approx((19 + 2 / 3) / 20)


def test_nothing_to_find_gives_no_share(index: Index, task: Task) -> None:
    _, _, query_ids, queries, _ = task
    vectors = load_embedder().encode_queries(queries[:2])
    last = index.search(vectors, 400, plan="512:float32").ids[:, -1]
    qrels = {query_ids[i]: {str(last[i]): 1} for i in range(2)}
    found = evaluate_quality(index, vectors, qrels, query_ids=query_ids[:2], measures=["RR@10"], dims=[512])
    assert found.full.quality("RR@10").relative is None
    assert found.table("RR@10")[-1][-2:] == ("-", "-")
    assert found.smallest("RR@10") is None


def test_what_is_refused(index: Index, task: Task) -> None:
    ids, _, query_ids, queries, qrels = task

    def run(**changes: object) -> object:
        options = {"queries": queries, "qrels": qrels, "query_ids": query_ids} | changes
        return evaluate_quality(index, **options)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="2 query ids for 120 queries"):
        run(query_ids=["a", "b"])
    with pytest.raises(InputError, match="'q' is given twice"):
        run(query_ids=["q"] * 120)
    with pytest.raises(InputError, match=r"none of the 120 queries has a relevant document: .*\['nobody'\]"):
        run(qrels={"nobody": {ids[0]: 1}})
    with pytest.raises(InputError, match="none of the 1 relevant documents is in the corpus, 'gone' for one"):
        run(qrels={query_ids[0]: {"gone": 1}})
    with pytest.raises(PlanError, match="not in the nesting"):
        run(dims=[48])
    with pytest.raises(PlanError, match="keeps no float16"):
        run(precisions=["float16"])
    with pytest.raises(InputError, match="seed"):
        run(seed=-1)


def test_integer_ids_are_those_of_the_judgements_as_texts(tmp_path: Path) -> None:
    vectors = np.eye(8, dtype=np.float32) + np.float32(0.1)
    with Index.create(tmp_path / "i.kukla", dim=8) as index:
        index.add(vectors)
        qrels = {"a": {"3": 1}, "b": {"03": 1, "5": 1}}
        found = evaluate_quality(index, vectors[[3, 5]], qrels, query_ids=["a", "b"], measures=["R@1"])
        assert found.full.quality("R@1").mean.mean == (1 + 1 / 2) / 2
        assert any("1 of 3 relevant documents" in note for note in found.notes)  # 03 is no 3


def test_the_seed_and_nothing_else_decides_the_intervals(index: Index, task: Task) -> None:
    _, _, query_ids, queries, qrels = task

    def run(**options: object) -> QualityCurve:
        return evaluate_quality(index, queries, qrels, query_ids=query_ids, dims=[64], **options)  # type: ignore[arg-type]

    assert run().as_dict() == run(threads=2).as_dict()
    assert run().as_dict() != run(seed=1).as_dict()


def test_every_ranking_is_handed_out(index: Index, task: Task) -> None:
    _, _, query_ids, queries, qrels = task
    seen: list[tuple[Plan, tuple[int, ...], tuple[int, ...]]] = []
    evaluate_quality(
        index, queries, qrels, query_ids=query_ids, dims=[64], precisions=["int8"], measures=["RR@7"],
        on_run=lambda plan, names, ids, scores: seen.append((plan, ids.shape, scores.shape)),
    )  # fmt: skip
    assert [str(plan) for plan, *_ in seen] == ["512:float32", "64:int8"]  # the reference first
    assert {shape for _, *shapes in seen for shape in shapes} == {(120, 7)}


def test_the_figure_is_a_picture(curve: QualityCurve, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "quality.png"
    draw_quality(curve, path, measure="R@50", what="documentation")
    picture = imread(path)
    assert picture.shape[1] > 1000
    for colour in ((0.84, 0.37, 0.0), (0.0, 0.45, 0.7), (0.0, 0.62, 0.45)):  # one of each precision
        assert (np.abs(picture[..., :3] - colour).max(axis=-1) < 0.03).sum() > 100
    with pytest.raises(InputError, match="was not measured"):
        draw_quality(curve, path, measure="AP")
