"""``kukla fit`` and ``kukla index --projection`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kukla import Index
from kukla.projection import Identity, Linear, Projection, Rotation, random_rotation

from .conftest import Invoke, Kukla, error_of

DIM = 64


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """400 vectors whose energy falls along hidden directions."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((30, DIM))
    rows = (centres[rng.integers(0, 30, 400)] + 0.5 * rng.standard_normal((400, DIM))) * 0.9 ** np.arange(DIM)
    path = tmp_path / "hidden.npy"
    np.save(path, (rows @ random_rotation(DIM, seed=5).matrix).astype(np.float32))
    return path


def test_fit_then_index_then_search(kukla: Kukla, hidden: Path, tmp_path: Path) -> None:
    fitted = kukla("fit", "hidden.npy", "--to", "p.npz", "--dims", "8,16")
    assert fitted.returncode == 0, fitted.stderr
    assert fitted.stderr == ""
    assert "recall@10 of prefixes alone, 80 held-out queries, 320 documents; 95 % intervals" in fitted.stdout
    assert "only the 80 not fitted on" in fitted.stdout
    table = [line.split()[0] for line in fitted.stdout.splitlines() if "[" in line]
    assert table == ["identity", "pca", "random"]
    assert "pca *" in fitted.stdout
    assert "pca: +0." in fitted.stdout
    assert "p.npz: Rotation(64 -> 64, pca); kukla index ... --projection p.npz" in fitted.stdout
    made = kukla("index", "hidden.npy", "--to", "h.kukla", "--projection", "p.npz")
    assert made.returncode == 0, made.stderr
    assert "rotation" in kukla("info", "h.kukla").stdout
    with Index.open(tmp_path / "h.kukla") as index:
        rows = np.load(hidden)
        assert index.search(rows[7], 1).ids[0, 0] == 7
    again = kukla("index", "hidden.npy", "--to", "h.kukla", "--upsert", "--projection", "p.npz")
    assert again.returncode == 1
    assert "--projection is settled when an index is made: h.kukla keeps its own (rotation)" in again.stderr


def test_json_queries_and_kinds(invoke: Invoke, hidden: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.npy"
    np.save(queries, np.load(hidden)[:60] + np.float32(0.1))
    made = invoke("fit", hidden, "--queries", queries, "--json", "--dims", "8", "-k", 5)
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert [row["kind"] for row in found["rows"]] == ["identity", "pca", "query-aware", "random"]
    assert (found["k"], found["dims"], found["queries"]) == (5, [8], 30)
    for kind, expected in (("random", Rotation), ("identity", Identity), ("pca", Rotation)):
        path = tmp_path / f"{kind}.npz"
        made = invoke("fit", hidden, "--kind", kind, "--to", path, "--dims", "8")
        assert made.exit_code == 0, made.output
        assert type(Projection.load(path)) is expected
        assert f"{kind} *" in made.stdout
    assert "random, as asked for; measured: pca" in invoke("fit", hidden, "--kind", "random").stdout


def test_the_matrix_of_a_model(invoke: Invoke, hidden: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "head.npy", np.random.default_rng(1).standard_normal((DIM, 32)).astype(np.float32))
    target = tmp_path / "head.npz"
    made = invoke("fit", hidden, "--kind", tmp_path / "head.npy", "--to", target)
    assert made.exit_code == 0, made.output
    assert "given *" in made.stdout
    assert "it is not orthonormal: full-dim scores change with it. Whole vectors after it find" in made.stdout
    assert type(Projection.load(target)) is Linear
    made = invoke("index", hidden, "--to", tmp_path / "i.kukla", "--projection", tmp_path / "head.npy")
    assert made.exit_code == 0, made.output
    with Index.open(tmp_path / "i.kukla") as index:
        assert index.nesting.dims == (32,)


def test_what_fit_refuses(invoke: Invoke, hidden: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.npz"
    there.write_text("something")
    for arguments, message in (
        (
            ["--kind", "pcaa"],
            "--kind is auto, identity, pca, query-aware, random, learned, adaptor, smec or a file, got",
        ),
        (["--kind", "nowhere.npy"], "nowhere.npy: no such file"),
        (["--kind", there], "is no projection that can be read"),
        (["--kind", "query-aware"], "a query-aware projection needs queries"),
        (["--to", tmp_path / "p.npy"], "--to must end in .npz"),
        (["--to", there], "--force replaces it"),
        (["--to", tmp_path / "nowhere" / "p.npz"], "there is no folder"),
        (["--queries", tmp_path / "nowhere.npy"], "no such file"),
        (["--dims", "128"], "a dim to measure must be an integer from 1 to 64, got 128"),
        (["-k", "300"], "needs more than 600 documents beside the queries, got 320"),
    ):
        assert message in error_of(invoke("fit", hidden, *arguments)), arguments
    assert there.read_text() == "something"
    assert invoke("fit", hidden, "--to", there, "--force", "--dims", "8").exit_code == 0


def test_a_projection_of_other_dims_makes_no_index(invoke: Invoke, hidden: Path, tmp_path: Path) -> None:
    random_rotation(32).save(tmp_path / "p.npz")
    message = error_of(
        invoke("index", hidden, "--to", tmp_path / "i.kukla", "--projection", tmp_path / "p.npz")
    )
    assert "the projection takes 32 dims, but the space has 64" in message
    assert not (tmp_path / "i.kukla").exists()
