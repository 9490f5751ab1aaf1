"""encode_rows: the same bits as `prefix_norms`, `pack_signs` and `encode_int8`, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import kernels
from kukla.nesting import Nesting, prefix_norms
from kukla.precision import VECTOR_PRECISIONS, Precision, encode_int8, pack_signs
from kukla.storage.layout import Layout

NESTINGS = [(1,), (2, 9), (3, 16, 33), (8, 16, 24), (32, 64, 100), (17, 1536)]
ALL = VECTOR_PRECISIONS
pytestmark = pytest.mark.filterwarnings(
    "ignore:overflow:RuntimeWarning"
)  # of NumPy: float16, and whole norms
native = pytest.mark.skipif(kernels.available() == ("numpy",), reason="no native kernels here")


def hard_rows(dim: int) -> NDArray[np.float32]:
    """Lengths from subnormal to the largest float32, shells and whole rows of zeros, ties of rounding."""
    rng = np.random.default_rng(dim)
    rows = rng.laplace(size=(120, dim)) * 10.0 ** rng.uniform(-46, 37, (120, 1))
    rows[rng.random(rows.shape) < 0.05] = 0
    rows[0], rows[1] = 0, -0.0
    rows[2], rows[3] = np.finfo(np.float32).max, -np.finfo(np.float32).max
    rows[4], rows[5] = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).smallest_normal
    rows[6, : dim // 2] = 0
    rows[7, dim // 2 :] = 0
    rows[8] = np.arange(dim) % 255 - 127  # scale 1: whole numbers
    rows[9] = (np.arange(dim) % 254 - 127) + 0.5  # halves, to even
    rows[10] = 127
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(rows, -np.finfo(np.float32).max, np.finfo(np.float32).max).astype(np.float32)


def encoded(layout: Layout, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    arrays = {
        name: np.full((len(rows), *shape), 85, dtype)
        for name, dtype, shape in layout.fields()
        if name != "keys"
    }
    layout.encode(rows, arrays)
    return arrays


@pytest.mark.parametrize("dims", NESTINGS)
@pytest.mark.parametrize("precisions", [ALL, (Precision.BINARY, Precision.FLOAT32), (Precision.FLOAT16,)])
@pytest.mark.parametrize("cosine", [True, False])
def test_every_array_is_what_the_specification_says(
    isa: str, dims: tuple[int, ...], precisions: tuple[Precision, ...], cosine: bool
) -> None:
    nesting = Nesting(dims)
    rows = hard_rows(nesting.full)
    found = encoded(Layout(nesting, precisions, cosine), rows)
    expected: dict[str, NDArray[Any]] = {}
    for dim, norms in zip(dims[:-1] if cosine else (), prefix_norms(rows, nesting), strict=False):
        expected[f"norms.{dim}"] = norms
    for low, high in nesting.shells:
        shell = rows[:, low:high]
        if Precision.BINARY in precisions:
            expected[f"binary.{low}-{high}"] = pack_signs(shell)
        if Precision.INT8 in precisions:
            expected[f"int8.{low}-{high}"], expected[f"int8.scales.{low}-{high}"] = encode_int8(shell)
    for precision in precisions:
        if precision.is_float:
            expected[precision.value] = rows.astype(precision.value)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), name


def test_a_row_depends_on_nothing_but_itself(isa: str) -> None:
    layout = Layout(Nesting((16, 40)), (Precision.BINARY, Precision.INT8, Precision.FLOAT32), True)
    rows = hard_rows(40)
    whole = encoded(layout, rows)
    for i in (0, 7, 50, 119):
        for name, array in encoded(layout, rows[i : i + 1]).items():
            assert array.tobytes() == whole[name][i : i + 1].tobytes(), name


def test_no_rows_at_all(isa: str) -> None:
    layout = Layout(Nesting((8, 16)), (Precision.INT8, Precision.FLOAT32), True)
    assert all(len(array) == 0 for array in encoded(layout, np.empty((0, 16), np.float32)).values())


@native
@pytest.mark.parametrize(
    "wrong",
    [
        {"dims": [8]},
        {"dims": [16, 8]},
        {"dims": []},
        {"norms": [np.empty(2, np.float32)]},
        {"norms": [np.empty(3, np.float32)] * 3},
        {"bits": [np.empty((3, 1), np.uint8)]},
        {"bits": [np.empty((3, 2), np.uint8)] * 2},
        {"codes": [np.empty((3, 8), np.int8)] * 2},
        {"codes": [np.empty((3, 8), np.int8)] * 2, "scales": [np.empty(2, np.float32)] * 2},
        {"codes": [np.empty((3, 9), np.int8)] * 2, "scales": [np.empty(3, np.float32)] * 2},
    ],
)
def test_wrong_calls_are_errors_and_not_crashes(wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"dims": [8, 16], **wrong}
    with kernels.use("scalar"), pytest.raises((ValueError, TypeError)):
        kernels.encode_rows(np.ones((3, 16), np.float32), **arguments)


@native
def test_strided_rows_are_refused_here_and_copied_before() -> None:
    rows = np.ones((3, 32), np.float32)[:, ::2]
    with kernels.use("scalar"), pytest.raises((ValueError, TypeError)):
        kernels.encode_rows(rows, [16], norms=[np.empty(3, np.float32)])
