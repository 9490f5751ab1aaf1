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
from kukla.partition.blocks import in_blocks
from kukla.partition.codebooks import Codebook, _paired, train_codebooks, weighted_codewords
from kukla.partition.model import HEAD_DIMS
from kukla.partition.probe import STEPS, Probe, Tables

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
    short, short_stretches, long, long_stretches = partition.encode(fresh, lists, threads=2)
    assert (short.dtype, short.shape, short_stretches.shape) == (np.uint8, (300, 4), (300,))
    assert (long.dtype, long.shape, long_stretches.shape) == (np.uint8, (300, 18), (300,))
    residuals = fresh - partition.centroids[lists]
    left = [
        float(np.square(residuals - book.decode(codes, 40)).sum())
        for book, codes in ((partition.short, short), (partition.long, long))
    ]
    assert left[1] < 0.5 * left[0] < 0.5 * 0.9 * np.square(residuals).sum()
    for one, all_of_them in zip(
        partition.encode(fresh[5:6], lists[5:6]), (short, short_stretches, long, long_stretches), strict=True
    ):
        np.testing.assert_array_equal(one, all_of_them[5:6])
    # Codewords are means, and so shorter than what they stand for: most rows are stretched.
    assert (short_stretches >= 64).mean() > 0.9
    assert (long_stretches >= 64).mean() > 0.8


def test_both_codes_are_of_the_same_residuals(partition: Partition, rows: Rows) -> None:
    lists = partition.assign(rows[:50])
    residuals = rows[:50] - partition.centroids[lists]
    made = partition.encode(rows[:50], lists)
    expected = (*partition.short.encode(residuals), *partition.long.encode(residuals, threads=3))
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_more_bytes_leave_less(rows: Rows) -> None:
    left = []
    for code_bytes, short_bytes in ((8, 2), (12, 2), (22, 4)):
        made = train_partition(rows, lists=20, code_bytes=code_bytes)
        assert (made.short_bytes, made.code_bytes) == (short_bytes, code_bytes)
        lists = made.assign(rows)
        residuals = rows - made.centroids[lists]
        long = made.encode(rows, lists)[2]
        left.append(float(np.square(residuals - made.long.decode(long, 40)).sum()))
    assert left[0] > 1.2 * left[1] > 1.4 * left[2], left


@pytest.mark.parametrize(
    ("dim", "asked", "mean_bytes", "short_bytes", "code_bytes"),
    [
        (300, 8, 4, 2, 8),
        (300, 64, 32, 16, 64),
        (300, 66, 32, 16, 66),
        (300, 128, 64, 32, 128),
        (40, 64, 20, 16, 22),  # a group has a dim at least
        (8, 64, 4, 4, 6),
    ],
)
def test_a_record_takes_what_is_asked_a_mean_half_and_a_short_code_a_quarter(
    dim: int, asked: int, mean_bytes: int, short_bytes: int, code_bytes: int
) -> None:
    made = train_partition(clustered(300, dim), lists=3, code_bytes=asked)
    assert (made.mean_bytes, made.short_bytes, made.code_bytes) == (mean_bytes, short_bytes, code_bytes)
    assert made.mean.groups == 2 * mean_bytes
    assert made.short.groups == 2 * short_bytes
    assert made.long.groups == 2 * (code_bytes - 2)  # its stretch, and a zero
    codes = made.encode(clustered(5, dim, seed=1), np.zeros(5, np.int64))
    assert [part.shape[1:] for part in codes] == [(short_bytes,), (), (code_bytes - 2,), ()]


def means_of_blocks(made: Partition, rows: Rows) -> Rows:
    """What is left of the means of whole blocks beside the centroids of their lists."""
    lists, found = made.assign(rows), []
    for number in range(made.lists):
        members = rows[lists == number]
        order = in_blocks(members, 32)
        found += [
            members[order[at : at + 32]].mean(axis=0) - made.centroids[number]
            for at in range(0, len(order) - 31, 32)
        ]
    return np.stack(found)


@pytest.mark.parametrize("sampled", [1, 4, 16])
def test_codes_of_means_are_trained_on_what_means_are_like(sampled: int) -> None:
    """Also where the partition is trained on a sample: as many of it as there are in a block."""
    everything = clustered(8000, 24)
    made = train_partition(everything[::sampled], lists=20, code_bytes=16, documents=8000)
    residuals = means_of_blocks(made, everything)

    def left(book: Codebook) -> float:
        wrong = residuals - book.decode(book.encode(residuals)[0], 24)
        return float(np.square(wrong).sum() / np.square(residuals).sum())

    of_rows = codebook_of(everything[::sampled], made)
    assert left(made.mean) < 0.1
    assert left(made.mean) < 0.9 * left(of_rows)


