"""``kukla fit --kind learned`` and ``--learned`` as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kukla import Index
from kukla.cli import cli
from kukla.projection import Projection, Rotation

from .conftest import DIM, Docstrings


def kukla(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture
def files(docstrings: Docstrings, tmp_path: Path) -> tuple[Path, Path]:
    vectors, queries = tmp_path / "vectors.npy", tmp_path / "queries.npy"
    np.save(vectors, docstrings.documents)
    np.save(queries, docstrings.known[:200])
    return vectors, queries


@pytest.mark.slow
def test_fit_index_and_search(files: tuple[Path, Path], docstrings: Docstrings, tmp_path: Path) -> None:
    vectors, queries = files
    target = tmp_path / "learned.npz"
    made = kukla("fit", vectors, "--queries", queries, "--kind", "learned", "--to", target, "--dims", "16,32")
    assert made.exit_code == 0, made.output
    assert "learned *" in made.stdout
    assert "Rotation(128 -> 128, learned)" in made.stdout
    projection = Projection.load(target)
    assert isinstance(projection, Rotation)
    assert projection.about["queries"] == 160  # of all 200, when it was trained again
    indexed = kukla("index", vectors, "--projection", target, "--to", tmp_path / "i.kukla")
    assert indexed.exit_code == 0, indexed.output
    with Index.open(tmp_path / "i.kukla") as index:
        assert index.nesting.full == DIM
        assert index.search(docstrings.documents[7], 1).ids[0, 0] == 7


@pytest.mark.slow
def test_auto_tries_it_when_asked(files: tuple[Path, Path]) -> None:
    vectors, queries = files
    made = kukla("fit", vectors, "--queries", queries, "--learned", "--json", "--dims", "16,32")
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    rows = {row["kind"]: row for row in found["rows"]}
    assert list(rows) == ["identity", "pca", "query-aware", "learned", "random"]
    assert rows["learned"]["gain"] > 0.05
    plain = json.loads(kukla("fit", vectors, "--json", "--dims", "16,32").stdout)
    assert [row["kind"] for row in plain["rows"]] == ["identity", "pca", "random"]


def test_without_torch(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    made = kukla("fit", files[0], "--kind", "learned")
    assert made.exit_code == 1
    assert made.stderr == (
        "error: a learned projection needs an optional dependency: pip install 'kukla[train]'\n"
    )
