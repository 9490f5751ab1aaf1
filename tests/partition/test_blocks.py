"""Blocks of a list: every row once, like rows together; and how many of them a query scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.partition.samples import clustered

from kukla.kernels.partition import BLOCK_ROWS
from kukla.partition.blocks import in_blocks
from kukla.partition.model import LEAST_SHARE, SHORTLIST, rows_wanted

Rows = NDArray[np.float32]


def blocks_of(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return np.split(order, range(size, len(order), size))


def scatter(rows: Rows, order: NDArray[np.int64], size: int) -> float:
    """The mean squared distance of rows from the means of their blocks."""
    inside = sum(np.square(rows[b] - rows[b].mean(axis=0)).sum() for b in blocks_of(order, size))
    return float(inside) / len(rows)


@given(
    st.integers(0, 300), st.integers(1, 40), st.integers(1, 12), st.integers(1, 50), st.integers(0, 2**32 - 1)
)
def test_every_row_once_ascending_inside_a_block(
    count: int, size: int, dim: int, different: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-3, 4, (different, dim)).astype(np.float32)[rng.integers(0, different, count)]
    order = in_blocks(rows, size)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))
    assert all((np.diff(block) > 0).all() for block in blocks_of(order, size))
    # Rows that are equal stay in their order: nothing but it can tell them apart.
    place = np.argsort(order)
    for i in range(count - 1):
        (equal,) = np.nonzero((rows[i + 1 :] == rows[i]).all(axis=1))
        if len(equal):
            assert place[i] < place[i + 1 + equal[0]]
    np.testing.assert_array_equal(order, in_blocks(rows.copy(), size))


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32])
def test_what_fits_into_a_block_stays_in_its_order(count: int) -> None:
    assert in_blocks(clustered(count, 8), 32).tolist() == list(range(count))


@pytest.mark.parametrize("count", [33, 63, 64, 65, 97])
def test_only_the_last_block_is_not_full(count: int) -> None:
    """Of two places, 32 rows from one are a block, and what is left over is not spread."""
    rows = np.zeros((count, 3), np.float32)
    rows[1::2, 0] = 1
    order = in_blocks(rows, 32)
    assert sorted(order.tolist()) == list(range(count))
    mixed = [len({*rows[block, 0].tolist()}) > 1 for block in blocks_of(order, 32)]
    assert sum(mixed) <= 1


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 65504.0])
def test_rows_that_are_all_equal_stay_in_their_order(value: float) -> None:
    assert in_blocks(np.full((200, 5), value, np.float32), 32).tolist() == list(range(200))


@pytest.mark.parametrize("count", [100, 1000, 1024])
def test_rows_are_nearer_to_the_mean_of_their_block_than_to_that_of_any_others(count: int) -> None:
    rows = clustered(count, 24)
    rng = np.random.default_rng(0)
    of_chance = min(scatter(rows, rng.permutation(count), 32) for _ in range(5))
    assert scatter(rows, in_blocks(rows, 32), 32) < 0.9 * of_chance
    # As many places as blocks: each is found whole.
    places = np.repeat(100 * np.eye(8, 24, dtype=np.float32), 32, axis=0)
    shuffled = rng.permutation(256)
    together = in_blocks((places + rows[np.arange(256) % count])[shuffled], 32)
    assert all(len({*(shuffled[block] // 32).tolist()}) == 1 for block in blocks_of(together, 32))


# How many rows are scored

seen_rows = st.integers(0, 10**9)
keeps = st.integers(0, 10**5)
probes_of_lists = st.integers(1, 1 << 16).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))


@given(seen_rows, probes_of_lists, keeps)
def test_rows_wanted_are_enough_and_not_more_than_there_are(
    seen: int, probed: tuple[int, int], keep: int
) -> None:
    probes, lists = probed
    wanted = rows_wanted(seen, probes, lists, keep)
    assert min(seen, max(1, SHORTLIST * keep)) <= wanted <= seen
    assert wanted * LEAST_SHARE >= seen
    assert wanted * lists * lists >= seen * probes * probes
    assert rows_wanted(seen, lists, lists, keep) == seen


@given(seen_rows, probes_of_lists, st.integers(0, 1 << 16), keeps, st.integers(0, 10**6))
def test_more_lists_rows_or_kept_ones_never_want_fewer_rows(
    seen: int, probed: tuple[int, int], more_probes: int, keep: int, more: int
) -> None:
    probes, lists = probed
    wanted = rows_wanted(seen, probes, lists, keep)
    assert rows_wanted(seen, min(lists, probes + more_probes), lists, keep) >= wanted
    assert rows_wanted(seen + more, probes, lists, keep) >= wanted
    assert rows_wanted(seen, probes, lists, keep + more) >= wanted


def test_rows_wanted_by_hand() -> None:
    assert rows_wanted(133_000, 512, 4000, 50) == 133_000 / LEAST_SHARE
    assert rows_wanted(1000, 512, 4000, 50) == 50 * SHORTLIST
    assert rows_wanted(300, 512, 4000, 50) == 300
    assert rows_wanted(100_000, 3000, 4000, 50) == 100_000 * 9 / 16
    assert BLOCK_ROWS == 32