def codebook_of(rows: Rows, made: Partition) -> Codebook:
    """As long as the codes of means, for the residuals of rows instead."""
    residuals = rows - made.centroids[made.assign(rows)]
    return Codebook.train(residuals, np.ones(24), made.mean.groups, np.random.default_rng(0))


def test_queries_say_which_dims_matter(rows: Rows) -> None:
    """Codes of the same length hold these dims better than those that were made without queries."""
    queries = np.zeros((5, rows.shape[1]), np.float32)
    queries[:, 30:] = 1
    left = []
    for asked in (queries, None):
        made = train_partition(rows, lists=10, code_bytes=8, queries=asked)
        residuals = rows - made.centroids[lists := made.assign(rows)]
        short, _, long, _ = made.encode(rows, lists)
        wrong = [
            residuals - book.decode(codes, 40) for book, codes in ((made.short, short), (made.long, long))
        ]
        left.append([np.square(one).mean(axis=0) for one in wrong])
    for given, usual in zip(*left, strict=True):
        assert given[30:].sum() < 0.8 * usual[30:].sum()
        assert given[:30].sum() > usual[:30].sum()


def test_the_same_seed_gives_the_same_partition(rows: Rows, partition: Partition) -> None:
    again = train_partition(rows, lists=30, code_bytes=20)
    assert again.fingerprint == partition.fingerprint
    assert train_partition(rows, lists=30, code_bytes=20, seed=1).fingerprint != partition.fingerprint
    assert len(partition.fingerprint) == 8


def test_sizes(partition: Partition) -> None:
    assert (partition.lists, partition.dim) == (30, 40)
    assert (partition.mean_bytes, partition.mean.groups, partition.mean.code_bytes) == (10, 20, 10)
    assert (partition.short_bytes, partition.short.groups, partition.short.code_bytes) == (4, 8, 4)
    assert (partition.code_bytes, partition.long.groups, partition.long.code_bytes) == (20, 36, 18)
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


def test_a_group_of_much_is_beside_one_of_little() -> None:
    """The two tables of a pair share the steps of a byte: none of them needs most of it for itself."""
    order, ends = _paired(np.arange(10), np.array([1, 2, 4, 10]))
    assert [one.tolist() for one in np.split(order, ends[:-1])] == [[0], [4, 5, 6, 7, 8, 9], [1], [2, 3]]
    assert ends.tolist() == [1, 7, 8, 10]


# A query's look at it


def test_the_estimate_is_the_score_of_what_the_codes_stand_for(partition: Partition, rows: Rows) -> None:
    query = clustered(1, rows.shape[1], seed=8)[0]
    probe = Probe.of(partition, query, 30)
    assert sorted(probe.lists.tolist()) == list(range(30))
    np.testing.assert_allclose(probe.scores, partition.centroids[probe.lists] @ query, atol=2e-3)
    lists = partition.assign(rows[:200])
    short, _, long, _ = partition.encode(rows[:200], lists)
    for book, tables, codes in ((partition.short, probe.short, short), (partition.long, probe.long, long)):
        pairs = tables.entries.max(axis=1).astype(int).reshape(-1, 2).sum(axis=1)
        assert pairs.max() <= 255  # they add up in a byte
        nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(200, -1)
        sums = tables.entries[np.arange(book.groups), nibbles].astype(int).sum(axis=1)
        exact = book.decode(codes, 40) @ query
        # Each of the groups is off by half a step at most.
        np.testing.assert_allclose(
            tables.offset + tables.delta * sums, exact, atol=0.5 * tables.delta * book.groups + 1e-5
        )


def test_the_probes_have_the_best_heads_and_the_others_follow_by_their_promise(rows: Rows) -> None:
    """The probes come in the order of their numbers, as they lie in memory."""
    made = train_partition(clustered(900, 200), lists=80, code_bytes=8)
    query = clustered(1, 200, seed=3)[0]
    by_heads = np.argsort(-(made.centroids[:, :HEAD_DIMS] @ query[:HEAD_DIMS]) * made.routes)
    as_a_whole = np.argsort(-(made.centroids @ query) * made.routes)
    assert by_heads[:20].tolist() != as_a_whole[:20].tolist()
    for probes in (1, 3, 20, 79):
        probe = Probe.of(made, query, probes)
        assert probe.lists[:probes].tolist() == sorted(by_heads[:probes].tolist())
        others = as_a_whole[~np.isin(as_a_whole, by_heads[:probes])]
        assert probe.lists[probes:].tolist() == others.tolist()
        np.testing.assert_allclose(probe.scores, made.centroids[probe.lists] @ query, atol=2e-2)
    assert Probe.of(made, query, 80).lists.tolist() == list(range(80))


