"""Every kernel on every implementation against full score matrices, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels import kernel_oracle as oracle

from kukla import kernels

WIDTHS = (1, 7, 63, 64, 65, 127, 1536, 3072)
COUNTS = (0, 1, 31, 1000, 5003)


def keeps(n: int) -> tuple[int, ...]:
    return (0, 1, 10, n, n + 5)


def int8_case(rng: np.random.Generator, n: int, nq: int, widths: tuple[int, ...]) -> dict[str, Any]:
    documents = [oracle.codes(oracle.patterns(rng, n, w), 127, np.int8) for w in widths]
    queries = [oracle.codes(oracle.patterns(rng, nq, w), 8191, np.int16) for w in widths]
    return {
        "shells": [codes for codes, _ in documents],
        "scales": [scale for _, scale in documents],
        "query_codes": [codes for codes, _ in queries],
        "query_scales": np.stack([scale for _, scale in queries], axis=1).astype(np.float64),
    }


def norms_with_zeros(rng: np.random.Generator, n: int) -> Any:
    norms = rng.uniform(0.5, 2.0, n).astype(np.float32)
    norms[::9] = 0.0
    return norms


@pytest.mark.parametrize("width", WIDTHS)
def test_binary_widths(isa: str, width: int) -> None:
    rng = np.random.default_rng(width)
    shells, queries = (
        [oracle.bits(oracle.patterns(rng, 300, width))],
        [oracle.bits(oracle.patterns(rng, 3, width))],
    )
    full = oracle.distances(shells, queries)
    got = kernels.scan_binary(shells, queries, 300)
    oracle.same(got, oracle.best(full, 300, None, descending=False))
    np.testing.assert_array_equal(kernels.score_binary(shells, queries, got[0]), got[1])


@pytest.mark.parametrize("n", COUNTS)
def test_binary_counts_keeps_masks(isa: str, n: int) -> None:
    rng = np.random.default_rng(n)
    widths = (64, 100, 0, 256)
    shells = [oracle.bits(oracle.patterns(rng, n, w)) for w in widths]
    queries = [oracle.bits(oracle.patterns(rng, 3, w)) for w in widths]
    full = oracle.distances(shells, queries)
    for mask in oracle.masks(rng, n).values():
        for keep in keeps(n):
            oracle.same(
                kernels.scan_binary(shells, queries, keep, mask=mask),
                oracle.best(full, keep, mask, descending=False),
            )


@pytest.mark.parametrize("width", WIDTHS)
def test_int8_widths(isa: str, width: int) -> None:
    rng = np.random.default_rng(width)
    case = int8_case(rng, 300, 3, (width,))
    norms = norms_with_zeros(rng, 300)
    for divisor in (None, norms):
        full = oracle.int8_scores(**case, norms=divisor)
        got = kernels.scan_int8(**case, keep=300, norms=divisor)
        oracle.same(got, oracle.best(full, 300, None, descending=True))
        np.testing.assert_array_equal(kernels.score_int8(**case, rows=got[0], norms=divisor), got[1])


@pytest.mark.parametrize("n", COUNTS)
def test_int8_counts_keeps_masks(isa: str, n: int) -> None:
    rng = np.random.default_rng(n)
    case, norms = int8_case(rng, n, 3, (16, 0, 33, 80)), norms_with_zeros(rng, n)
    full = oracle.int8_scores(**case, norms=norms)
    for mask in oracle.masks(rng, n).values():
        for keep in keeps(n):
            oracle.same(
                kernels.scan_int8(**case, keep=keep, norms=norms, mask=mask),
                oracle.best(full, keep, mask, descending=True),
            )


@pytest.mark.parametrize("sign", [1, -1])
def test_int8_sums_do_not_overflow(isa: str, sign: int) -> None:
    """The widest rows of the largest codes: 65,536 products of -128 * 8191."""
    for width in (2048, 2049, 8192, 8193, 65_536):
        shells = [np.full((3, width), -128, dtype=np.int8)]
        queries = [np.full((1, width), 8191 * sign, dtype=np.int16)]
        ones = [np.ones(3, dtype=np.float32)]
        _, scores = kernels.scan_int8(shells, ones, queries, np.ones((1, 1)), 3)
        np.testing.assert_array_equal(scores, np.full((1, 3), -128 * 8191 * sign * width, dtype=np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("width", WIDTHS)
def test_float_widths(isa: str, width: int, dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(width)
    vectors = oracle.patterns(rng, 300, width).astype(dtype)
    queries = oracle.patterns(rng, 3, width + 3)
    norms = norms_with_zeros(rng, 300)
    for dim in {width, width // 2, max(width - 1, 0)}:
        wide, probes = vectors[:, :dim].astype(np.float64), queries[:, :dim].astype(np.float64)
        full = oracle.divided(probes @ wide.T, norms).astype(np.float32)
        rows, scores = kernels.scan_float(vectors, queries, dim, 300, norms=norms)
        np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(300), (3, 1)))
        assert (scores[:, :-1] >= scores[:, 1:]).all()
        size = oracle.divided(np.abs(probes) @ np.abs(wide).T, norms)
        bound = size * dim * 2.0**-53 + np.abs(full) * 2.0**-23  # the stated tolerance, and one last place
        wanted, allowed = np.take_along_axis(full, rows, axis=1), np.take_along_axis(bound, rows, axis=1)
        assert (np.abs(scores.astype(np.float64) - wanted) <= allowed).all()
        np.testing.assert_array_equal(kernels.score_float(vectors, queries, dim, rows, norms=norms), scores)


@pytest.mark.parametrize("n", COUNTS)
def test_float_counts_keeps_masks(isa: str, n: int) -> None:
    """Small integers in float: sums are exact, so results are equal to the bit here too."""
    rng = np.random.default_rng(n)
    vectors = np.rint(oracle.patterns(rng, n, 40)).astype(np.float16)
    queries = np.rint(oracle.patterns(rng, 3, 40)).astype(np.float32)
    full = (queries[:, :37].astype(np.float64) @ vectors[:, :37].astype(np.float64).T).astype(np.float32)
    for mask in oracle.masks(rng, n).values():
        for keep in keeps(n):
            oracle.same(
                kernels.scan_float(vectors, queries, 37, keep, mask=mask),
                oracle.best(full, keep, mask, descending=True),
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_native_floats_agree_to_the_bit(dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(5)
    vectors, queries = oracle.patterns(rng, 500, 777).astype(dtype), oracle.patterns(rng, 4, 777)
    results = []
    for name in set(kernels.available()) - {"numpy"}:
        with kernels.use(name):
            results.append(kernels.scan_float(vectors, queries, 775, 500))
    for result in results[1:]:
        oracle.same(result, results[0])


def test_every_float16(isa: str) -> None:
    """All finite halves, subnormals included, come out as themselves."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    rows = np.arange(len(halves), dtype=np.int64)[None, :]
    for width in (1, 16, 17):  # alone, in a whole step, after one
        vectors = np.zeros((len(halves), width), dtype=np.float16)
        vectors[:, -1] = halves
        scores = kernels.score_float(vectors, np.ones((1, width), dtype=np.float32), width, rows)
        np.testing.assert_array_equal(scores[0], halves.astype(np.float32))


