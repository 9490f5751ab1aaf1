"""The choice: the right kind wins on made and on real vectors, by a measurement that leaks nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index
from kukla.errors import InputError, VectorError
from kukla.evaluate import exact_answers
from kukla.projection import Identity, Linear, Rotation, fit_pca, random_rotation
from kukla.projection.choose import Choice, choose_projection
from kukla.readers import read_vectors

DIM = 64


def topics(count: int, *, nested: bool, seed: int = 0) -> np.ndarray:
    """Vectors around topics, with energy falling along the coordinates, or along hidden directions."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, DIM))
    rows = centres[rng.integers(0, 40, count)] + 0.5 * rng.standard_normal((count, DIM))
    rows *= 0.93 ** np.arange(DIM)
    if not nested:
        rows = rows @ random_rotation(DIM, seed=5).matrix
    return rows.astype(np.float32)


def row_of(choice: Choice, kind: str) -> Any:
    return next(row for row in choice.rows if row.kind == kind)


def test_pca_wins_where_energy_is_hidden() -> None:
    choice = choose_projection(topics(1200, nested=False), dims=(8, 16, 32))
    assert choice.kind == "pca"
    assert isinstance(choice.projection, Rotation)
    assert choice.projection.about["vectors"] == 1200  # fitted again, on everything
    pca, random = row_of(choice, "pca"), row_of(choice, "random")
    assert pca.gain_low > 0.05
    assert abs(random.gain) < 0.1
    assert pca.low[0] <= pca.recall[0] <= pca.high[0]
    assert (choice.queries, choice.documents, choice.unseen) == (240, 960, 240)
    assert "pca: +0." in choice.reason
    assert "against identity in recall@10 averaged over dims 8, 16, 32" in choice.reason
    assert "query-aware" not in {row.kind for row in choice.rows}
    json.dumps(choice.to_dict())


def test_the_identity_wins_ties() -> None:
    # All energy is in the dims that are measured, so that every candidate finds everything.
    flat = np.zeros((600, DIM), dtype=np.float32)
    flat[:, :16] = np.random.default_rng(0).standard_normal((600, 16))
    choice = choose_projection(flat, dims=(16, 32))
    assert (choice.kind, choice.projection) == ("identity", Identity(DIM))
    assert "nothing beat it beyond chance, on new documents too; the nearest is pca" in choice.reason
    alone = choose_projection(flat, dims=(16,), kinds=())
    assert [row.kind for row in alone.rows] == ["identity"]


def test_a_control_is_never_picked_by_itself() -> None:
    spiked = topics(600, nested=False)
    choice = choose_projection(spiked, kinds=("random",), dims=(16,))
    assert choice.kind == "identity"
    assert choose_projection(spiked, pick="random", dims=(16,)).projection == random_rotation(DIM)


def test_queries_from_elsewhere_win_query_awareness() -> None:
    rng = np.random.default_rng(1)
    documents = (rng.standard_normal((1500, DIM)) * np.linspace(2, 0.7, DIM)).astype(np.float32)
    queries = (rng.standard_normal((600, DIM)) * np.linspace(0.05, 2, DIM) ** 2).astype(np.float32)
    choice = choose_projection(documents, queries, dims=(8, 16, 32))
    assert choice.kind == "query-aware"
    assert choice.projection.to_dict()["about"]["queries"] == 600
    assert choice.queries == 300
    assert row_of(choice, "query-aware").gain > row_of(choice, "pca").gain


def test_a_fit_to_noise_is_seen_on_new_documents() -> None:
    noise = np.random.default_rng(0).standard_normal((300, DIM)).astype(np.float32)
    pca = row_of(choose_projection(noise, dims=(16,)), "pca")
    assert pca.gain_low > 0  # honest for these documents, of which it knows the noise
    assert pca.gain_unseen < pca.gain / 2


def test_a_kind_that_was_asked_for_is_taken_and_measured() -> None:
    flat = np.zeros((300, DIM), dtype=np.float32)
    flat[:, :16] = np.random.default_rng(0).standard_normal((300, 16))
    choice = choose_projection(flat, pick="pca", dims=(16,))
    assert choice.kind == "pca"
    assert choice.reason.startswith("pca, as asked for; measured: identity: nothing beat it")


def test_a_given_matrix_competes() -> None:
    rows = topics(1200, nested=False)
    good = fit_pca(rows)
    choice = choose_projection(rows, given=good, kinds=(), dims=(8, 16))
    assert (choice.kind, choice.projection) == ("given", good)
    half = Linear(good.matrix[:, :20])
    taken = choose_projection(rows, given=half, pick="given", kinds=())
    assert taken.projection == half
    assert taken.dims == (10,)
    with pytest.raises(VectorError, match="takes 8 dims, the vectors have 64"):
        choose_projection(rows, given=random_rotation(8))


