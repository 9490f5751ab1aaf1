"""The kernels of lists: exact on every instruction set, whatever the number of groups, ties and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kukla import kernels
from kukla.kernels.partition import BLOCK_ROWS, RECORD_TAIL, at_least

quick = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)  # the fixture only names the kernels
GROUPS = (4, 8, 12, 32, 100, 128, 252, 256)


# Scoring codes


def tables_of(groups: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The largest entries of a pair of groups add up to 255."""
    most = rng.integers(0, 256, groups // 2)
    most = np.stack([most, 255 - most], axis=1).reshape(-1, 1)
    tables = (rng.random((groups, 16)) * (most + 1)).astype(np.uint8)
    tables[:, 5:6] = most
    return tables


def blocks_and_tables(
    blocks: int, groups: int, *, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    lines = groups // 2 + 1  # the last one are stretches
    codes = rng.integers(0, 256, (blocks, lines, BLOCK_ROWS), dtype=np.uint8)
    return codes, tables_of(groups, rng)


def sums_one_by_one(codes: NDArray[np.uint8], tables: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Table entries of rows ``(n, pairs or more)``: byte p has group 2p's code low, 2p + 1's code high."""
    total = np.zeros(len(codes), dtype=np.int64)
    for pair in range(len(tables) // 2):
        total += tables[2 * pair].astype(np.int64)[codes[:, pair] & 15]
        total += tables[2 * pair + 1].astype(np.int64)[codes[:, pair] >> 4]
    return total


def rows_of(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A row each: its code, then its stretch."""
    return blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("blocks", [0, 1, 2, 70])
@pytest.mark.parametrize(
    ("base", "offset", "delta"),
    [
        (0.0, 0.0, 1.0),
        (0.31, -0.17, 0.0013),
        (-(2.0**126), 2.0**124, 2.0**124 / (127 * 256)),
        (2.0**126, -(2.0**124), 0.0),
        (1e-30, -1e-31, 1e-36),
    ],
)
def test_short_scores_are_float32_in_one_order_of_operations(
    isa: str, groups: int, blocks: int, base: float, offset: float, delta: float
) -> None:
    codes, tables = blocks_and_tables(blocks, groups)
    rows, one = rows_of(codes), np.float32
    sums = sums_one_by_one(rows, tables).astype(one)
    residuals = (rows[:, -1].astype(one) * one(1 / 64)) * (one(offset) + one(delta) * sums)
    found = kernels.nibble_scores(codes, tables, base, offset, delta)
    assert found.dtype == one
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, one(base) + residuals)


def test_a_score_of_the_filling_is_that_of_its_list(isa: str) -> None:
    """A stretch of zero: nothing of the offset is left."""
    codes, tables = np.zeros((1, 5, BLOCK_ROWS), np.uint8), np.full((8, 16), 127, np.uint8)
    np.testing.assert_array_equal(
        kernels.nibble_scores(codes, tables, 0.5, -3.0, 0.01), np.full(BLOCK_ROWS, 0.5, np.float32)
    )


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 200])
def test_sums_of_records_whatever_their_number_and_width(isa: str, groups: int, count: int) -> None:
    """The last two bytes of a record are not of its code."""
    rng = np.random.default_rng(groups + count)
    records = rng.integers(0, 256, (count, groups // 2 + RECORD_TAIL), dtype=np.uint8)
    tables = tables_of(groups, rng)
    found = kernels.nibble_sums(records, tables)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, sums_one_by_one(records, tables))
    records[:, -RECORD_TAIL:] ^= 0xFF
    np.testing.assert_array_equal(kernels.nibble_sums(records, tables), found)


def test_the_largest_sum_does_not_overflow(isa: str) -> None:
    codes = np.full((2, 129, BLOCK_ROWS), 64, dtype=np.uint8)
    for low in (127, 255, 0):
        tables = np.empty((256, 16), dtype=np.uint8)
        tables[::2], tables[1::2] = low, 255 - low
        assert (kernels.nibble_scores(codes, tables, 0.0, 0.0, 1.0) == 128 * 255).all()
        assert (kernels.nibble_sums(np.zeros((40, 130), np.uint8), tables) == 128 * 255).all()


def test_every_group_and_every_row_counts_once(isa: str) -> None:
    """One table entry is not zero: of one group, for one codeword; one row has it."""
    for group in range(12):
        tables = np.zeros((12, 16), dtype=np.uint8)
        tables[group, 7] = 9
        for row in (0, 1, 15, 16, 30, 31, 32, 63):
            codes = np.zeros((2, 7, BLOCK_ROWS), dtype=np.uint8)
            codes[:, 6] = 64
            codes[row // 32, group // 2, row % 32] = 7 << 4 * (group % 2)
            expected = np.where(np.arange(64) == row, 9, 0)
            found = kernels.nibble_scores(codes, tables, 0.0, 0.0, 1.0)
            assert found.tolist() == expected.tolist()
            records = np.concatenate([rows_of(codes), np.full((64, 1), 0x77, np.uint8)], axis=1)
            assert kernels.nibble_sums(records, tables).tolist() == expected.tolist()


@quick
@given(data=st.data(), groups=st.integers(1, 16).map(lambda n: 4 * n), blocks=st.integers(0, 5))
def test_whatever_codes_tables_and_stretches_are(isa: str, data: Any, groups: int, blocks: int) -> None:
    codes = data.draw(hnp.arrays(np.uint8, (blocks, groups // 2 + 1, BLOCK_ROWS)))
    values = st.sampled_from([0, 1, 63, 64, 126, 127, 128, 254, 255])
    tables = data.draw(hnp.arrays(np.uint8, (groups, 16), elements=values))
    tables[1::2] = np.minimum(tables[1::2], 255 - tables[::2].max(axis=1, keepdims=True))
    numbers = st.floats(-1e6, 1e6, width=32)
    base, offset, delta = data.draw(numbers), data.draw(numbers), data.draw(numbers)
    found = kernels.nibble_scores(codes, tables, base, offset, delta)
    records = np.concatenate([rows_of(codes), np.zeros((32 * blocks, 1), np.uint8)], axis=1)
    sums = kernels.nibble_sums(records, tables)
    with kernels.use("numpy"):
        np.testing.assert_array_equal(found, kernels.nibble_scores(codes, tables, base, offset, delta))
        np.testing.assert_array_equal(sums, kernels.nibble_sums(records, tables))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 15, 16, 17, 33, 1000])
def test_where_scores_are_at_least(isa: str, count: int) -> None:
    values = np.random.default_rng(count).integers(-3, 4, count).astype(np.float32) / 2
    for least in (-10.0, -0.5, 0.0, 1.0, 10.0):
        expected = np.flatnonzero(values >= least)
        assert at_least(values, least).tolist() == expected.tolist()


# Making codes


def ends_of(widths: list[int]) -> NDArray[np.uint64]:
    return np.cumsum(widths).astype(np.uint64)


def nearest_codewords(
    values: NDArray[np.float32],
    ends: NDArray[np.uint64],
    books: NDArray[np.float32],
    halves: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """In float64, exact for small whole numbers; of equals the first."""
    chosen, start = [], 0
    for group, end in enumerate(ends.astype(int).tolist()):
        scores = values[:, start:end].astype(np.float64) @ books[start:end].astype(np.float64)
        chosen.append((scores - halves[group]).argmax(axis=1))
        start = end
    line = np.stack(chosen, axis=1).astype(np.uint8)
    return np.asarray(line[:, ::2] + 16 * line[:, 1::2], dtype=np.uint8)


@pytest.mark.parametrize(
    "widths", [[1] * 4, [1, 2, 4, 8], [32, 1, 16, 2, 2, 1, 1, 1], [3, 5] * 8, [8] * 128, [1] * 256]
)
def test_codes_are_the_nearest_codewords(isa: str, widths: list[int]) -> None:
    rng = np.random.default_rng(len(widths))
    ends, used = ends_of(widths), sum(widths)
    values = rng.integers(-3, 4, (70, used)).astype(np.float32)
    books = rng.integers(-2, 3, (used, 16)).astype(np.float32)  # few values: ties everywhere
    halves = rng.integers(0, 3, (len(widths), 16)).astype(np.float32) / 2
    expected = nearest_codewords(values, ends, books, halves)
    for threads in (1, 2, 3, 100):
        np.testing.assert_array_equal(
            kernels.nibble_codes(values, ends, books, halves, threads=threads), expected
        )
    np.testing.assert_array_equal(kernels.nibble_codes(values[:0], ends, books, halves), expected[:0])
    np.testing.assert_array_equal(kernels.nibble_codes(values[3:4], ends, books, halves), expected[3:4])


@pytest.mark.parametrize("widths", [[1] * 4, [1, 2, 4, 8], [32] * 16, [17, 31, 1, 2]])
def test_codes_are_the_same_on_every_machine(isa: str, widths: list[int]) -> None:
    """Sums are float32, dim after dim: even codewords that are nearly as near are chosen alike."""
    rng = np.random.default_rng(5)
    ends, used = ends_of(widths), sum(widths)
    values = rng.laplace(size=(500, used)).astype(np.float32)
    books = (rng.laplace(size=(used, 1)) + 1e-6 * rng.laplace(size=(used, 16))).astype(np.float32)
    halves = np.zeros((len(widths), 16), dtype=np.float32)
    got = kernels.nibble_codes(values, ends, books, halves, threads=2)
    with kernels.use("numpy"):
        np.testing.assert_array_equal(got, kernels.nibble_codes(values, ends, books, halves))


def test_equal_codewords_give_the_first(isa: str) -> None:
    ends = ends_of([2, 1, 1, 4])
    codes = kernels.nibble_codes(
        np.ones((5, 8), np.float32), ends, np.ones((8, 16), np.float32), np.zeros((4, 16), np.float32)
    )
    assert not codes.any()


# How much codes are stretched


@pytest.mark.parametrize("widths", [[1] * 4, [1, 2, 4, 8], [32] * 16, [3, 5] * 8])
def test_stretches_make_a_row_as_long_as_it_is_along_itself(isa: str, widths: list[int]) -> None:
    rng = np.random.default_rng(len(widths))
    ends, used = ends_of(widths), sum(widths)
    values = rng.laplace(size=(300, used)).astype(np.float32)
    values[0] = 0
    books = (0.6 * rng.laplace(size=(used, 16))).astype(np.float32)
    codes = rng.integers(0, 256, (300, len(widths) // 2), dtype=np.uint8)
    found = kernels.nibble_stretches(values, codes, ends, books)
    group = np.repeat(np.arange(len(widths)), widths)
    for i in range(300):
        chosen = codes[i, group // 2] >> 4 * (group % 2) & 15
        word = books[np.arange(used), chosen].astype(np.float64)
        row = values[i].astype(np.float64)
        stretch = row @ row / (row @ word) if row @ word > 0 else 1.0
        assert abs(found[i] - min(max(64 * stretch, 32), 255)) <= 0.5 + 1e-6, i
    for threads in (2, 3, 1000):
        again = kernels.nibble_stretches(values, codes, ends, books, threads=threads)
        np.testing.assert_array_equal(again, found)
    with kernels.use("numpy"):
        np.testing.assert_array_equal(kernels.nibble_stretches(values, codes, ends, books), found)
    assert found[0] == 64
    assert kernels.nibble_stretches(values[:0], codes[:0], ends, books).shape == (0,)


def test_stretches_are_exact_where_numbers_are(isa: str) -> None:
    """Halves go to even, the limits are 1/2 and 255/64, and a code on the other side stretches nothing."""
    ends = ends_of([1] * 4)
    books = np.zeros((4, 16), np.float32)
    books[0] = 2.0 ** -np.arange(-8, 8)  # 256, 128, ... of a row that is 1 there
    values = np.zeros((16, 4), np.float32)
    values[:, 0] = 1
    codes = np.zeros((16, 2), np.uint8)
    codes[:, 0] = np.arange(16)
    expected = np.clip(64 * 2.0 ** np.arange(-8, 8), 32, 255)
    assert kernels.nibble_stretches(values, codes, ends, books).tolist() == expected.tolist()
    assert kernels.nibble_stretches(-values, codes, ends, books).tolist() == [64] * 16


@pytest.mark.skipif(kernels.available() == ("numpy",), reason="no native kernels here")
def test_arrays_that_do_not_fit_are_refused_before_they_are_read() -> None:
    codes, tables = blocks_and_tables(1, 8)
    records = np.zeros((3, 6), np.uint8)
    pair = codes[:1, :2, :2].reshape(2, 2)
    four, eight = np.ones((2, 4), np.float32), np.ones((2, 8), np.float32)
    books, halves = np.ones((4, 16), np.float32), np.ones((4, 16), np.float32)
    ends = ends_of([1] * 4)
    for wrong in (
        lambda: kernels.nibble_scores(
            codes[:, 1:].copy(), tables[:6], 0.0, 0.0, 1.0
        ),  # an odd number of pairs
        lambda: kernels.nibble_scores(codes, tables[:4], 0.0, 0.0, 1.0),
        lambda: kernels.nibble_scores(codes[:, :, :16].copy(), tables, 0.0, 0.0, 1.0),
        lambda: kernels.nibble_sums(records[:, 1:].copy(), tables),
        lambda: kernels.nibble_sums(records, tables[:4]),
        lambda: kernels.nibble_codes(eight, ends, np.ones((8, 16), np.float32), halves),
        lambda: kernels.nibble_codes(four, ends[::-1].copy(), books, halves),
        lambda: kernels.nibble_stretches(four, pair[:1].copy(), ends, books),
        lambda: kernels.nibble_stretches(eight, pair.copy(), ends, books),
    ):
        with pytest.raises(ValueError, match=r"do not match|reshape"):
            wrong()