def test_nan_and_infinite_scores_have_a_place(isa: str) -> None:
    """Infinities sort as numbers, NaN is worst, ties of each by row."""
    values = np.array([1, np.nan, -np.inf, np.inf, 0, -0.0, np.nan, -1, np.inf], dtype=np.float32)
    vectors, query = values[:, None].copy(), np.ones((1, 1), dtype=np.float32)
    rows, scores = kernels.scan_float(vectors, query, 1, 9)
    np.testing.assert_array_equal(rows[0], [3, 8, 0, 4, 5, 7, 2, 1, 6])
    np.testing.assert_array_equal(scores[0], values[rows[0]])
    assert not np.signbit(scores[0, 3:5]).any()
    top_rows, top_scores = kernels.top_k(values[None, ::-1].copy(), np.arange(9)[None, ::-1].copy(), 9)
    np.testing.assert_array_equal(top_rows, rows)
    np.testing.assert_array_equal(top_scores, scores)


def test_ties_are_ordered_by_row(isa: str) -> None:
    same = [np.zeros((5003, 8), dtype=np.uint8)]
    rows, distances = kernels.scan_binary(same, [np.zeros((2, 8), dtype=np.uint8)], 700)
    np.testing.assert_array_equal(rows, np.tile(np.arange(700), (2, 1)))
    assert not distances.any()


