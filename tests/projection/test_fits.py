"""Fits: what they must find on data with a known answer, and what they refuse."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla.errors import InputError, VectorError
from kukla.projection import Moments, Rotation, fit_pca, fit_query_aware, random_rotation
from kukla.projection.fit_query_aware import query_weight
from kukla.readers import read_vectors

DIM = 24


def spread(count: int, *, seed: int = 0, fall: float = 0.8) -> np.ndarray:
    """Gaussian vectors whose energy falls along hidden directions."""
    rng = np.random.default_rng(seed)
    scaled = rng.standard_normal((count, DIM)) * fall ** np.arange(DIM)
    return (scaled @ random_rotation(DIM, seed=99).matrix.T).astype(np.float32)


def energy(rows: np.ndarray) -> np.ndarray:
    """The share of the squared lengths in each coordinate."""
    squares = (rows.astype(np.float64) ** 2).sum(axis=0)
    return squares / squares.sum()


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_pca_puts_the_most_energy_first(metric: Any) -> None:
    rows = spread(3000)
    rotation = fit_pca(rows, metric=metric)
    assert isinstance(rotation, Rotation)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shares = energy(rotation.transform(rows))
    assert (np.diff(shares) <= 1e-6).all()
    # No other rotation keeps more in any prefix: here, the hidden one and random ones.
    for other in (random_rotation(DIM, seed=99), random_rotation(DIM, seed=1)):
        assert (np.cumsum(shares) >= np.cumsum(energy(other.transform(rows))) - 1e-6).all()
    assert rotation.about == {"fit": "pca", "vectors": 3000, "metric": metric}
    assert not rotation.renormalises_prefixes


def test_the_mean_is_a_direction_like_others() -> None:
    rows = spread(500) + 3 * np.eye(DIM, dtype=np.float32)[5]
    first = fit_pca(rows, metric="ip").matrix[:, 0]
    assert abs(first[5]) > 0.97


def test_vectors_come_from_anywhere(tmp_path: Path) -> None:
    rows = spread(700)
    whole = fit_pca(rows)
    np.save(tmp_path / "v.npy", rows)
    seen: list[tuple[int, int | None]] = []
    for source in (read_vectors(tmp_path / "v.npy"), iter(np.array_split(rows, 5)), rows.astype(np.float64)):
        fitted = fit_pca(source, progress=lambda done, total: seen.append((done, total)))
        np.testing.assert_allclose(np.abs(fitted.matrix), np.abs(whole.matrix), atol=1e-3)
    assert seen[-1] == (700, 700)
    assert (700, None) in seen


def test_moments_are_exact_over_many_blocks() -> None:
    rows = spread(5000)
    moments = Moments(rows, metric="ip")
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(moments.matrix, wide.T @ wide / 5000, rtol=1e-9, atol=1e-12)
    assert (moments.count, moments.dim) == (5000, DIM)
    assert np.trace(moments.relative) == pytest.approx(1)


def test_what_a_small_sample_does_not_say_keeps_the_order_of_the_coordinates() -> None:
    dim = 40
    rows = np.zeros((20, dim), dtype=np.float32)
    rows[:, 30] = 1
    rows[:, 35] = np.linspace(-0.1, 0.1, 20)
    turned = fit_pca(rows).transform(np.eye(dim, dtype=np.float32))
    rest = [i for i in range(dim) if i not in (30, 35)]
    np.testing.assert_allclose(turned[[30, 35, *rest]], np.eye(dim), atol=1e-3)


def test_queries_bring_their_directions_forward() -> None:
    rng = np.random.default_rng(4)
    documents = (rng.standard_normal((2000, DIM)) * np.linspace(2, 0.5, DIM)).astype(np.float32)
    queries = (rng.standard_normal((400, DIM)) * np.linspace(0.1, 2, DIM)).astype(np.float32)
    rotation = fit_query_aware(documents, queries)
    assert rotation.about["weight"] == 0.5
    assert (rotation.about["vectors"], rotation.about["queries"]) == (2000, 400)
    pca = fit_pca(documents)
    asked = [energy(fitted.transform(queries))[:6].sum() for fitted in (pca, rotation)]
    assert asked[1] > asked[0] + 0.2
    same = fit_query_aware(documents, queries, weight=0)
    np.testing.assert_allclose(np.abs(same.matrix), np.abs(pca.matrix), atol=1e-3)


def test_few_queries_weigh_little() -> None:
    assert query_weight(10, 1000) < 0.01
    assert query_weight(1000, 1000) == 0.5
    assert query_weight(10**6, 1000) == 0.5


ROWS = spread(30)


@pytest.mark.parametrize(
    ("vectors", "kind", "message"),
    [
        (ROWS[:15], InputError, "at least 16 vectors, got 15; 48 "),
        (ROWS[:0], InputError, "at least 1 row of vectors, got none"),
        (iter([]), InputError, "at least 1 row of vectors, got none"),
        (np.zeros((20, 4), np.float32), VectorError, "row 0 is all zeros"),
        (np.full((20, 4), np.nan, np.float32), VectorError, "row 0 holds nan"),
        (np.ones((20, 4), np.int8), VectorError, "must be floats"),
        (iter([ROWS, ROWS[:, :5]]), VectorError, "vectors must have 24 dims, got 5"),
        (iter([ROWS, np.vstack([ROWS, ROWS * np.nan])]), VectorError, "row 60 holds nan"),
    ],
)
def test_what_cannot_be_fitted(vectors: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fit_pca(vectors)


def test_zeros_have_no_directions() -> None:
    with pytest.raises(InputError, match="no directions to fit"):
        fit_pca(np.zeros((20, 4), np.float32), metric="ip")


def test_what_cannot_be_fitted_with_queries() -> None:
    with pytest.raises(InputError, match="at least 10 queries, got 9"):
        fit_query_aware(ROWS, ROWS[:9])
    with pytest.raises(InputError, match="at least 16 vectors"):
        fit_query_aware(ROWS[:9], ROWS)
    with pytest.raises(VectorError, match="queries have 20 dims, the documents 24"):
        fit_query_aware(ROWS, ROWS[:, :20])
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="must be from 0 to 1"):
            fit_query_aware(ROWS, ROWS, weight=weight)


def test_a_fit_reads_its_vectors_once_in_memory_that_does_not_grow() -> None:
    batch = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
    peaks = []
    for count in (5, 50):
        tracemalloc.start()
        rotation = fit_pca(batch + np.float32(i) for i in range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rotation.about["vectors"] == 2000 * count
    assert peaks[1] < 1.2 * peaks[0] < 50 * batch.nbytes / 4
