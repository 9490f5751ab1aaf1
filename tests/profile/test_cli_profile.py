"""`kukla profile` as a user."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kukla.cli import cli


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["profile", *map(str, arguments)])


def _error(result: Result, status: int = 1) -> str:
    assert result.exit_code == status, (result.output, result.exception)
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


@pytest.fixture
def file(tmp_path: Path, nested: np.ndarray) -> Path:
    """Nested vectors as npy."""
    np.save(tmp_path / "nested.npy", nested)
    return tmp_path / "nested.npy"


def test_a_process_prints_the_verdict_first_and_advice_last(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "kukla", "profile", str(file)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ,
        timeout=100,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "verdict: nested"
    assert lines[-1].startswith("  - sign codes of all 64 dims")
    assert done.stderr == ""
    assert any(line.split()[:2] == ["dim", "prefix"] for line in lines)


def test_queries_dims_k_and_a_picture(file: Path, tmp_path: Path, nested: np.ndarray) -> None:
    from matplotlib.image import imread

    np.save(tmp_path / "q.npy", nested[:40] + 0.01)
    png = tmp_path / "out.png"
    result = _run(file, "--queries", tmp_path / "q.npy", "-k", 5, "--dims", "8,24", "--png", png)
    assert result.exit_code == 0, result.stderr
    assert "recall@5 against exact full vectors (64 dims), 40 queries, each on 300 documents" in result.stdout
    assert f"Figure: {png}" in result.stdout
    assert imread(png).shape[1] > 1000


def test_vectors_and_queries_of_one_file(tmp_path: Path, nested: np.ndarray) -> None:
    np.savez(tmp_path / "both.npz", train=nested[40:], test=nested[:40])
    path = tmp_path / "both.npz"
    result = _run(path, "--key", "train", "--queries", path, "--queries-key", "test", "--json")
    data = json.loads(result.stdout)
    assert (data["queries"], data["documents"]) == (40, 260)
    assert "--queries-key needs --queries" in _error(_run(path, "--key", "train", "--queries-key", "test"))


def test_json_is_one_line_with_intervals(file: Path) -> None:
    result = _run(file, "--json", "--dims", "16", "--sample", 100, "--seed", 3)
    data = json.loads(result.stdout)
    assert data["verdict"] == "nested"
    assert data["total"] == 300
    assert data["queries"] == 100
    row = data["rows"][0]
    assert row["dim"] == 16
    assert row["prefix"]["low"] <= row["prefix"]["mean"] <= row["prefix"]["high"]


def test_noise_is_told_to_be_noise(tmp_path: Path, noise: np.ndarray) -> None:
    np.save(tmp_path / "noise.npy", noise)
    result = _run(tmp_path / "noise.npy")
    assert result.stdout.splitlines()[0] == "verdict: not embeddings at all"
    assert "placeholder or random vectors" in result.stdout


def test_errors_are_one_line(file: Path, tmp_path: Path, nested: np.ndarray) -> None:
    assert "no such file" in _error(_run(tmp_path / "missing.npy"))
    np.save(tmp_path / "few.npy", nested[:12])
    assert "at least 20 different vectors, got 12" in _error(_run(tmp_path / "few.npy"))
    np.save(tmp_path / "narrow.npy", nested[:, :32])
    assert "queries have 32 dims, the vectors 64" in _error(_run(file, "--queries", tmp_path / "narrow.npy"))
    bad = nested.copy()
    bad[7, 3] = np.inf
    np.save(tmp_path / "bad.npy", bad)
    assert "bad.npy: row 7 holds inf at coordinate 3" in _error(_run(tmp_path / "bad.npy"))
    assert "there is no folder" in _error(_run(file, "--png", tmp_path / "no" / "out.png"))
    assert "from 1 to 64, got 100" in _error(_run(file, "--dims", "100"))
    (tmp_path / "my.kukla").mkdir()
    assert "my.kukla" in _error(_run(tmp_path / "my.kukla"))  # an empty folder is no index
    assert "not a list of whole numbers" in _error(_run(file, "--dims", "many"), status=2)


def test_without_matplotlib_the_picture_names_the_extra(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def import_without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", import_without)
    assert "pip install 'kukla[plot]'" in _error(_run(file, "--png", tmp_path / "out.png"))
