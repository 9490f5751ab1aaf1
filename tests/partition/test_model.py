"""A partition: rows near their centroids, codes near what is left, files that come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered

from kukla import kernels
from kukla.errors import ForeignFileError
from kukla.partition import Partition, train_partition
from kukla.partition.codebooks import train_codebooks, weighted_codewords
from kukla.partition.probe import Probe

Rows = NDArray[np.float32]


def test_rows_are_in_the_list_of_their_nearest_centroid(partition: Partition, rows: Rows) -> None:
    lists = partition.assign(rows)
    exact = ((rows[:, None] - partition.centroids) ** 2).sum(axis=2).argmin(axis=1)
    assert (lists == exact).mean() > 0.99
    np.testing.assert_array_equal(partition.assign(rows[7:8]), lists[7:8])
    assert len(np.unique(lists)) > 20


def test_codes_stand_for_rows_better_than_centroids_do(partition: Partition, rows: Rows) -> None:
    fresh = clustered(300, rows.shape[1], seed=1)
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    lists = partition.assign(fresh)
    codes, stretches = partition.encode(fresh, lists, threads=2)
    assert (codes.dtype, codes.shape) == (np.uint8, (300, 10))
    coarse = np.square(fresh - partition.centroids[lists]).sum()
    fine = np.square(fresh - partition.decode(codes, lists)).sum()
    assert fine < 0.6 * coarse
    one, stretch = partition.encode(fresh[5:6], lists[5:6])
    np.testing.assert_array_equal(one, codes[5:6])
    np.testing.assert_array_equal(stretch, stretches[5:6])
    # Codewords are means, and so shorter than what they stand for: most rows are stretched.
    assert (stretches >= 64).mean() > 0.9


def test_more_bytes_leave_less(rows: Rows) -> None:
    left = []
    for code_bytes in (2, 6, 20):
        made = train_partition(rows, lists=20, code_bytes=code_bytes)
        assert made.code_bytes == code_bytes
        lists = made.assign(rows)
        left.append(float(np.square(rows - made.decode(made.encode(rows, lists)[0], lists)).sum()))
    assert left[0] > 1.3 * left[1] > 1.6 * left[2]


def test_queries_say_which_dims_matter(rows: Rows) -> None:
    queries = np.zeros((5, rows.shape[1]), np.float32)
    queries[:, 30:] = 1
    made = train_partition(rows, lists=10, code_bytes=4, queries=queries)
    assert {*made.order[:4].tolist()} <= {*range(30, 40)}
    other = train_partition(rows, lists=10, code_bytes=4)
    assert 0 in other.order[:4].tolist()


def test_the_same_seed_gives_the_same_partition(rows: Rows, partition: Partition) -> None:
    again = train_partition(rows, lists=30, code_bytes=10)
    assert again.fingerprint == partition.fingerprint
    assert train_partition(rows, lists=30, code_bytes=10, seed=1).fingerprint != partition.fingerprint
    assert len(partition.fingerprint) == 8


def test_sizes(partition: Partition) -> None:
    assert (partition.lists, partition.dim, partition.groups, partition.code_bytes) == (30, 40, 20, 10)
    assert partition.centroid_bytes == 30 * 40 + 30 * 4 + 30 * 4
    # Heads are all 40 dims here, so that there are no tails to look at.
    assert partition.choosing_bytes(1) == partition.choosing_bytes(None) == 30 * 40 + 8 * 30


def test_codebooks_of_one_dim_are_its_quantiles_refined() -> None:
    values = np.linspace(0, 1, 1600, dtype=np.float32)[:, None].repeat(4, axis=1)
    ends = np.arange(1, 5, dtype=np.uint64)
    weights = np.ones(4, dtype=np.float32)
    with kernels.use(kernels.available()[0]):
        books = train_codebooks(values, weights, ends, np.random.default_rng(0))
    np.testing.assert_allclose(
        np.sort(books, axis=1), (np.arange(16) + 0.5)[None].repeat(4, axis=0) / 16, atol=0.01
    )
    weighted, halves = weighted_codewords(books, weights * 2, ends)
    np.testing.assert_allclose(weighted, 2 * books)
    np.testing.assert_allclose(halves, np.square(books), rtol=1e-6)


# A query's look at it


def test_the_estimate_is_the_score_of_what_the_codes_stand_for(partition: Partition, rows: Rows) -> None:
    query = clustered(1, rows.shape[1], seed=8)[0]
    probe = Probe.of(partition, query, 30)
    assert sorted(probe.lists.tolist()) == list(range(30))
    np.testing.assert_allclose(probe.scores, partition.centroids[probe.lists] @ query, atol=2e-3)
    lists = partition.assign(rows[:200])
    codes, _ = partition.encode(rows[:200], lists)
    nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(200, -1)
    sums = probe.tables[np.arange(partition.groups), nibbles].astype(int).sum(axis=1)
    base = np.empty(30)
    base[probe.lists] = probe.scores
    estimates = base[lists] + probe.offset + probe.delta * sums
    exact = partition.decode(codes, lists) @ query
    # Each of the groups is off by half a step at most.
    np.testing.assert_allclose(estimates, exact, atol=0.5 * probe.delta * partition.groups + 2e-3)


def test_lists_come_in_the_order_of_their_promise(rows: Rows) -> None:
    """First the probes, half as many and sixteen, chosen by their heads, ordered as a whole; then others."""
    wide = clustered(900, 200)
    made = train_partition(wide, lists=80, code_bytes=8)
    query = clustered(1, 200, seed=3)[0]
    probe = Probe.of(made, query, 3)
    routed = probe.scores * made.routes[probe.lists]
    assert (np.diff(routed[:20]) <= 0).all()
    assert (np.diff(routed[20:]) <= 0).all()
    all_of_them = Probe.of(made, query, 80)
    assert (np.diff(all_of_them.scores * made.routes[all_of_them.lists]) <= 0).all()
    assert len({*probe.lists[:3].tolist()} & {*all_of_them.lists[:6].tolist()}) >= 2


@pytest.mark.parametrize("factor", [0.0, 1e-44, 1e-38])
def test_queries_without_use_for_tables_are_scored_by_centroids(partition: Partition, factor: float) -> None:
    probe = Probe.of(partition, clustered(1, partition.dim)[0] * np.float32(factor), 4)
    assert not probe.tables.any()
    assert probe.delta == 0
    assert np.isfinite(probe.offset)
    assert sorted(probe.lists.tolist()) == list(range(partition.lists))


def test_tables_beyond_float32_are_not_used(partition: Partition) -> None:
    query = clustered(1, partition.dim)[0]
    for size in (1e30, -1e30):
        probe = Probe.of(
            replace(partition, books=partition.books * np.float32(size)), query * np.float32(1e30), 4
        )
        assert (probe.tables.any(), probe.offset, probe.delta) == (False, 0.0, 0.0)


# Files


def test_what_is_written_comes_back(partition: Partition) -> None:
    again = Partition.from_arrays(partition.arrays(), dim=40, source="x")
    assert again.fingerprint == partition.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("books"),
        lambda a: a.update(codes=a["codes"][:, :-1]),
        lambda a: a.update(codes=a["codes"][:0]),
        lambda a: a.update(codes=a["codes"].astype(np.int16)),
        lambda a: a.update(scales=a["scales"][:-1]),
        lambda a: a.update(routes=np.full_like(a["routes"], np.nan)),
        lambda a: a.update(ends=a["ends"][:-1]),
        lambda a: a.update(ends=a["ends"][::-1].copy()),
        lambda a: a.update(ends=np.array([2, 2, 3, a["ends"][-1]], dtype=np.uint64)),
        lambda a: a.update(ends=np.array([], dtype=np.uint64)),
        lambda a: a.update(order=a["order"] + np.uint64(40)),
        lambda a: a.update(order=np.zeros_like(a["order"])),
        lambda a: a.update(books=a["books"][:, :8]),
        lambda a: a.update(weights=a["weights"] * np.float32(np.inf)),
    ],
)  # fmt: skip
def test_arrays_of_another_index_are_foreign(
    partition: Partition, change: Callable[[dict[str, Any]], object]
) -> None:
    arrays = partition.arrays()
    change(arrays)
    with pytest.raises(ForeignFileError, match=r"partition\.1\.seg holds no partition of 40 dims"):
        Partition.from_arrays(arrays, dim=40, source="partition.1.seg")
    with pytest.raises(ForeignFileError, match="of 41 dims"):
        Partition.from_arrays(partition.arrays(), dim=41, source="x")
