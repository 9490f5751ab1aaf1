"""kukla partition, and what info, explain, search and calibrate say of lists."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.partition.samples import clustered

from kukla import Index

from .conftest import DIM, Invoke, Kukla, error_of


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """An index of 1,600 vectors."""
    path = tmp_path / "many.kukla"
    with Index.create(path, dim=DIM, nesting=(16, DIM)) as index:
        index.add(clustered(1600, DIM))
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.npy"
    np.save(path, clustered(200, DIM, seed=2))
    return path


def test_partition_as_a_user(kukla: Kukla, many: Path, questions: Path) -> None:
    done = kukla("partition", many, "--lists", 40, "--code-bytes", 8, "--queries", questions, "--threads", 2)
    assert (done.returncode, done.stderr) == (0, "")
    made, hint, calibrate = done.stdout.splitlines()
    assert made.startswith("lists: 40 of ")
    assert "codes of 2 and 8 bytes, of means 4, " in made
    assert made.endswith(" kB")
    assert hint.startswith("search with --plan '64:pq4/1@100 > 64:float32', or better")
    assert calibrate.strip() == f"kukla calibrate {many} --queries FILE --target 'recall@10>=0.95'"
    plan = hint.split("'")[1]
    query = questions.with_name("one.npy")
    np.save(query, clustered(1, DIM, seed=3))
    found = kukla("search", many, "--vector", query, "-k", 3, "--plan", plan, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["plan"] == plan


def test_info_and_explain_show_the_lists(invoke: Invoke, many: Path) -> None:
    assert "lists" not in invoke("info", many).stdout
    assert json.loads(invoke("info", many, "--json").stdout)["partition"] is None
    assert invoke("partition", many, "--lists", 20, "--code-bytes", 8).exit_code == 0
    with Index.open(many) as index:
        index.add(clustered(30, DIM, seed=4))
        index.add(clustered(1200, DIM, seed=5))
        index.partition(170, code_bytes=8)
    said = invoke("info", many).stdout
    assert "170 of " in said
    assert "segments without lists, which are scanned: 1" in said
    found = json.loads(invoke("info", many, "--json").stdout)["partition"]
    assert (found["lists"], found["mean_bytes"], found["short_bytes"], found["code_bytes"]) == (170, 4, 2, 8)
    assert found["segments_without_lists"] == 1
    assert 0 <= found["shortest"] <= found["median"] <= found["longest"] <= 2800
    files = [*many.glob("partition.*"), *(many / "segments").glob("*.lists")]
    sizes = sum(path.stat().st_size for path in files)
    assert len(files) == 3
    assert sizes - 4096 < found["bytes"] <= sizes
    explained = invoke("explain", many, "--plan", "64:pq4/10@100 > 64:float32")
    assert explained.exit_code == 0, explained.output
    assert "64:pq4/10@100" in explained.stdout


@pytest.mark.parametrize(("version", "dim"), [(1, 8), (2, 16)])
def test_lists_of_an_earlier_version_are_to_be_made_again(
    invoke: Invoke, tmp_path: Path, version: int, dim: int
) -> None:
    golden = Path(__file__).parents[1] / "data" / f"golden-lists-v{version}"
    path = shutil.copytree(golden, tmp_path / "old.kukla")
    said = [line for line in invoke("info", path).stdout.splitlines() if line.startswith("lists")]
    assert [line.split(maxsplit=1)[1] for line in said] == [
        "of an earlier version, not used: make them again with kukla partition"
    ]
    found = json.loads(invoke("info", path, "--json").stdout)
    assert (found["partition"], found["earlier_lists"]) == (None, True)
    assert "the index has no lists" in error_of(
        invoke("explain", path, "--plan", f"{dim}:pq4@9 > {dim}:float16")
    )
    assert invoke("partition", path, "--lists", 12).exit_code == 0
    found = json.loads(invoke("info", path, "--json").stdout)
    assert (found["partition"]["lists"], found["earlier_lists"]) == (12, False)


def test_the_same_seed_gives_the_same_lists(invoke: Invoke, many: Path) -> None:
    prints = []
    for seed in (0, 1, 0):
        assert invoke("partition", many, "--lists", 20, "--seed", seed).exit_code == 0
        with Index.open(many) as index:
            prints.append(index._opened.store.current().partition.fingerprint)  # type: ignore[union-attr]
    assert prints[0] == prints[2] != prints[1]


def test_remove(invoke: Invoke, many: Path) -> None:
    made = json.loads(invoke("partition", many, "--lists", 20, "--json").stdout)
    assert made["lists"] == 20
    done = invoke("partition", many, "--remove")
    assert (done.exit_code, done.stdout) == (0, "no lists; plans that begin with pq4 cannot be run\n")
    assert list(many.glob("partition*")) == []
    assert "the index has no lists" in error_of(invoke("explain", many, "--plan", "64:pq4@9 > 64:float32"))
    assert invoke("partition", many, "--remove", "--json").stdout == "null\n"


def test_calibrate_finds_a_plan_with_lists(invoke: Invoke, many: Path, questions: Path) -> None:
    with Index.open(many) as index:
        index.add(clustered(4400, DIM, seed=6))  # enough for lists to pay
        index.compact()
    assert invoke("partition", many, "--lists", 90, "--code-bytes", 8).exit_code == 0
    done = invoke("calibrate", many, "--queries", questions, "--target", "recall@5>=0.7", "--json")
    assert done.exit_code == 0, done.output
    assert any(row["plan"].startswith("64:pq4") for row in json.loads(done.stdout)["frontier"])
    assert "; fresh" in invoke("info", many).stdout


def test_what_is_refused(invoke: Invoke, many: Path, tmp_path: Path, questions: Path) -> None:
    assert "1,600 documents are too few for 300 lists" in error_of(invoke("partition", many, "--lists", 300))
    assert "code_bytes must be even, got 9" in error_of(invoke("partition", many, "--code-bytes", 9))
    assert "8<=x<=128" in error_of(invoke("partition", many, "--code-bytes", 6), status=2)
    assert "--remove leaves no lists" in error_of(invoke("partition", many, "--remove", "--lists", 3))
    assert "--remove leaves no lists" in error_of(
        invoke("partition", many, "--remove", "--queries", questions)
    )
    error_of(invoke("partition", many, "--lists", 0), status=2)
    assert "no such file" in error_of(invoke("partition", many, "--queries", tmp_path / "none.npy")).lower()
    assert "none.kukla" in error_of(invoke("partition", tmp_path / "none.kukla"))
