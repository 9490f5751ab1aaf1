"""Codes and what they stand for: parity with NumPy and sentence-transformers, error bounds, scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kukla import Precision, quantize, truncate
from kukla.errors import InputError, VectorError
from kukla.precision import (
    QUERY_CODE_MAX,
    VECTOR_PRECISIONS,
    Quantized,
    binary_from_sentence_transformers,
    binary_to_sentence_transformers,
    encode_int8,
    encode_query_int8,
    pack_signs,
    unpack_signs,
)

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

FLOATS = [np.float16, np.float32, np.float64]
FLOAT32_MAX = float(np.finfo(np.float32).max)


def sentence_transformers(
    vectors: NDArray[Any], precision: str, ranges: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """The formulas of ``sentence_transformers.quantization.quantize_embeddings``, written down."""
    if precision == "ubinary":
        return np.packbits(vectors > 0).reshape(len(vectors), -1)
    if precision == "binary":
        # The library writes (packed - 128).astype(int8), which wraps as uint8 arithmetic does.
        packed = np.packbits(vectors > 0).reshape(len(vectors), -1)
        return (packed.astype(np.int16) - 128).astype(np.int8)
    assert precision == "int8"
    assert ranges is not None
    starts, steps = ranges[0, :], (ranges[1, :] - ranges[0, :]) / 255
    result: NDArray[Any] = ((vectors - starts) / steps - 128).astype(np.int8)
    return result


def random_rows(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def ranges_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


# Names and sizes


@pytest.mark.parametrize(
    ("name", "bits", "is_float", "bytes_for_10"),
    [("float32", 32, True, 40), ("float16", 16, True, 20), ("int8", 8, False, 14), ("binary", 1, False, 2)],
)
def test_sizes(name: str, bits: int, is_float: bool, bytes_for_10: int) -> None:
    precision = Precision.parse(name)
    assert (precision.value, precision.bits, precision.is_float) == (name, bits, is_float)
    assert precision.bytes_for(10) == bytes_for_10


@pytest.mark.parametrize("name", ["ubinary", "INT8", "", 8, None, ["int8"], True])
def test_an_unknown_precision_is_refused_with_the_names(name: Any) -> None:
    with pytest.raises(InputError, match=r"unknown precision .*; allowed: float32, float16, int8, binary$"):
        quantize([[1.0]], name)


# Binary


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("dim", [1, 7, 8, 9, 16, 65])
def test_binary_codes_are_numpys(dtype: Any, dim: int) -> None:
    rows = random_rows(5, dim).astype(dtype)
    found = quantize(rows, "binary")
    assert found.codes.dtype == np.uint8
    assert np.array_equal(found.codes, np.packbits(rows > 0, axis=1))


def test_zero_is_not_positive_and_the_first_coordinate_is_the_highest_bit() -> None:
    assert quantize([[1.0, 0.0, -0.0, -1.0, 1e-45, 0.0, 0.0, 0.0, 2.0]], "binary").codes.tolist() == [
        [0b1000_1000, 0b1000_0000]
    ]


def test_binary_codes_are_sentence_transformers_ubinary_and_map_to_its_binary() -> None:
    rows = random_rows(300, 64)
    codes = quantize(rows, "binary").codes
    assert np.array_equal(codes, sentence_transformers(rows, "ubinary"))
    theirs = binary_to_sentence_transformers(codes)
    assert theirs.dtype == np.int8
    assert np.array_equal(theirs, sentence_transformers(rows, "binary"))
    assert np.array_equal(binary_from_sentence_transformers(theirs), codes)


def test_every_byte_survives_the_way_to_sentence_transformers_and_back() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(2, 128)
    theirs = binary_to_sentence_transformers(codes)
    assert theirs.ravel().tolist() == list(range(-128, 128))
    assert np.array_equal(binary_from_sentence_transformers(theirs), codes)


@pytest.mark.parametrize("convert", [binary_to_sentence_transformers, binary_from_sentence_transformers])
def test_binary_codes_of_another_dtype_are_refused(convert: Any) -> None:
    with pytest.raises(VectorError, match="got dtype int64"):
        convert(np.zeros((1, 2), dtype=np.int64))


@FIXED
@given(st.integers(1, 70), st.integers(0, 99))
def test_signs_make_a_round_trip(dim: int, seed: int) -> None:
    rows = random_rows(3, dim, seed)
    signs = unpack_signs(pack_signs(rows), dim)
    assert signs.dtype == np.float32
    assert np.array_equal(signs > 0, rows > 0)
    np.testing.assert_allclose(np.linalg.norm(signs, axis=1), 1, rtol=1e-6)


# Floats


@pytest.mark.parametrize("name", ["float16", "float32"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_rounded_copies(name: str, dtype: Any) -> None:
    rows = random_rows(4, 6).astype(dtype)
    found = quantize(rows, name)
    assert found.codes.dtype == name
    assert np.array_equal(found.codes, rows.astype(name))
    assert not np.shares_memory(found.codes, rows)
    assert found.dequantize().dtype == np.float32


def test_float16_rounds_to_nearest_even() -> None:
    assert quantize([[2049.0, 2051.0]], "float16").codes.tolist() == [[2048.0, 2052.0]]


@pytest.mark.parametrize(
    ("precision", "value"), [("float16", 7e4), ("float32", 1e39), ("int8", 1e39), ("float16", -1e300)]
)
def test_overflow_is_refused_with_its_row(precision: str, value: float) -> None:
    limit = "65504" if precision == "float16" else r"3\.40282e\+38"
    with pytest.raises(VectorError, match=rf"^row 1 holds .*, above the largest float\d\d \({limit}\)$"):
        quantize([[1.0, 1.0], [1.0, value], [1.0, 2 * value]], precision)


# int8 with a scale for each row


def test_int8_golden() -> None:
    found = quantize([[127.0, -63.5, 0.4, 0.6], [-2.54, 1.27, 0.0, 0.009]], "int8")
    assert found.codes.tolist() == [[127, -64, 0, 1], [-127, 64, 0, 0]]  # halves go to even: 63.5 -> 64
    assert found.scales is not None
    assert found.scales.tolist() == [1.0, np.float32(0.02)]


magnitudes = st.integers(-148, 127)
unit_rows = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-1, 1))


@FIXED
@given(unit_rows, magnitudes, st.sampled_from([*FLOATS, np.longdouble]))
def test_int8_is_within_half_a_scale_at_every_magnitude(
    rows: NDArray[np.float64], exponent: int, dtype: Any
) -> None:
    with np.errstate(over="ignore", under="ignore"):
        given_rows = np.ldexp(rows, exponent).astype(dtype)
    if not np.isfinite(given_rows).all():
        return
    found = quantize(given_rows, "int8")
    assert found.scales is not None
    assert found.codes.dtype == np.int8
    assert np.abs(found.codes.astype(int)).max(initial=0) <= 127
    stands_for = found.codes * found.scales.astype(np.float64)[:, None]
    bound = found.scales.astype(np.float64)[:, None] * (0.5 + 1e-4)
    assert (np.abs(stands_for - given_rows.astype(np.float64)) <= bound).all()
    assert np.isfinite(found.dequantize()).all()


@FIXED
@given(unit_rows)
def test_int8_codes_of_codes_are_the_same(rows: NDArray[np.float64]) -> None:
    once = quantize(rows, "int8")
    again = quantize(once.dequantize(), "int8")
    assert np.array_equal(once.codes, again.codes)


def test_zero_rows_are_zero_in_every_precision_but_binary() -> None:
    rows = np.zeros((2, 9), dtype=np.float32)
    for precision in ("int8", "float16", "float32"):
        assert not quantize(rows, precision).dequantize().any()
    codes, scales = encode_int8(rows)
    assert not codes.any()
    assert not scales.any()
    assert not quantize(rows, "binary").codes.any()


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = random_rows(6, 20) * np.float32([1, 1e-30, 1e30, 1e-3, 7, 1])[:, None]
    together = quantize(rows, "int8")
    assert together.scales is not None
    for i, row in enumerate(rows):
        alone = quantize(row, "int8")
        assert alone.scales is not None
        assert np.array_equal(alone.codes[0], together.codes[i])
        assert alone.scales[0] == together.scales[i]


def test_queries_have_fourteen_bits() -> None:
    rows = random_rows(10, 33)
    codes, scales = encode_query_int8(rows)
    assert (codes.dtype, scales.dtype) == (np.int16, np.float64)
    assert np.abs(codes).max() == QUERY_CODE_MAX
    assert (np.abs(codes * scales[:, None] - rows) <= scales[:, None] * 0.501).all()


# int8 with sentence-transformers' ranges


def test_int8_codes_with_ranges_are_sentence_transformers() -> None:
    rows = random_rows(500, 24)
    ranges = ranges_of(rows)
    found = quantize(rows, "int8", ranges=ranges)
    assert np.array_equal(found.codes, sentence_transformers(rows, "int8", ranges))
    assert found.codes.min() == -128
    assert found.codes.max() == 127


def test_values_outside_their_range_are_clipped_and_do_not_wrap() -> None:
    found = quantize([[-9.0, 9.0], [-1e30, 1e30]], "int8", ranges=[[-1, -1], [1, 1]])
    assert found.codes.tolist() == [[-128, 127], [-128, 127]]
    assert found.dequantize().tolist() == [[-1, 1], [-1, 1]]


def test_codes_with_ranges_stand_for_the_middle_of_what_they_hold() -> None:
    rows = np.linspace(-1, 3, 10_001, dtype=np.float32)[:, None]
    found = quantize(rows, "int8", ranges=[[-1.0], [3.0]])
    step = 4 / 255
    errors = np.abs(found.dequantize() - rows)[:, 0]
    assert errors.max() <= step * 1.001  # only code 0 is two steps wide
    assert errors[found.codes[:, 0] != 0].max() <= step * 0.501


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([[0.0, 0.0]], r"must have shape \(2, 2\), got \(1, 2\)"),
        ([[0.0], [1.0]], r"must have shape \(2, 2\), got \(2, 1\)"),
        ([0.0, 1.0], r"must have shape \(2, 2\), got \(2,\)"),
        ([[0.0, 1.0], [1.0, 1.0]], r"each maximum above its minimum; column 1 has 1\.0 and 1\.0"),
        ([[2.0, 0.0], [1.0, 1.0]], r"column 0 has 2\.0 and 1\.0"),
        ([[0.0, np.nan], [1.0, 1.0]], "column 1 has nan"),
        ([[0.0, 0.0], [1.0, np.inf]], "column 1 has 0.0 and inf"),
        ([[0.0, 0.0], [1.0, 1e39]], "column 1 has 0.0 and inf"),
        ([[0.0, -3e38], [1.0, 3e38]], "column 1"),  # no float32 holds the step
        ([[0.0, 0.0], [1.0, 1e-44]], "column 1"),
        ([[0.0], [1.0, 1.0]], r"must be numbers of shape \(2, 2\)"),
        ("wide", r"must be numbers of shape \(2, 2\)"),
    ],
)
def test_ranges_that_are_none_are_refused(ranges: Any, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        quantize([[1.0, 1.0]], "int8", ranges=ranges)


@pytest.mark.parametrize("precision", ["binary", "float16", "float32"])
def test_ranges_are_for_int8(precision: str) -> None:
    with pytest.raises(InputError, match=f"ranges are for int8, got precision {precision}"):
        quantize([[1.0]], precision, ranges=[[0.0], [1.0]])


def test_the_ranges_are_copied() -> None:
    ranges = np.array([[0.0], [1.0]], dtype=np.float32)
    found = quantize([[0.5]], "int8", ranges=ranges)
    before = found.dequantize().tolist()
    ranges[:] = [[-50], [50]]
    assert found.dequantize().tolist() == before


# Scores: sentence-transformers issue #4058


def test_bare_codes_reverse_a_ranking_and_quantized_scores_do_not() -> None:
    """Float queries times bare int8 codes weigh each column by 1 / step and add an offset.

    Column 0 varies little and column 1 much, so the codes blow up column 0, where the second document
    leads by a hair.
    """
    documents = np.array([[0.50, 0.80], [0.52, 0.60], [0.49, -0.90], [0.53, 0.10]], dtype=np.float32)
    query = np.array([[1.0, 1.0]], dtype=np.float32)
    ranges = ranges_of(documents)
    true = (query @ documents.T)[0]
    assert true[0] > true[1]

    bare = (query @ sentence_transformers(documents, "int8", ranges).astype(np.float32).T)[0]
    assert bare[0] < bare[1]

    for found in (quantize(documents, "int8"), quantize(documents, "int8", ranges=ranges)):
        scores = found.score(query)
        assert scores.shape == (1, 4)
        assert scores[0, 0] > scores[0, 1]
        assert np.argsort(-scores[0]).tolist() == np.argsort(-true).tolist()
        np.testing.assert_allclose(scores[0], true, atol=0.02)


def test_scores_of_rows_of_different_lengths_are_comparable() -> None:
    rows = np.array([[1.0, 0.0], [10.0, 0.0]], dtype=np.float32)
    assert quantize(rows, "int8").score([1.0, 0.0])[0].tolist() == pytest.approx([1.0, 10.0], rel=1e-6)


@pytest.mark.parametrize("precision", VECTOR_PRECISIONS)
def test_scores_are_inner_products_with_what_the_codes_stand_for(precision: Precision) -> None:
    rows = truncate(random_rows(20, 64), 48)
    queries = truncate(random_rows(3, 64, seed=1), 48)
    found = quantize(rows, precision)
    scores = found.score(queries)
    assert scores.shape == (3, 20)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, queries @ found.dequantize().T, rtol=1e-5, atol=1e-6)
    assert found.score(queries[0]).shape == (1, 20)


def test_int8_codes_without_a_meaning_cannot_be_made() -> None:
    codes = np.ones((1, 2), dtype=np.int8)
    with pytest.raises(InputError, match="int8 codes mean nothing without either scales or ranges"):
        Quantized(codes, Precision.INT8, 2)


def test_queries_are_checked() -> None:
    found = quantize([[1.0, 2.0]], "int8")
    with pytest.raises(VectorError, match="queries must have 2 dims, got 3"):
        found.score([1.0, 2.0, 3.0])
    with pytest.raises(VectorError, match="queries: row 0 holds nan"):
        found.score([np.nan, 1.0])
    with pytest.raises(VectorError, match="row 0 holds a value beyond float32"):
        found.score([1e39, 1.0])
    with pytest.raises(VectorError, match="queries must be floats"):
        found.score([1, 2])


# Every precision


@pytest.mark.parametrize("precision", VECTOR_PRECISIONS)
def test_bad_vectors_are_refused(precision: Precision) -> None:
    with pytest.raises(VectorError, match="row 1 holds nan at coordinate 0"):
        quantize([[1.0], [np.nan]], precision)
    with pytest.raises(VectorError, match="must be floats"):
        quantize(np.ones((1, 2), dtype=np.int8), precision)


@pytest.mark.parametrize("precision", VECTOR_PRECISIONS)
def test_empty_batches_and_single_vectors(precision: Precision) -> None:
    empty = quantize(np.empty((0, 9), dtype=np.float32), precision)
    assert empty.dequantize().shape == (0, 9)
    assert empty.score(np.ones(9)).shape == (1, 0)
    assert quantize(np.ones(9), precision).dequantize().shape == (1, 9)


@pytest.mark.parametrize("precision", VECTOR_PRECISIONS)
def test_memory_order_does_not_matter(precision: Precision) -> None:
    rows = random_rows(7, 30)
    expected = quantize(rows, precision).codes
    wide = np.zeros((14, 60), dtype=np.float32)
    wide[::2, ::2] = rows
    assert np.array_equal(quantize(np.asfortranarray(rows), precision).codes, expected)
    assert np.array_equal(quantize(wide[::2, ::2], precision).codes, expected)


def test_the_largest_float32_survives_int8() -> None:
    assert np.isfinite(quantize([[FLOAT32_MAX, -FLOAT32_MAX]], "int8").dequantize()).all()