def test_files_samples_and_seeds(tmp_path: Path) -> None:
    rows = topics(900, nested=False)
    np.save(tmp_path / "v.npy", rows)
    file = read_vectors(tmp_path / "v.npy")
    first, again = (choose_projection(file, dims=(16,), sample=500, seed=3) for _ in range(2))
    assert first.rows == again.rows
    assert first.rows == choose_projection(rows, dims=(16,), sample=500, seed=3).rows
    assert first.rows != choose_projection(rows, dims=(16,), sample=500, seed=4).rows
    assert first.documents + first.queries == 500
    assert "measured on a random 500 of 900 vectors" in first.notes
    assert first.projection.to_dict()["about"]["vectors"] == 900


def test_copies_do_not_find_themselves() -> None:
    rows = topics(200, nested=False)
    choice = choose_projection(np.vstack([rows, rows]), dims=(16,))
    assert "200 exact copies of other vectors left out" in choice.notes
    assert choice.documents + choice.queries == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["pca9"]}, "unknown kind of projection 'pca9'; allowed: identity, pca"),
        ({"pick": "given"}, "unknown kind of projection 'given'"),
        ({"pick": "query-aware"}, "needs queries"),
        ({"k": 0}, "k must be"),
        ({"k": 200}, "needs more than 400 documents"),
        ({"dims": (65,)}, "a dim to measure must be an integer from 1 to 64"),
        ({"dims": ()}, "at least one dim"),
        ({"sample": 5}, "sample must be an integer, at least 100"),
        ({"queries": topics(19, nested=True)}, "at least 20 different queries, got 19"),
        ({"queries": topics(30, nested=True)[:, :9]}, "queries have 9 dims, the vectors 64"),
        ({"vectors": topics(20, nested=True)}, "needs more than 21 documents"),
        ({"vectors": topics(20, nested=True)[0]}, "must be a batch"),
        ({"vectors": np.ones((100, 8), np.float32)}, "documents beside the queries, got 1"),
        ({"vectors": np.full((100, 8), np.nan, np.float32)}, "row 0 holds nan"),
    ],
)
def test_what_cannot_be_chosen_from(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_projection(**{"vectors": topics(300, nested=True), **options})


def real(pattern: str) -> np.ndarray:
    folder = os.environ.get("KUKLA_DATA")
    if folder is None:
        pytest.skip("KUKLA_DATA names no data folder")
    return np.concatenate([np.load(path) for path in sorted(Path(folder, "vectors").glob(pattern))])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        ("oai3small_dickens/*.npy", 0.1),
        ("nomic_books_vi/*.npy", 0.1),
        ("products_ada002_3small256/ada*.npy", 0.05),
        ("bge_base_hscodes76/*.npy", 0.1),
    ],
)
def test_real_vectors_gain_from_a_rotation(pattern: str, least: float) -> None:
    choice = choose_projection(real(pattern))
    assert choice.kind == "pca"
    assert row_of(choice, "pca").gain_low > least
    assert row_of(choice, "pca").gain > row_of(choice, "random").gain + least


@pytest.mark.shared_data
def test_an_index_of_real_vectors_finds_more_by_its_prefixes(tmp_path: Path) -> None:
    rows = real("nomic_books_vi/*.npy")
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    queries, documents = rows[:200], rows[200:]
    recalls = []
    for name, projection in (("plain", None), ("turned", fit_pca(documents))):
        with Index.create(tmp_path / name, dim=768, projection=projection) as index:
            index.add(documents)
            truth = exact_answers(index, queries, k=10)
            recalls.append(truth.recall(index.search(queries, plan="64:float32").ids).mean())
    assert recalls[1] > recalls[0] + 0.08


def test_a_fit_is_ranked_in_the_better_of_the_two_ways() -> None:
    # Lengths of prefixes that say nothing about the vectors: renormalised is better.
    rng = np.random.default_rng(0)
    rows = topics(800, nested=False)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    noise = 4 * rng.random((800, 1)) * np.eye(80, dtype=np.float32)[70]
    wide = np.hstack([rows, np.zeros((800, 16), np.float32)]) + noise
    for vectors in (rows, wide.astype(np.float32)):
        choice = choose_projection(vectors, pick="pca", dims=(8, 16))
        assert choice.projection.renormalises_prefixes == row_of(choice, "pca").renormalises_prefixes
    ip = choose_projection(rows, pick="pca", dims=(8, 16), metric="ip")
    assert not ip.projection.renormalises_prefixes
