"""kukla report as a user."""

from __future__ import annotations

import builtins
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index

from .conftest import DIM, Invoke, Kukla, error_of


def draw(count: int, seed: int) -> np.ndarray:
    """Vectors whose first coordinates matter most."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, DIM)) / (1 + np.arange(DIM) / 4)).astype(np.float32)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """An index of 400 vectors of three dims."""
    path = tmp_path / "nested.kukla"
    with Index.create(path, dim=DIM, nesting=(16, 32, DIM)) as index:
        index.add(draw(400, 1), ids=[f"d{i}" for i in range(400)])
    return path


def test_a_process_writes_the_page_and_says_what_it_lacks(kukla: Kukla, nested: Path, tmp_path: Path) -> None:
    done = kukla("report", "nested.kukla")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("Nothing is calibrated yet.")
    assert "kukla calibrate nested.kukla --queries questions.jsonl --target 'recall@10>=0.95'" in done.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "kukla report nested.kukla</pre>" in page
    assert kukla("report", "nested.kukla").returncode == 0  # an earlier report is replaced


def test_a_target_calibrates_first(invoke: Invoke, nested: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", draw(250, 2))
    out, png = tmp_path / "r.html", tmp_path / "png"
    options = ("--queries", tmp_path / "q.npy", "--target", "recall@5>=0.9", "--png", png)
    done = invoke("report", nested, *options, "--out", out, "--json")
    said = json.loads(done.stdout)
    assert (said["out"], said["bytes"]) == (str(out), out.stat().st_size)
    assert sorted(path.name for path in png.iterdir()) == ["alone.png", "frontier.png", "shortlist.png"]
    with Index.open(nested) as index:
        (state,) = index.calibration_state(search=False)
    assert said["plan"] == str(state.calibration.plan)
    assert state.calibration.population == "q.npy"
    page = out.read_text(encoding="utf-8")
    assert f"--queries {tmp_path / 'q.npy'} --target" in page
    again = invoke("report", nested, "--out", out, "--title", "Later")  # what is kept is shown
    assert "A plan proven to reach recall@5 of at least 0.9" in again.stdout
    assert "<h1>Later</h1>" in out.read_text(encoding="utf-8")


def test_judgements_add_their_chapter(invoke: Invoke, nested: Path, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    vectors = draw(30, 4)
    lines = [json.dumps({"_id": f"q{i}", "vector": row.tolist()}) for i, row in enumerate(vectors)]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    with Index.open(nested) as index:
        best = index.search(vectors, 2, plan="64:float32").ids
    judged = [f"q{i} 0 {id_} 1" for i, row in enumerate(best) for id_ in row]
    (tmp_path / "qrels.txt").write_text("\n".join(judged))
    out = tmp_path / "r.html"
    judgements = ("--queries", tmp_path / "q.jsonl", "--qrels", tmp_path / "qrels.txt")
    done = invoke("report", nested, *judgements, "--out", out, "--png", tmp_path / "png")
    assert done.exit_code == 0, done.output
    page = out.read_text(encoding="utf-8")
    assert "Full vectors reach nDCG@10 1.000" in page
    assert "a billion" in page
    assert (tmp_path / "png" / "quality.png").exists()


def test_a_file_of_vectors(invoke: Invoke, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", train=draw(300, 1), test=draw(40, 2))
    np.save(tmp_path / "q.npy", draw(40, 2))
    out = tmp_path / "v.html"
    options = ("--key", "train", "--queries", tmp_path / "q.npy", "--out", out)
    done = invoke("report", tmp_path / "v.npz", *options)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("These vectors are nested")
    page = out.read_text(encoding="utf-8")
    assert "40 queries, each on 300 documents" in page
    assert f"kukla profile {tmp_path / 'v.npz'} --key train --queries {tmp_path / 'q.npy'}" in page


def test_bad_requests(invoke: Invoke, nested: Path, tmp_path: Path, vectors_file: Path) -> None:
    out = ("--out", tmp_path / "r.html")
    assert "there is no folder" in error_of(invoke("report", nested, "--out", tmp_path / "no" / "r.html"))
    assert "is a folder" in error_of(invoke("report", nested, "--out", tmp_path))
    (tmp_path / "mine.html").write_text("mine")
    assert "--force" in error_of(invoke("report", nested, "--out", tmp_path / "mine.html"))
    assert "is a file; name a folder" in error_of(
        invoke("report", nested, *out, "--png", tmp_path / "mine.html")
    )
    assert "there is no Kukla index" in error_of(invoke("report", tmp_path / "gone.kukla", *out))
    assert "no such file" in error_of(invoke("report", tmp_path / "gone.npy", *out))
    assert "are for an index" in error_of(invoke("report", vectors_file, *out, "--target", "recall@5>=0.9"))
    assert "--key is for files" in error_of(invoke("report", nested, *out, "--key", "x"))
    assert "give --queries" in error_of(invoke("report", nested, *out, "--qrels", vectors_file))
    assert "by id" in error_of(
        invoke("report", nested, *out, "--queries", vectors_file, "--qrels", vectors_file)
    )
    assert "queries cannot prove" in error_of(
        invoke("report", nested, *out, "--queries", vectors_file, "--target", "recall@10>=0.99")
    )
    np.save(tmp_path / "three.npy", draw(3, 1))
    assert "at least 20 different vectors, got 3" in error_of(invoke("report", tmp_path / "three.npy", *out))
    np.save(tmp_path / "narrow.npy", draw(30, 1)[:, :32])
    assert "32" in error_of(invoke("report", nested, *out, "--queries", tmp_path / "narrow.npy"))
    assert not (tmp_path / "r.html").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(invoke: Invoke, nested: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "cannot be written" in error_of(invoke("report", nested, "--out", locked / "r.html"))


def test_a_report_does_not_change_the_index(invoke: Invoke, nested: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in nested.rglob("*") if path.is_file()}
    assert invoke("report", nested, "--out", tmp_path / "r.html").exit_code == 0
    assert before == {path.name: path.read_bytes() for path in nested.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("missing", "extra"), [("jinja2", "report"), ("matplotlib", "plot")])
def test_a_missing_extra_is_said_before_the_work(
    invoke: Invoke, nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, extra: str
) -> None:
    real_import = builtins.__import__

    def import_without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", import_without)
    done = invoke("report", nested, "--out", tmp_path / "r.html", "--png", tmp_path / "png")
    assert f"pip install 'kukla[{extra}]'" in error_of(done)
    assert not (tmp_path / "r.html").exists()
