"""k-means: means of what is nearest, no list left empty while training, the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered

from kukla.partition import k_means as module
from kukla.partition.k_means import Nearest, k_means, nearest
from kukla.partition.model import NEAR_DIMS
from kukla.partition.train import train_partition


def spread_of(rows: NDArray[np.float32], centroids: NDArray[np.float32]) -> float:
    return float(((rows[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2).min(axis=1).mean())


def test_the_nearest_centroid_is_the_first_of_the_equally_near(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(-2, 3, (200, 5)).astype(np.float32)
    centroids = rng.integers(-2, 3, (30, 5)).astype(np.float32)
    expected = ((rows[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest(rows, centroids), expected)
    monkeypatch.setattr(module, "SCORES", 100)  # a few rows at a time
    np.testing.assert_array_equal(nearest(rows, centroids), expected)


def test_centroids_are_where_the_rows_are() -> None:
    rows = clustered(2000, 16, places=12, spread=0.05)
    centroids = k_means(rows, 40, np.random.default_rng(0))
    assert spread_of(rows, centroids) < 0.1 * spread_of(rows, rows.mean(axis=0, keepdims=True))


def test_many_centroids_are_found_through_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 50)
    monkeypatch.setattr(module, "STEP_ROWS", 700)  # a few rows at a time
    rows = clustered(3000, 16)
    seen: list[tuple[int, int | None]] = []
    centroids = k_means(rows, 300, np.random.default_rng(0), progress=lambda *step: seen.append(step))
    assert centroids.shape == (300, 16)
    assert np.isfinite(centroids).all()
    assert seen == [(i, 5) for i in range(1, 6)]
    found = Nearest(centroids).of(rows)
    exact = nearest(rows, centroids)
    assert (found == exact).mean() > 0.95
    # What is found instead is hardly farther.
    far = np.square(rows - centroids[found]).sum(axis=1)
    assert far.mean() < 1.01 * np.square(rows - centroids[exact]).sum(axis=1).mean()
    monkeypatch.setattr(module, "FEW", 300)
    assert spread_of(rows, centroids) < 1.1 * spread_of(rows, k_means(rows, 300, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("sizes", "count"), [([10, 0, 30], 7), ([1, 1, 1], 3), ([5, 100], 104), ([7], 3), ([2, 3, 90], 30)]
)
def test_parts_get_their_share_of_centroids(sizes: list[int], count: int) -> None:
    shares = module._shares(np.array(sizes), count)
    assert sum(shares) == count
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    for share, size in zip(shares, sizes, strict=True):
        assert abs(share - min(size, size * count / sum(sizes))) < 2


def test_wide_rows_are_clustered_by_their_first_dims_and_have_means_of_all() -> None:
    rows = clustered(400, NEAR_DIMS + 40)
    made = train_partition(rows, lists=25, code_bytes=4)
    lists = made.assign(rows)
    same = nearest(rows[:, :NEAR_DIMS], np.ascontiguousarray(made.centroids[:, :NEAR_DIMS]))
    np.testing.assert_array_equal(lists, same)
    assert len(np.unique(lists)) > 15
    assert np.abs(made.centroids[:, NEAR_DIMS:]).max() > 0.01


def test_the_same_seed_gives_the_same() -> None:
    rows = clustered(300, 12)
    a, b, c = (k_means(rows, 20, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert a.tobytes() == b.tobytes() != c.tobytes()


def test_rows_that_are_all_equal_and_lists_without_rows() -> None:
    centroids = k_means(np.ones((50, 8), np.float32), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(centroids, 1)
    np.testing.assert_array_equal(
        k_means(np.eye(8, dtype=np.float32), 8, np.random.default_rng(0)).sum(axis=1), 1
    )


def test_more_lists_than_rows_cannot_be() -> None:
    with pytest.raises(ValueError, match="7 rows cannot be cut into 8 lists"):
        k_means(np.ones((7, 8), np.float32), 8, np.random.default_rng(0))
