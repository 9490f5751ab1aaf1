"""The learned head: better prefixes for queries it has not seen, the same whole vectors, clear refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index
from kukla.errors import InputError, MissingExtraError
from kukla.projection import Identity, Linear, Projection, Rotation, fit_pca
from kukla.projection.measure import prefix_recalls
from kukla.readers import read_vectors
from kukla.train import fit_linear_head, halving_dims
from kukla.train.finish import complete

from .conftest import DIM, Docstrings

DIMS = (8, 16, 32, 64)


@pytest.fixture(scope="module")
def head(docstrings: Docstrings) -> Linear:
    return fit_linear_head(docstrings.documents, docstrings.known, steps=40)


def recall(projection: Projection, docstrings: Docstrings, dims: tuple[int, ...] = DIMS) -> np.ndarray:
    """Mean recall@10 at each dim, on queries that nothing was fitted on."""
    found = prefix_recalls({"": projection}, docstrings.documents, docstrings.untouched, dims, 10, "cosine")
    return found[""].mean(axis=1)


def found_answers(projection: Projection, docstrings: Docstrings, dim: int) -> float:
    """The share of untouched first lines whose docstring is among the first ten by the prefix."""
    asked, found = projection.transform(docstrings.untouched), projection.transform(docstrings.documents)
    scores = asked[:, :dim] @ found[:, :dim].T
    if projection.renormalises_prefixes:
        scores /= np.linalg.norm(found[:, :dim], axis=1)
    own = scores[np.arange(len(scores)), docstrings.untouched_answers]
    return float(((scores > own[:, None]).sum(axis=1) < 10).mean())


def test_prefixes_find_more_for_queries_that_were_not_seen(head: Linear, docstrings: Docstrings) -> None:
    plain, learned = recall(Identity(DIM), docstrings), recall(head, docstrings)
    assert (learned > plain + 0.1).all()  # measured: +.15 at every dim
    # Never much worse than the best closed form, which is where it starts.
    assert learned.mean() > recall(fit_pca(docstrings.documents), docstrings).mean()


def test_a_rotation_changes_no_full_score(head: Linear, docstrings: Docstrings) -> None:
    assert isinstance(head, Rotation)
    assert head.keeps_scores
    np.testing.assert_allclose(head.matrix @ head.matrix.T, np.eye(DIM), atol=1e-5)
    asked, documents = docstrings.untouched[:50], docstrings.documents
    turned = head.transform(asked) @ head.transform(documents).T
    np.testing.assert_allclose(turned, asked @ documents.T, atol=1e-5)


def test_what_it_says_of_itself(head: Linear) -> None:
    about = head.about
    assert (about["fit"], about["start"], about["dims"]) == ("learned", "query-aware", list(DIMS))
    assert about["step"] > 0
    assert about["recall"] > about["start_recall"]
    assert repr(head) == "Rotation(128 -> 128, learned)"


def test_the_seed_decides(head: Linear, docstrings: Docstrings) -> None:
    again = fit_linear_head(docstrings.documents, docstrings.known, steps=40)
    assert again == head
    other = fit_linear_head(docstrings.documents, docstrings.known, steps=20, seed=1)
    assert not np.array_equal(other.matrix, head.matrix)


def test_files_give_what_arrays_give(docstrings: Docstrings, tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", docstrings.documents)
    np.save(tmp_path / "q.npy", docstrings.known)
    options: dict[str, Any] = {"steps": 20, "sample": 700}
    from_files = fit_linear_head(
        read_vectors(tmp_path / "d.npy"), read_vectors(tmp_path / "q.npy"), **options
    )
    assert from_files == fit_linear_head(docstrings.documents, docstrings.known, **options)
    assert from_files.about["vectors"] == 700


@pytest.mark.slow
def test_pairs_make_prefixes_find_answers(docstrings: Docstrings) -> None:
    paired = fit_linear_head(docstrings.documents, docstrings.known, pairs=docstrings.pairs, steps=60)
    assert isinstance(paired, Rotation)
    for dim, least in ((16, 0.08), (32, 0.05)):  # measured: +.14 and +.11
        gain = found_answers(paired, docstrings, dim) - found_answers(Identity(DIM), docstrings, dim)
        assert gain > least


def test_any_matrix_changes_scores_and_says_so(docstrings: Docstrings) -> None:
    seen: list[tuple[int, int | None]] = []
    free = fit_linear_head(
        docstrings.documents,
        docstrings.known,
        pairs=docstrings.pairs,
        dims=(64, 16),
        orthonormal=False,
        steps=40,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert type(free) is Linear
    assert not free.keeps_scores
    assert free.renormalises_prefixes
    assert (free.dim_in, free.dim_out) == (DIM, 64)
    assert found_answers(free, docstrings, 16) > found_answers(Identity(DIM), docstrings, 16) + 0.05
    assert seen[0] == (1, 40)
    assert seen[-1] == (40, 40)


def test_where_training_does_not_help_the_start_is_fitted_on_everything() -> None:
    # All there is lies in 8 dims, so a PCA finds everything from there on and nothing can be gained.
    rows = np.zeros((300, 32), dtype=np.float32)
    rows[:, 24:] = np.random.default_rng(0).standard_normal((300, 8))
    head = fit_linear_head(rows, dims=(8, 16), steps=40)
    assert (head.about["start"], head.about["step"], head.about["recall"]) == ("pca", 0, 1.0)
    assert np.array_equal(head.matrix, fit_pca(rows).matrix)


def test_it_stops_when_patience_is_over() -> None:
    rows = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    seen: list[int] = []
    fit_linear_head(
        rows, dims=(8,), steps=400, patience=20, learning_rate=5.0,
        progress=lambda done, _: seen.append(done),
    )  # fmt: skip
    assert seen[-2] < 400


def test_inner_products_are_learned_as_they_are(docstrings: Docstrings) -> None:
    lengths = np.linspace(0.5, 2, len(docstrings.documents), dtype=np.float32)[:, None]
    head = fit_linear_head(docstrings.documents * lengths, docstrings.known, metric="ip", steps=20)
    assert not head.renormalises_prefixes
    assert head.about["metric"] == "ip"


@pytest.mark.slow
def test_an_index_carries_it(head: Linear, docstrings: Docstrings, tmp_path: Path) -> None:
    head.save(tmp_path / "head.npz")
    loaded = Projection.load(tmp_path / "head.npz")
    assert loaded == head
    with Index.create(tmp_path / "i.kukla", dim=DIM, projection=loaded, nesting=(*DIMS, DIM)) as index:
        index.add(docstrings.documents)
    with Index.open(tmp_path / "i.kukla") as index:
        asked = docstrings.untouched[:200]
        exact = np.argsort(-(asked @ docstrings.documents.T), axis=1)[:, :1]
        assert (index.search(asked, 1, plan=f"{DIM}:float32").ids == exact).mean() > 0.98
        found = index.calibrate(docstrings.known, target="recall@10>=0.9", timed=False)
        assert index.search(asked[0], 10, plan=found.plan).ids.shape == (1, 10)


# The rotation around what was trained


def test_completion_keeps_what_prefixes_span_and_orders_the_rest() -> None:
    rng = np.random.default_rng(0)
    columns = np.linalg.qr(rng.standard_normal((12, 6)))[0].astype(np.float32)
    spread = rng.standard_normal((12, 12))
    moments = spread @ np.diag(0.5 ** np.arange(12)) @ spread.T
    whole = complete(columns, (2, 6), moments).astype(np.float64)
    np.testing.assert_allclose(whole.T @ whole, np.eye(12), atol=1e-6)
    for dim in (2, 6):
        np.testing.assert_allclose(
            whole[:, :dim] @ whole[:, :dim].T, columns[:, :dim] @ columns[:, :dim].T, atol=1e-6
        )
    energy = np.einsum("ij,ik,kj->j", whole, moments, whole)
    for shell in (energy[:2], energy[2:6], energy[6:]):
        assert (np.diff(shell) <= 1e-9).all()


@pytest.mark.parametrize(
    ("width", "dims"),
    [
        (2560, (40, 80, 160, 320, 640, 1280, 2560)),  # zembed-1
        (384, (12, 24, 48, 96, 192, 384)),
        (100, (12, 25, 50, 100)),
        (8, (8,)),
    ],
)
def test_the_schedule(width: int, dims: tuple[int, ...]) -> None:
    assert halving_dims(width) == dims


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vectors": np.eye(99, 64, dtype=np.float32) + 1}, "at least 100 different vectors, got 65"),
        ({"queries": np.ones((19, 16), np.float32)}, "at least 20 queries, got 19"),
        ({"queries": np.ones((40, 8), np.float32)}, "queries have 8 dims, the vectors 16"),
        ({"pairs": np.array([[0, 1]])}, "they need queries, got none"),
        (
            {"queries": np.ones((40, 16), np.float32), "pairs": np.array([[0, 1]])},
            "50 queries in pairs, got 1",
        ),
        (
            {"queries": np.ones((40, 16), np.float32), "pairs": np.array([[3, 200]])},
            "pair 0 names row 200 of the vectors; there are 200, from row 0",
        ),
        ({"queries": np.ones((40, 16), np.float32), "pairs": np.array([1, 2])}, "integers of shape"),
        ({"dims": (16,)}, "a dim below the 16 of the vectors"),
        ({"dims": (17,)}, "an integer from 1 to 16, got 17"),
        ({"k": 90}, "k = 90 needs at least 180 vectors to search, got 160"),
        ({"steps": 0}, "steps must be an integer, at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning rate must be a number above 0"),
        ({"pairs_weight": 1.5}, "weight of pairs must be from 0 to 1"),
        ({"vectors": np.full((200, 16), np.nan, np.float32)}, "row 0 holds nan"),
        ({"vectors": np.ones(16, np.float32)}, "must be a batch"),
        (
            {"dims": (8,), "orthonormal": False, "learning_rate": 1e38, "steps": 20},
            "the loss became (nan|inf) in step .* a smaller one may help",
        ),
    ],
)
def test_what_cannot_be_learned(options: dict[str, Any], message: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    with pytest.raises(InputError, match=message):
        fit_linear_head(**({"vectors": vectors} | options))


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kukla\[train\]'"):
        fit_linear_head(np.ones((200, 16), np.float32))


def test_importing_does_not_import_torch() -> None:
    code = "import sys, kukla.train, kukla.cli, kukla.projection.choose; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Real vectors


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["oai3small_dickens/*.npy", "nomic_books_vi/*.npy"])
def test_real_vectors_gain_over_their_prefixes(pattern: str) -> None:
    folder = os.environ.get("KUKLA_DATA")
    if folder is None:
        pytest.skip("KUKLA_DATA names no data folder")
    rows = np.concatenate([np.load(path) for path in sorted(Path(folder, "vectors").glob(pattern))])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows[np.random.default_rng(0).permutation(len(rows))].astype(np.float32)
    queries, documents = rows[:150], rows[150:]
    head = fit_linear_head(documents, steps=20)
    width = rows.shape[1]
    dims = tuple(dim for dim in halving_dims(width) if dim < width)
    both = {"plain": Identity(width), "learned": head}
    recalls = prefix_recalls(both, documents, queries, dims, 10, "cosine")
    assert (recalls["learned"].mean(axis=1) > recalls["plain"].mean(axis=1) + 0.05).all()
