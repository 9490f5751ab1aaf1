"""An index is profiled as it stores its vectors: live rows, after its projection, ranked as it ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.profile.conftest import make_clusters

from kukla import Index, load_embedder, truncate
from kukla.cli import cli
from kukla.errors import ChecksumError, InputError, VectorError
from kukla.profile import Nested, profile
from kukla.profile.stored import StoredVectors
from kukla.projection import Linear, Projection, fit_pca


def _index(path: Path, rows: np.ndarray, projection: Projection | None = None, **options: object) -> Index:
    index = Index.create(path, dim=rows.shape[1], projection=projection, **options)  # type: ignore[arg-type]
    index.add(rows)
    return index


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["profile", *map(str, arguments)])


def test_without_a_projection_it_is_the_profile_of_the_file(tmp_path: Path, nested: np.ndarray) -> None:
    with _index(tmp_path / "i", nested) as index:
        found, of_rows = profile(index, dims=[16], sample=200), profile(nested, dims=[16], sample=200)
        assert str(found.verdict) == str(of_rows.verdict)
        assert found.notes == of_rows.notes
        assert found.rows[0].prefix.mean == pytest.approx(of_rows.rows[0].prefix.mean, abs=2e-3)
        asked = make_clusters(40, 64, seed=8, decay=0.5)
        with_queries = profile(index, asked, dims=[16])
        assert (with_queries.queries, with_queries.documents) == (40, 300)


def test_only_live_rows_of_all_segments_are_drawn(tmp_path: Path, nested: np.ndarray) -> None:
    with _index(tmp_path / "i", nested[:140]) as index:
        index.add(nested[140:])
        index.delete(range(0, 300, 2))
        with index._opened.store.snapshot() as (view, _):
            assert len(view.segments) == 2
        stored = StoredVectors(index)
        assert stored.total == 150
        chosen = np.array([0, 1, 69, 70, 149])
        rows, zeros = stored.take(chosen)
        np.testing.assert_allclose(rows, truncate(nested[1::2][chosen], 64), atol=1e-6)
        assert zeros == 0
        assert profile(index, dims=[16]).total == 150


def test_rows_that_were_not_drawn_are_not_read(tmp_path: Path, nested: np.ndarray) -> None:
    with _index(tmp_path / "i", nested) as index:
        with index._opened.store.snapshot() as (view, _):
            (segment,) = view.segments
        drawn = np.sort(np.random.default_rng(0).choice(300, 100, replace=False))  # what the seed draws
        others = np.setdiff1d(np.arange(300), drawn)
        data = bytearray(segment.path.read_bytes())
        for row in others:
            place = data.find(segment.vectors[row].tobytes())
            assert place > 0
            data[place : place + 64 * 4] = np.full(64, np.nan, dtype="<f4").tobytes()
    segment.path.write_bytes(data)
    with Index.open(tmp_path / "i") as index:
        assert profile(index, dims=[16], sample=100).total == 300
        with pytest.raises(ChecksumError, match="a stored vector is not finite, so the index is damaged"):
            profile(index, dims=[16], sample=101, seed=1)


def test_after_a_rotation_prefixes_are_those_that_are_served(tmp_path: Path, rotated: np.ndarray) -> None:
    rotation = fit_pca(rotated)
    assert not rotation.renormalises_prefixes
    asked = rotated[:40] + 0.01
    with _index(tmp_path / "i", rotated, rotation) as index:
        found = profile(index, asked, dims=[32])
        assert found.verdict.word is Nested.NESTED
        assert any("after its rotation projection; prefixes ranked by partial dot" in n for n in found.notes)
        served, exact = (index.search(asked, 10, plan=f"{dim}:float32").ids for dim in (32, 64))
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(served, exact, strict=True)])
        assert found.rows[0].prefix.mean == pytest.approx(recall, abs=1e-9)
        before = profile(index, asked, dims=[32], raw=True)
        assert before.verdict.word is Nested.NOT
        assert any("before the index's rotation projection" in note for note in before.notes)
        of_rows = profile(rotated, asked, dims=[32])
        assert before.rows[0].prefix.mean == pytest.approx(of_rows.rows[0].prefix.mean, abs=2e-3)


def test_a_projection_that_cannot_be_undone_has_no_raw_side(tmp_path: Path, nested: np.ndarray) -> None:
    half = Linear(np.eye(64, dtype=np.float32)[:, :32] * 2)
    with _index(tmp_path / "i", nested, half) as index:
        found = profile(index, nested[:40] + 0.01, dims=[16])
        assert found.width == 32
        assert any("linear projection; prefixes ranked by cosine" in note for note in found.notes)
        with pytest.raises(InputError, match=r"linear projection of .* is not orthonormal"):
            profile(index, raw=True)
    with pytest.raises(InputError, match="raw is about an index"):
        profile(nested, raw=True)


def test_an_inner_product_index_leaves_lengths_and_zeros_out(tmp_path: Path, nested: np.ndarray) -> None:
    rows = nested * np.linspace(1, 5, 300, dtype=np.float32)[:, None]
    rows[7] = 0
    with _index(tmp_path / "i", rows, metric="ip") as index:
        found = profile(index, dims=[16])
    assert "1 vectors of zeros left out" in found.notes
    assert any("ranks by inner product; here lengths are left out" in note for note in found.notes)
    assert found.rows[0].prefix == profile(np.delete(nested, 7, axis=0), dims=[16]).rows[0].prefix


def test_texts_are_queries_of_an_index_that_can_embed_them(tmp_path: Path) -> None:
    verbs, nouns = ("read", "write", "close", "copy", "delete"), ("a file", "a socket", "a table", "an image")
    ways = ("line by line", "at once", "in a thread", "without locking")
    texts = [f"{verb} {noun} {way}" for verb in verbs for noun in nouns for way in ways]
    questions = [f"how do I {text}?" for text in texts[::6]]
    with Index.create(tmp_path / "i.kukla", embedder=load_embedder()) as index:
        index.add(texts)
        found = profile(index, questions, dims=[64])
        assert (found.queries, found.documents) == (14, 80)
    file = tmp_path / "questions.txt"
    file.write_text("\n".join(questions), encoding="utf-8")
    result = _run(tmp_path / "i.kukla", "--queries", file, "--dims", 64, "--json")
    assert json.loads(result.stdout)["rows"] == json.loads(json.dumps(found.to_dict()["rows"]))


def test_the_command_prints_both_sides_of_a_projection(tmp_path: Path, rotated: np.ndarray) -> None:
    _index(tmp_path / "i.kukla", rotated, fit_pca(rotated)).close()
    result = _run(tmp_path / "i.kukla", "--dims", "8,16")
    assert result.stdout.startswith("verdict: nested\n")
    assert "before the projection: not nested" in result.stdout
    assert "prefix as stored" in result.stdout
    data = json.loads(_run(tmp_path / "i.kukla", "--dims", "8,16", "--json").stdout)
    assert (data["verdict"], data["before_projection"]["verdict"]) == ("nested", "not nested")


def test_what_is_wrong_is_said(tmp_path: Path, nested: np.ndarray) -> None:
    path = tmp_path / "i.kukla"
    with _index(path, nested[:12]) as index:
        with pytest.raises(InputError, match="at least 20 different vectors, got 12"):
            profile(index)
        index.add(nested[12:])
        with pytest.raises(VectorError, match="queries must have 64 dims, got 32"):
            profile(index, nested[:40, :32])
        with pytest.raises(InputError, match="at least 10 queries, got 3"):
            profile(index, nested[:3])
        with pytest.raises(InputError, match="pass an embedder"):
            profile(index, ["a text"] * 20)
    for arguments, message in (
        ((path, "--key", "x"), "--key and --queries-key are about files"),
        ((path, "--text-field", "x"), "--text-field needs --queries"),
        ((tmp_path,), "there is no Kukla index"),
    ):
        result = _run(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
    np.save(tmp_path / "n.npy", nested)
    assert "--text-field needs an index" in _run(tmp_path / "n.npy", "--text-field", "x").stderr
