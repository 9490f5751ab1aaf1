"""What peers are given: prefixes, a PCA, and exact rescoring of their candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers.engines.shorter import Rescorer, Shorter


def test_a_prefix_is_the_first_coordinates_made_unit_length(small_set: Path, tmp_path: Path) -> None:
    base = np.load(small_set / "base.npy", mmap_mode="r")
    short = Shorter.fit(base, {"shorter": "prefix", "dim": 64}, tmp_path).all(base)

    expected = base[:, :64] / np.linalg.norm(base[:, :64], axis=1, keepdims=True)
    np.testing.assert_allclose(short, expected, atol=1e-6)


def test_a_pca_keeps_more_of_the_scores_than_a_prefix(small_set: Path, tmp_path: Path) -> None:
    base = np.load(small_set / "base.npy")
    build = {"shorter": "pca", "dim": 64}
    fitted = Shorter.fit(base, build, tmp_path)

    assert fitted.matrix is not None
    np.testing.assert_allclose(fitted.matrix.T @ fitted.matrix, np.eye(64), atol=1e-4)
    energy = np.linalg.norm(base @ fitted.matrix) ** 2
    assert energy > np.linalg.norm(base[:, :64]) ** 2
    np.testing.assert_array_equal(Shorter.load(build, tmp_path)(base[:5]), fitted(base[:5]))


def test_rescoring_ranks_candidates_exactly_and_no_candidate_last(small_set: Path) -> None:
    pytest.importorskip("faiss")
    base = np.load(small_set / "base.npy", mmap_mode="r")
    queries = np.load(small_set / "queries.npy")[:2]
    candidates = np.array([[5, 900, 33, -1, 1999, 7], [4, -1, -1, -1, -1, -1]])

    found = Rescorer(base, 1)(queries, candidates, 3)

    scores = queries[0] @ base.T
    assert found[0].tolist() == sorted([5, 900, 33, 1999, 7], key=lambda row: -scores[row])[:3]
    assert found[1].tolist() == [4, -1, -1]


def test_faiss_takes_the_first_coordinates_too(small_set: Path) -> None:
    faiss = pytest.importorskip("faiss")
    from benchmarks.peers.engines.faiss_common import shortened

    base = np.load(small_set / "base.npy")
    index = shortened(faiss.IndexFlatIP(64), 512, {"shorter": "prefix", "dim": 64})
    index.add(base)

    found = index.search(base[:20], 5)[0]

    expected = np.sort(base[:20, :64] @ base[:, :64].T, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(found, expected, atol=1e-5)
