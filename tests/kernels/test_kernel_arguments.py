"""Wrong arguments are errors in words, in every implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kukla import kernels
from kukla.errors import InputError, VectorError

BITS = np.zeros((6, 8), dtype=np.uint8)
CODES = np.ones((6, 8), dtype=np.int8)
SCALES = np.ones(6, dtype=np.float32)
QUERY_CODES = np.ones((2, 8), dtype=np.int16)
QUERY_SCALES = np.ones((2, 1))
VECTORS = np.ones((6, 8), dtype=np.float32)
ROWS = np.zeros((6, 1), dtype=np.int64)
IDS = np.zeros(3, dtype=np.int32)
OFFSETS = np.array([0, 3], dtype=np.int64)


def unaligned(values: Any) -> Any:
    raw = np.zeros(values.nbytes + 1, dtype=np.uint8)
    return raw[1:].view(values.dtype).reshape(values.shape)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no shells": (lambda: kernels.scan_binary([], [], 1), "non-empty"),
    "fewer queries": (lambda: kernels.scan_binary([BITS, BITS], [BITS], 1), "2 shells and queries for 1"),
    "not an array": (lambda: kernels.scan_binary([[1, 2]], [BITS], 1), r"shells\[0\] must be a NumPy array"),  # type: ignore[list-item]
    "binary dtype": (
        lambda: kernels.scan_binary([CODES], [BITS], 1),
        r"shells\[0\] must have dtype uint8, got int8",
    ),
    "query dtype": (lambda: kernels.scan_binary([BITS], [CODES], 1), r"queries\[0\] must have dtype uint8"),
    "axes": (lambda: kernels.scan_binary([BITS[0]], [BITS], 1), "must have 2 axes"),
    "strided": (lambda: kernels.scan_binary([BITS[::2]], [BITS], 1), "C-contiguous"),
    "transposed": (lambda: kernels.scan_binary([BITS], [BITS.T], 1), "C-contiguous"),
    "widths": (lambda: kernels.scan_binary([BITS], [BITS[:, :4].copy()], 1), "as wide as"),
    "lengths": (
        lambda: kernels.scan_binary([BITS, BITS[:3]], [BITS, BITS], 1),
        r"shells\[1\] must have length 6",
    ),
    "too wide": (
        lambda: kernels.scan_binary([np.zeros((1, 8193), np.uint8)], [np.zeros((1, 8193), np.uint8)], 1),
        "at most 8192",
    ),
    "too many shells": (lambda: kernels.scan_binary([BITS] * 4097, [BITS] * 4097, 1), "at most 4096"),
    "mask length": (
        lambda: kernels.scan_binary([BITS], [BITS], 1, mask=np.ones(5, dtype=bool)),
        "mask must have length 6",
    ),
    "mask dtype": (lambda: kernels.scan_binary([BITS], [BITS], 1, mask=np.ones(6)), "bool or uint8"),
    "keep": (lambda: kernels.scan_binary([BITS], [BITS], -1), "keep must be at least 0, got -1"),
    "keep type": (lambda: kernels.scan_binary([BITS], [BITS], 1.5), "keep must be an integer"),  # type: ignore[arg-type]
    "threads": (lambda: kernels.scan_binary([BITS], [BITS], 1, threads=0), "threads must be at least 1"),
    "scales missing": (
        lambda: kernels.scan_int8([CODES], [], [QUERY_CODES], QUERY_SCALES, 1),
        "one array per shell",
    ),
    "scales length": (
        lambda: kernels.scan_int8([CODES], [SCALES[:5]], [QUERY_CODES], QUERY_SCALES, 1),
        "length 6",
    ),
    "scales dtype": (
        lambda: kernels.scan_int8([CODES], [SCALES.astype(np.float64)], [QUERY_CODES], QUERY_SCALES, 1),
        "float32, got float64",
    ),
    "byte order": (
        lambda: kernels.scan_int8([CODES], [SCALES.astype(">f4")], [QUERY_CODES], QUERY_SCALES, 1),
        ">f4",
    ),
    "unaligned": (
        lambda: kernels.scan_int8([CODES], [unaligned(SCALES)], [QUERY_CODES], QUERY_SCALES, 1),
        "aligned",
    ),
    "query scales": (
        lambda: kernels.scan_int8([CODES], [SCALES], [QUERY_CODES], np.ones((1, 2)), 1),
        r"\(2, 1\), got \(1, 2\)",
    ),
    "large codes": (
        lambda: kernels.scan_int8([CODES], [SCALES], [QUERY_CODES * 8192], QUERY_SCALES, 1),
        "8191",
    ),
    "least code": (
        lambda: kernels.scan_int8([CODES], [SCALES], [QUERY_CODES * -32768], QUERY_SCALES, 1),
        "-32768",
    ),
    "norms": (
        lambda: kernels.scan_int8([CODES], [SCALES], [QUERY_CODES], QUERY_SCALES, 1, norms=SCALES[:3]),
        "norms",
    ),
    "float dtype": (
        lambda: kernels.scan_float(VECTORS.astype(np.float64), VECTORS, 8, 1),
        "float32 or float16",
    ),
    "dim": (lambda: kernels.scan_float(VECTORS, VECTORS, 9, 1), "dim must be at most"),
    "dim of queries": (
        lambda: kernels.scan_float(VECTORS, VECTORS[:, :4].copy(), 5, 1),
        "of queries, 4, got 5",
    ),
    "row too large": (
        lambda: kernels.score_binary([BITS], [BITS], ROWS + 6),
        r"0\.\.5 \(6 rows\), got 6\.\.6",
    ),
    "row negative": (lambda: kernels.score_float(VECTORS, VECTORS, 8, ROWS - 1), r"got -1\.\.-1"),
    "rows of no rows": (lambda: kernels.score_binary([BITS[:0]], [BITS], ROWS), "0 rows"),
    "rows of other queries": (
        lambda: kernels.score_int8([CODES], [SCALES], [QUERY_CODES], QUERY_SCALES, ROWS),
        "rows must have length 2",
    ),
    "rows dtype": (lambda: kernels.score_binary([BITS], [BITS], ROWS.astype(np.int32)), "int64"),
    "top_k shapes": (lambda: kernels.top_k(VECTORS, ROWS, 1), "shape of scores"),
    "top_k k": (lambda: kernels.top_k(VECTORS, np.zeros((6, 8), dtype=np.int64), -1), "k must be at least 0"),
    "ids": (
        lambda: kernels.pool_rows(CODES, SCALES, IDS + 6, OFFSETS, 8),
        r"ids must be in 0\.\.5, got 6\.\.6",
    ),
    "ids negative": (lambda: kernels.pool_rows(CODES, SCALES, IDS - 1, OFFSETS, 8), "ids must be in"),
    "offsets short": (lambda: kernels.pool_rows(CODES, SCALES, IDS, OFFSETS - 1, 8), "offsets must rise"),
    "offsets empty": (lambda: kernels.pool_rows(CODES, SCALES, IDS, OFFSETS[:0], 8), "offsets must rise"),
    "offsets fall": (
        lambda: kernels.pool_rows(CODES, SCALES, IDS, np.array([0, 3, 1, 3]), 8),
        "offsets must rise from 0 to the number of ids, 3",
    ),
    "pool dim": (lambda: kernels.pool_rows(CODES, SCALES, IDS, OFFSETS, 9), "dim must be at most"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(isa: str, case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        call()


def test_array_errors_are_vector_errors() -> None:
    with pytest.raises(VectorError):
        kernels.scan_binary([BITS[::2]], [BITS], 1)


def test_read_only_arrays_are_fine(isa: str) -> None:
    """Memory-mapped segments are read-only."""
    bits, queries = BITS.copy(), BITS.copy()
    bits.flags.writeable = queries.flags.writeable = False
    assert kernels.scan_binary([bits], [queries], 2)[0].shape == (6, 2)


def test_native_module_checks_too() -> None:
    """A wrong call of the private module is an exception, not a crash."""
    native = pytest.importorskip("kukla.kernels._native")
    rows, out = np.full((6, 1), 7, dtype=np.int64), np.zeros((6, 1), dtype=np.int32)
    with pytest.raises(ValueError, match="out of range"):
        native.score_binary("scalar", [BITS], [BITS], rows, 1, out)
    with pytest.raises(ValueError, match="more results than rows"):
        native.scan_binary("scalar", [BITS[:0]], [BITS], None, 1, rows, out)
    with pytest.raises(ValueError, match="no kernels named"):
        native.scan_binary("sse9", [BITS], [BITS], None, 1, rows, out)
    with pytest.raises(ValueError, match="must match"):
        native.scan_binary("scalar", [BITS], [BITS[:, :4].copy()], None, 1, rows, out)
