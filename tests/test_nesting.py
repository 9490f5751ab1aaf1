"""Prefixes: cut, renormalised, and refused where they have no direction."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kukla import Nesting, truncate
from kukla.checks import BLOCK_ROWS, as_float32, check_count, normalise
from kukla.errors import InputError, VectorError
from kukla.nesting import prefix_norms

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
GOLDEN = [[3.0, 4.0, 12.0], [-8.0, 6.0, 0.0]]


def rounding(dtype: Any, dim: int = 1) -> float:
    """How far a row's length may be from 1: each coordinate is rounded once."""
    return float(max(np.finfo(dtype).eps, np.finfo(np.float64).eps) * (2 + np.sqrt(dim)))


# What truncate returns


def test_one_vector_gives_one_vector() -> None:
    result = truncate([3.0, 4.0, 12.0], 2)
    assert result.tolist() == [0.6, 0.8]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_batch_gives_a_batch_of_the_same_dtype(dtype: Any) -> None:
    result = truncate(np.array(GOLDEN, dtype=dtype), 2)
    assert result.dtype == dtype
    assert (
        result.astype(np.float64).tolist()
        == (np.array([[3, 4], [-4, 3]], dtype=dtype) / 5).astype(np.float64).tolist()
    )


def test_a_batch_of_one_stays_a_batch() -> None:
    assert truncate([[3.0, 4.0]], 1).tolist() == [[1.0]]


def test_the_full_width_is_a_prefix_too() -> None:
    assert truncate([3.0, 0.0, 4.0], 3).tolist() == [0.6, 0.0, 0.8]


def test_one_dim_keeps_the_sign() -> None:
    assert truncate([[-2.5, 1.0], [1e-9, 1.0]], 1).tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_empty_batch_is_an_empty_batch(dtype: Any) -> None:
    result = truncate(np.empty((0, 7), dtype=dtype), 3)
    assert result.shape == (0, 3)
    assert result.dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_numbers_do_not_overflow(dtype: Any) -> None:
    largest = np.finfo(dtype).max
    result = truncate(np.array([largest, largest, 1], dtype=dtype), 2)
    np.testing.assert_allclose(result.astype(float), [np.sqrt(0.5)] * 2, rtol=rounding(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_smallest_numbers_keep_their_direction(dtype: Any) -> None:
    smallest = np.finfo(dtype).smallest_subnormal
    result = truncate(np.array([smallest, -smallest, 1], dtype=dtype), 2)
    np.testing.assert_allclose(result.astype(float), [np.sqrt(0.5), -np.sqrt(0.5)], rtol=rounding(dtype))


def test_wide_floats_beyond_float64_are_normalised() -> None:
    big = np.longdouble(2) ** (np.finfo(np.longdouble).maxexp - 2)
    assert truncate(np.array([3 * big / 4, big], dtype=np.longdouble), 2).astype(float).tolist() == [0.6, 0.8]
    rows = np.array([[3 * big / 4, big]], dtype=np.longdouble)
    assert normalise(rows).tolist() == [[np.float32(0.6), np.float32(0.8)]]


def test_memory_order_and_strides_do_not_matter() -> None:
    base = np.random.default_rng(1).normal(size=(6, 40))
    expected = truncate(base, 17)
    wide = np.zeros((12, 80))
    wide[::2, ::2] = base
    for same in (np.asfortranarray(base), wide[::2, ::2], base[::-1].copy()[::-1], base.astype(">f8")):
        assert np.array_equal(truncate(same, 17), expected)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = np.random.default_rng(2).normal(size=(5, 33))
    rows[2] *= 1e-200
    rows[3] *= 1e250
    together = truncate(rows, 19)
    for row, alone in zip(rows, together, strict=True):
        assert np.array_equal(truncate(row, 19), alone)


def test_the_input_is_not_changed_nor_shared() -> None:
    rows = np.array(GOLDEN)
    rows.flags.writeable = False
    result = truncate(rows, 3)
    result[:] = 0
    assert rows.tolist() == GOLDEN


@pytest.mark.parametrize("dim", [np.int64(2), np.uint8(2), np.array(2)])
def test_numpy_integers_are_dims(dim: Any) -> None:
    assert truncate(GOLDEN, dim).shape == (2, 2)


rows_of_floats = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 12)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@FIXED
@given(rows_of_floats, st.data())
def test_a_prefix_has_unit_norm_and_the_direction_of_the_prefix(
    rows: NDArray[np.float64], data: st.DataObject
) -> None:
    dim = data.draw(st.integers(1, rows.shape[1]))
    assume(np.abs(rows[:, :dim]).max(axis=1).min() > 1e-6)
    result = truncate(rows, dim)
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, rtol=rounding(np.float64, dim))
    lengths = np.linalg.norm(rows[:, :dim], axis=1, keepdims=True)
    np.testing.assert_allclose(result * lengths, rows[:, :dim], rtol=1e-12, atol=1e-300)


