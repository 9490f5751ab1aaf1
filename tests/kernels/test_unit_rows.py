"""unit_rows: the same bits as `kukla.checks.unit_rows`, and a word on rows that it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from kukla import kernels
from kukla.checks import normalise
from kukla.errors import VectorError

native = pytest.mark.skipif(kernels.available() == ("numpy",), reason="no native kernels here")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 7, 16, 17, 100, 1536])
def test_every_instruction_set_and_numpy_agree_to_the_bit(isa: str, dtype: type, dim: int) -> None:
    rows = np.random.default_rng(dim).laplace(size=(50, dim)).astype(dtype)
    rows[:20] *= 10.0 ** np.linspace(-30, 30, 20)[:, None]
    got = normalise(rows)
    with kernels.use("numpy"):
        expected = normalise(rows)
    assert got.tobytes() == expected.tobytes()
    assert normalise(rows[3:4]).tobytes() == got[3:4].tobytes()  # whatever the batch


@native
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 0.0])
def test_the_first_row_that_needs_thought_is_named(odd: float) -> None:
    rows = np.ones((5, 20))
    rows[3] = odd
    out = np.full((5, 20), 7, dtype=np.float32)
    assert kernels.unit_rows(rows, out) == 3
    np.testing.assert_allclose(out[:3], 1 / np.sqrt(20))
    assert (out[3:] == 7).all()


@native
def test_rows_beyond_the_squares_of_float64_are_normalised_all_the_same() -> None:
    rows = np.array([[3e-310, 4e-310], [3e200, 4e200], [3.0, 4.0]])
    assert kernels.unit_rows(rows, np.empty((3, 2), dtype=np.float32)) == 0
    np.testing.assert_allclose(normalise(rows), [[0.6, 0.8]] * 3, rtol=1e-7)


@native
def test_queries_are_unit_rows_where_that_needs_no_thought() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    isa = kernels.active()
    for given in (rows, rows.astype(np.float64), rows[1]):
        got = kernels.unit_queries(isa, given, 20)
        assert got is not None
        assert got.tobytes() == normalise(np.atleast_2d(given)).tobytes()
    other = [rows.astype(np.float16), rows.astype(">f4"), np.asfortranarray(rows), rows[:, :19], rows[None]]
    for given in [*other, np.float32(1)[None][0:0], np.array(1.0), np.zeros(20), np.arange(20)]:
        assert kernels.unit_queries(isa, given, 20) is None, given
    assert kernels.unit_queries("numpy", rows, 20) is None


def test_a_row_of_zeros_is_named_wherever_it_is() -> None:
    rows = np.ones((9000, 4), dtype=np.float32)
    rows[8500] = 0
    with pytest.raises(VectorError, match="row 8500 is all zeros"):
        normalise(rows)