@pytest.mark.parametrize("factor", [0.0, 1e-44, 1e-38])
def test_queries_without_use_for_tables_are_scored_by_centroids(partition: Partition, factor: float) -> None:
    probe = Probe.of(partition, clustered(1, partition.dim)[0] * np.float32(factor), 4)
    for tables in (probe.mean, probe.short, probe.long):
        assert not tables.entries.any()
        assert tables.delta == 0
        assert np.isfinite(tables.offset)
    assert sorted(probe.lists.tolist()) == list(range(partition.lists))


def scaled(book: Codebook, factor: float) -> Codebook:
    with np.errstate(over="ignore"):
        return replace(book, books=book.books * np.float32(factor))


@pytest.mark.parametrize("size", [1e30, -1e30, 1e38])
def test_tables_beyond_float32_are_not_used(partition: Partition, size: float) -> None:
    query = clustered(1, partition.dim)[0] * np.float32(1e30)
    for book in (partition.mean, partition.short, partition.long):
        tables = Tables.of(scaled(book, size), query)
        assert (tables.entries.any(), tables.offset, tables.delta) == (False, 0.0, 0.0)


def test_what_usable_tables_add_up_to_is_a_float32(partition: Partition) -> None:
    """The limit is 2^124, of a sum of entries and of the offset: stretched, and beside a list's score."""
    query = clustered(1, partition.dim)[0]
    for book in (partition.mean, partition.short, partition.long):
        one = Tables.of(book, query)
        most = max(one.delta * STEPS * book.groups, -one.offset)
        below = Tables.of(scaled(book, 2.0**124 / most * 0.999), query)
        np.testing.assert_array_equal(below.entries, one.entries)
        assert -(2.0**124) <= below.offset < 0 < below.delta
        above = Tables.of(scaled(book, 2.0**124 / most * 1.001), query)
        assert (above.entries.any(), above.delta) == (False, 0.0)
        ends = np.zeros((1, book.code_bytes + 1, 32), np.uint8)
        ends[0, -1] = 255
        for base in (-(2.0**126), 2.0**126):
            for entries in (np.zeros_like(one.entries), np.full_like(one.entries, 127)):
                scores = kernels.nibble_scores(ends, entries, base, below.offset, below.delta)
                assert np.isfinite(scores).all()


# Files


def test_what_is_written_comes_back(partition: Partition) -> None:
    again = Partition.from_arrays(partition.arrays(), dim=40, source="x")
    assert again.fingerprint == partition.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("long_books"),
        lambda a: a.pop("short_order"),
        lambda a: a.pop("mean_weights"),
        lambda a: a.update(codes=a["codes"][:, :-1]),
        lambda a: a.update(codes=a["codes"][:0]),
        lambda a: a.update(codes=a["codes"].astype(np.int16)),
        lambda a: a.update(codes=np.array(1, np.int8)),
        lambda a: a.update(scales=a["scales"][:-1]),
        lambda a: a.update(routes=np.full_like(a["routes"], np.nan)),
        lambda a: a.update(short_ends=a["short_ends"][:-1]),
        lambda a: a.update(mean_ends=a["mean_ends"][:-1]),
        lambda a: a.update(mean_order=a["mean_order"] + np.uint64(40)),
        lambda a: a.update(mean_books=a["mean_books"] * np.float32(np.nan)),
        lambda a: a.update(short_ends=a["short_ends"][::-1].copy()),
        lambda a: a.update(long_ends=np.array([2, 2, 3, a["long_ends"][-1]], dtype=np.uint64)),
        lambda a: a.update(long_ends=np.array([], dtype=np.uint64)),
        lambda a: a.update(short_order=a["short_order"] + np.uint64(40)),
        lambda a: a.update(long_order=np.zeros_like(a["long_order"])),
        lambda a: a.update(short_books=a["short_books"][:, :8]),
        lambda a: a.update(long_weights=a["long_weights"] * np.float32(np.inf)),
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