@FIXED
@given(rows_of_floats, st.data())
def test_truncating_twice_is_truncating_once(rows: NDArray[np.float64], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, rows.shape[1]))
    second = data.draw(st.integers(1, first))
    assume(np.abs(rows[:, :second]).max(axis=1).min() > 1e-6)
    twice = truncate(truncate(rows, first), second)
    np.testing.assert_allclose(twice, truncate(rows, second), rtol=1e-12, atol=1e-300)


@FIXED
@given(st.sampled_from(FLOATS), st.integers(-300, 300), st.integers(1, 50))
def test_unit_norm_at_every_magnitude(dtype: Any, exponent: int, dim: int) -> None:
    with np.errstate(over="ignore", under="ignore"):
        rows = np.ldexp(np.random.default_rng(dim).uniform(0.5, 1, size=(3, dim)), exponent).astype(dtype)
    assume(np.isfinite(rows).all() and rows.all())
    norms = np.linalg.norm(truncate(rows, dim).astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, atol=rounding(dtype, dim))


# What truncate refuses


@pytest.mark.parametrize("dim", [0, -1, 4, True, np.True_, 1.5, 2.0, "8", None, [2]])
def test_a_dim_that_is_no_prefix_length_is_refused(dim: Any) -> None:
    with pytest.raises(VectorError, match=r"^dim must be an integer from 1 to 3, got "):
        truncate(GOLDEN, dim)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_values_that_are_not_finite_are_named(bad: float, dtype: Any) -> None:
    rows = np.ones((3, 4), dtype=dtype)
    rows[1, 3] = bad
    message = rf"^vectors: row 1 holds {bad} at coordinate 3; every value must be finite$"
    with pytest.raises(VectorError, match=message):
        truncate(rows, 2)  # also when the prefix itself is clean


def test_an_all_zero_row_is_named() -> None:
    with pytest.raises(VectorError, match=r"^the 3-prefix of row 1 is all zeros: it has no direction"):
        truncate([[1.0, 0.0, 0.0], [0.0, -0.0, 0.0]], 3)


def test_a_zero_prefix_of_a_row_that_is_not_zero_is_named() -> None:
    with pytest.raises(VectorError, match=r"^the 2-prefix of row 0 is all zeros"):
        truncate([0.0, 0.0, 1.0], 2)


def test_rows_are_counted_over_blocks() -> None:
    rows = np.ones((BLOCK_ROWS + 3, 2), dtype=np.float32)
    assert truncate(rows, 1).shape == (BLOCK_ROWS + 3, 1)
    rows[BLOCK_ROWS + 1] = 0
    with pytest.raises(VectorError, match=rf"row {BLOCK_ROWS + 1} is all zeros"):
        truncate(rows, 1)
    rows[BLOCK_ROWS + 2] = np.nan
    with pytest.raises(VectorError, match=rf"row {BLOCK_ROWS + 2} holds nan at coordinate 0"):
        truncate(rows, 1)


@pytest.mark.parametrize(
    "codes",
    [
        [1, 2, 3],
        np.ones((2, 3), dtype=np.int8),
        np.ones(3, dtype=bool),
        ["a", "b"],
        [None],
        [1j],
        [1.0, 10**400],
    ],
)
def test_what_is_not_float_is_refused(codes: Any) -> None:
    with pytest.raises(VectorError, match=r"must be floats .* decode quantised codes first"):
        truncate(codes, 1)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(VectorError, match=r"^vectors: rows of different lengths"):
        truncate([[1.0, 2.0], [1.0]], 1)


