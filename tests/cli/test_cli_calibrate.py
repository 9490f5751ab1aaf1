"""kukla calibrate, and what search and info say of calibrations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kukla import Index

from .conftest import DIM, Invoke, error_of


def draw(count: int, seed: int) -> np.ndarray:
    """Vectors whose first coordinates matter most."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, DIM)) / (1 + np.arange(DIM) / 4)).astype(np.float32)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """An index of 400 vectors of three dims."""
    path = tmp_path / "nested.kukla"
    with Index.create(path, dim=DIM, nesting=(16, 32, DIM)) as index:
        index.add(draw(400, 1), texts=[f"text {i}" for i in range(400)])
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A file of 200 query vectors."""
    path = tmp_path / "questions.npy"
    np.save(path, draw(200, 2))
    return path


def test_calibrate_then_search_then_info(
    invoke: Invoke, nested: Path, questions: Path, tmp_path: Path
) -> None:
    done = invoke("calibrate", nested, "--queries", questions, "--target", "recall@5>=0.9")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("recall@5>=0.9: ")
    assert "held-out queries" in done.stdout
    assert "chosen" in done.stdout
    plan = done.stdout.splitlines()[0].removeprefix("recall@5>=0.9: ")

    query = tmp_path / "one.npy"
    np.save(query, draw(1, 3))
    found = invoke("search", nested, "--vector", query, "-k", 5, "--target", "recall@5>=0.9", "--json")
    assert json.loads(found.stdout)["plan"] == plan

    said = invoke("info", nested).stdout
    assert "recall@5>=0.9 on questions.npy" in said
    assert "fresh" in said
    (stored,) = json.loads(invoke("info", nested, "--json").stdout)["calibrations"]
    assert stored["calibration"]["plan"] == plan
    assert stored["state"] == "fresh"


def test_json_and_dry_run(invoke: Invoke, nested: Path, questions: Path) -> None:
    options = ("--target", "recall@5>=0.9", "--json", "--dry-run", "--name", "mine", "--confidence", 0.9)
    found = json.loads(invoke("calibrate", nested, "--queries", questions, *options).stdout)
    assert found["population"] == "mine"
    assert found["confidence"] == 0.9
    assert found["frontier"][0]["plan"] == "64:float32"
    assert json.loads(invoke("info", nested, "--json").stdout)["calibrations"] == []


def test_without_queries_it_says_that_it_is_an_estimate(invoke: Invoke, nested: Path) -> None:
    done = invoke("calibrate", nested, "--target", "recall@5>=0.9", "--max-memory", "50 kB")
    assert done.exit_code == 0, done.output
    assert "estimated: documents are the queries" in done.stdout
    assert "(estimated)" in invoke("info", nested).stdout


def test_judgements_of_either_form(invoke: Invoke, nested: Path, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    vectors = draw(200, 4)
    queries = tmp_path / "q.jsonl"
    queries.write_text(
        "".join(json.dumps({"_id": f"q{i}", "vector": row.tolist()}) + "\n" for i, row in enumerate(vectors))
    )
    with Index.open(nested) as index:
        best = index.search(vectors, 3, plan="64:float32").ids
    trec, beir = tmp_path / "qrels.trec", tmp_path / "qrels.tsv"
    pairs = [(f"q{i}", id_) for i, row in enumerate(best) for id_ in row[:: 1 + i % 2]]
    trec.write_text("".join(f"{query} 0 {id_} 1\n" for query, id_ in pairs))
    beir.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{id_}\t1\n" for query, id_ in pairs))
    results = []
    for qrels in (trec, beir):
        options = ("--qrels", qrels, "--target", "ndcg@10>=0.9", "--json", "--dry-run")
        done = invoke("calibrate", nested, "--queries", queries, *options)
        assert done.exit_code == 0, done.output
        results.append(json.loads(done.stdout))
    first, second = results
    assert first["judged"]
    assert [row["bound"] for row in first["frontier"]] == [row["bound"] for row in second["frontier"]]
    chosen = next(row for row in first["frontier"] if row["plan"] == first["plan"])
    assert chosen["bound"] >= 0.9
    assert first["frontier"][-1]["bound"] < 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("q.txt", "\n\n", "holds no queries"),
        ("q.jsonl", "", "holds no queries"),
        ("q.jsonl", '{"name": "x"}\n', "name one with --text-field"),
        ("q.jsonl", '{"text": " "}\n', "holds no text"),
        ("q.txt", "how to\nwhat is\n", "pass an embedder"),
    ],
)
def test_bad_queries(invoke: Invoke, nested: Path, tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert says in error_of(invoke("calibrate", nested, "--queries", path))


def test_bad_requests(invoke: Invoke, nested: Path, questions: Path, tmp_path: Path) -> None:
    calibrate = ("calibrate", nested, "--queries", questions)
    assert "cannot read the target" in error_of(invoke(*calibrate, "--target", "good"))
    assert "queries cannot prove recall@10>=0.999" in error_of(
        invoke(*calibrate, "--target", "recall@10>=0.999")
    )
    assert "500MB" in error_of(invoke(*calibrate, "--max-memory", "much"), status=2)
    assert "no such file" in error_of(invoke("calibrate", nested, "--queries", tmp_path / "none.npy")).lower()
    assert "--qrels names queries" in error_of(invoke(*calibrate, "--qrels", questions))
    assert "run kukla calibrate" in error_of(
        invoke("search", nested, "--vector", questions, "--target", "recall@10>=0.9")
    )


@pytest.mark.parametrize("text", ["", "q1 0 d1\n", "a b c\nq1 d1 x\n", "a b c d e\n"])
def test_bad_judgements(invoke: Invoke, nested: Path, tmp_path: Path, text: str) -> None:
    queries, qrels = tmp_path / "q.jsonl", tmp_path / "qrels.txt"
    queries.write_text('{"_id": "q1", "text": "how to"}\n')
    qrels.write_text(text)
    assert "judgement" in error_of(invoke("calibrate", nested, "--queries", queries, "--qrels", qrels))