@pytest.mark.parametrize("keep", [1, 10, 6000, 10_000])
def test_threads_change_nothing(isa: str, keep: int) -> None:
    rng = np.random.default_rng(1)
    n, nq = 6000, 70  # more queries than share one reading, and enough work for several threads
    binary = [oracle.bits(oracle.patterns(rng, n, 512))], [oracle.bits(oracle.patterns(rng, nq, 512))]
    case = int8_case(rng, n, nq, (64, 64))
    vectors, queries = oracle.patterns(rng, n, 96), oracle.patterns(rng, nq, 96)
    if isa == "numpy":  # takes the argument, has no threads
        binary, case = (binary[0], [binary[1][0][:2]]), int8_case(rng, n, 2, (64,))
        queries = queries[:2]
    mask = rng.random(n) < 0.7

    def run(threads: int) -> list[Any]:
        first = kernels.scan_binary(*binary, keep, mask=mask, threads=threads)
        second = kernels.scan_int8(**case, keep=keep, threads=threads)
        third = kernels.scan_float(vectors, queries, 96, keep, threads=threads)
        return [
            *first,
            *second,
            *third,
            kernels.score_binary(*binary, first[0], threads=threads),
            kernels.score_int8(**case, rows=second[0], threads=threads),
            kernels.score_float(vectors, queries, 96, third[0], threads=threads),
        ]

    alone = run(1)
    for threads in (2, 3, 4):
        for one, many in zip(alone, run(threads), strict=True):
            np.testing.assert_array_equal(one, many)


def test_a_prefix_of_shells_adds_up(isa: str) -> None:
    """Scores over two shells are the sums of the scores over each, for what is additive."""
    rng = np.random.default_rng(2)
    shells = [oracle.bits(oracle.patterns(rng, 200, w)) for w in (64, 72)]
    queries = [oracle.bits(oracle.patterns(rng, 2, w)) for w in (64, 72)]
    rows = np.tile(np.arange(200), (2, 1))
    parts = [kernels.score_binary([s], [q], rows) for s, q in zip(shells, queries, strict=True)]
    np.testing.assert_array_equal(kernels.score_binary(shells, queries, rows), parts[0] + parts[1])


def test_zero_queries_and_no_rows(isa: str) -> None:
    shells, none = [np.zeros((9, 4), dtype=np.uint8)], [np.zeros((0, 4), dtype=np.uint8)]
    rows, distances = kernels.scan_binary(shells, none, 3)
    assert rows.shape == distances.shape == (0, 3)
    assert kernels.score_binary(shells, none, np.zeros((0, 5), dtype=np.int64)).shape == (0, 5)
    assert kernels.score_binary(shells, shells, np.zeros((9, 0), dtype=np.int64)).shape == (9, 0)
    vectors = np.zeros((0, 4), dtype=np.float32)
    assert kernels.scan_float(vectors, np.zeros((2, 4), dtype=np.float32), 0, 3)[0].shape == (2, 0)
    assert kernels.scan_float(np.ones((2, 4), dtype=np.float32), vectors, 4, 3)[0].shape == (0, 2)


@pytest.mark.parametrize("dim", [1, 31, 64, 100])
def test_pool_rows(isa: str, dim: int) -> None:
    """Equal to the bit to a loop that rounds each product and each sum to float32."""
    rng = np.random.default_rng(dim)
    vectors, scales = oracle.codes(oracle.patterns(rng, 500, 100), 127, np.int8)
    lengths = np.array([0, 1, 5, 300, 0, 17, 17], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = rng.integers(0, 500, offsets[-1]).astype(np.int32)
    wanted = np.zeros((len(lengths), dim), dtype=np.float32)
    for text in range(len(lengths)):
        for token in ids[offsets[text] : offsets[text + 1]]:
            wanted[text] += scales[token] * vectors[token, :dim].astype(np.float32)
    np.testing.assert_array_equal(kernels.pool_rows(vectors, scales, ids, offsets, dim), wanted)


def test_pool_rows_without_texts(isa: str) -> None:
    vectors, scales = np.ones((3, 4), dtype=np.int8), np.ones(3, dtype=np.float32)
    got = kernels.pool_rows(vectors, scales, np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64), 4)
    assert got.shape == (0, 4)