@pytest.mark.parametrize("shape", [(), (2, 2, 2), (0,), (3, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(VectorError, match=r"(one vector|at least 1 dim).* got shape"):
        truncate(np.ones(shape), 1)


# Nesting


def test_a_nesting_is_a_value() -> None:
    nesting = Nesting([64, 128, 1536])
    assert nesting == Nesting(iter((64, 128, 1536)))
    assert nesting != Nesting([64, 1536])
    assert len({nesting, Nesting([64, 128, 1536])}) == 1
    assert pickle.loads(pickle.dumps(nesting)) == copy.deepcopy(nesting) == nesting
    assert str(nesting) == "(64, 128, 1536)"
    assert list(nesting) == [64, 128, 1536]
    assert len(nesting) == 3
    assert nesting.full == 1536


def test_numpy_dims_become_integers() -> None:
    nesting = Nesting(np.array([8, 16]))
    assert all(type(dim) is int for dim in nesting.dims)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([], "at least one dim"),
        ([128, 64], r"must ascend without repeats, got \(128, 64\)"),
        ([64, 64], "must ascend without repeats"),
        ([0, 64], "a dim of the nesting must be an integer from 1 to 65536, got 0"),
        ([-8], "got -8"),
        ([70_000], "got 70000"),
        ([True, 2], "got True"),
        ([1.5], r"got 1\.5"),
        (["8"], "got '8'"),
        ("64", "a list of dims such as .* got '64'"),
        (64, "a list of dims such as .* got 64"),
        (None, "a list of dims such as .* got None"),
    ],
)
def test_a_bad_nesting_is_refused(dims: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Nesting(dims)


@pytest.mark.parametrize(
    ("full", "trained", "dims"),
    [
        (1536, (), (32, 64, 128, 256, 512, 1024, 1536)),
        (1024, (), (32, 64, 128, 256, 512, 1024)),
        (48, (), (32, 48)),
        (32, (), (32,)),
        (5, (), (5,)),
        (768, (512, 256, 128, 64), (64, 128, 256, 512, 768)),
        (512, (64, 512, 1024), (64, 512)),
        (512, (512,), (32, 64, 128, 256, 512)),
        (np.int64(64), (), (32, 64)),
    ],
)
def test_default_nestings(full: int, trained: tuple[int, ...], dims: tuple[int, ...]) -> None:
    assert Nesting.default(full, trained).dims == dims


@pytest.mark.parametrize(("full", "trained"), [(0, ()), (1.5, ()), (64, (0,)), (64, ("8",))])
def test_a_bad_default_nesting_is_refused(full: Any, trained: Any) -> None:
    with pytest.raises(VectorError, match="must be an integer from 1"):
        Nesting.default(full, trained)


ascending = st.sets(st.integers(1, 300), min_size=1, max_size=8).map(sorted)


@FIXED
@given(ascending)
def test_shells_cover_the_vector_once(dims: list[int]) -> None:
    nesting = Nesting(dims)
    covered = [coordinate for low, high in nesting.shells for coordinate in range(low, high)]
    assert covered == list(range(nesting.full))
    for dim in dims:
        shells = nesting.shells_of(dim)
        assert shells == nesting.shells[: len(shells)]
        assert shells[-1][1] == dim
    assert all(a[1] == b[0] for a, b in pairwise(nesting.shells))


def test_a_dim_outside_the_nesting_is_refused_with_those_inside() -> None:
    with pytest.raises(InputError, match=r"^dim 100 is not in the nesting; allowed: 64, 128$"):
        Nesting([64, 128]).shells_of(100)


@FIXED
@given(ascending)
def test_prefix_norms_are_the_norms_of_the_prefixes(dims: list[int]) -> None:
    nesting = Nesting(dims)
    rows = np.random.default_rng(dims[-1]).normal(size=(3, dims[-1])).astype(np.float32)
    norms = prefix_norms(rows, nesting)
    assert norms.shape == (len(dims), 3)
    assert norms.dtype == np.float32
    for dim, found in zip(dims, norms, strict=True):
        np.testing.assert_allclose(found, np.linalg.norm(rows[:, :dim].astype(float), axis=1), rtol=1e-6)


# The checks behind it


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, 11])
def test_counts_are_integers_within_bounds(value: Any) -> None:
    with pytest.raises(InputError, match=r"^k must be an integer from 1 to 10, got "):
        check_count(value, what="k", most=10)


def test_values_beyond_float32_are_refused_with_their_row() -> None:
    with pytest.raises(VectorError, match="row 6 holds a value beyond float32"):
        as_float32(np.array([[1.0], [1e39]]), first_row=5)


def test_normalise_makes_new_float32_rows() -> None:
    rows = np.array([[3.0, 4.0]], dtype=np.float32)
    result = normalise(rows)
    assert result.dtype == np.float32
    assert not np.shares_memory(result, rows)
    with pytest.raises(VectorError, match="vector of row 12 is all zeros"):
        normalise(np.array([[1.0], [0.0]]), first_row=11)
    with pytest.raises(VectorError, match=f"vector of row {BLOCK_ROWS + 11} is all zeros"):
        normalise(np.append(np.ones((BLOCK_ROWS, 1)), [[0.0]], axis=0), first_row=11)
