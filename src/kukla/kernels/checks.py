"""Argument checks of the kernels: everything native code relies on, said in words when it does not hold."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.errors import InputError, VectorError

__all__ = [
    "MAX_QUERY_CODE",
    "MAX_ROWS",
    "MAX_WIDTH",
    "array",
    "binary_shells",
    "count",
    "float_rows",
    "int8_shells",
    "narrow_shells",
    "norms_of",
    "packed_mask",
    "row_numbers",
    "token_lists",
]

Array = npt.NDArray[Any]

MAX_ROWS = 2**32 - 1
"""A row number is half of a 64-bit sort key."""
MAX_WIDTH = 65_536
"""The widest shell, in coordinates, for which the bounds of the integer sums are proved."""
MAX_QUERY_CODE = 8_191
"""The largest magnitude of an int16 query code."""


def array(name: str, value: Array, dtypes: Sequence[type[np.generic]], ndim: int) -> Array:
    """`value`, if it is a C-contiguous, aligned array of one of `dtypes` with `ndim` axes."""
    if (
        isinstance(value, np.ndarray)
        and value.ndim == ndim
        and value.dtype.type in dtypes
        and value.dtype.isnative
        and value.flags.c_contiguous
        and value.flags.aligned
    ):
        return value
    raise _array_error(name, value, dtypes, ndim)


def _array_error(name: str, value: object, dtypes: Sequence[type[np.generic]], ndim: int) -> VectorError:
    allowed = " or ".join(np.dtype(dtype).name for dtype in dtypes)
    if not isinstance(value, np.ndarray):
        return VectorError(f"{name} must be a NumPy array of {allowed}, got {type(value).__name__}")
    if value.dtype.type not in dtypes or not value.dtype.isnative:
        return VectorError(f"{name} must have dtype {allowed}, got {value.dtype}")
    if value.ndim != ndim:
        return VectorError(f"{name} must have {ndim} axes, got shape {value.shape}")
    return VectorError(
        f"{name} must be C-contiguous and aligned, got strides {value.strides} for shape {value.shape}; "
        f"np.ascontiguousarray copies it"
    )


def count(name: str, value: int, least: int) -> int:
    """`value` as an int of at least `least`; `InputError` otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise InputError(f"{name} must be at least {least}, got {number}")
    return number


def binary_shells(shells: Sequence[Array], queries: Sequence[Array]) -> tuple[int, int]:
    """(n, nq) of uint8 shells and the queries packed the same way."""
    return _shells("shells", shells, np.uint8, "queries", queries, np.uint8, MAX_WIDTH // 8)


def int8_shells(
    shells: Sequence[Array], scales: Sequence[Array], query_codes: Sequence[Array], query_scales: Array
) -> tuple[int, int]:
    """(n, nq) of int8 shells with a scale per row, and int16 query codes with a scale per query and shell."""
    n, nq = _shells("shells", shells, np.int8, "query_codes", query_codes, np.int16, MAX_WIDTH)
    _scales_of_rows(scales, shells, n)
    array("query_scales", query_scales, [np.float64], 2)
    if query_scales.shape != (nq, len(shells)):
        raise VectorError(
            f"query_scales must have shape (queries, shells) = {(nq, len(shells))}, got {query_scales.shape}"
        )
    for s, codes in enumerate(query_codes):
        if codes.size and not -MAX_QUERY_CODE <= int(codes.min()) <= int(codes.max()) <= MAX_QUERY_CODE:
            raise VectorError(
                f"query_codes[{s}] must be within -{MAX_QUERY_CODE}..{MAX_QUERY_CODE}, "
                f"got {codes.min()}..{codes.max()}"
            )
    return n, nq


def narrow_shells(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
) -> tuple[int, int]:
    """(n, nq) of int8 shells with a scale per row, and int8 query codes with a float32 scale and margin."""
    n, nq = _shells("shells", shells, np.int8, "query_codes", query_codes, np.int8, MAX_WIDTH)
    _scales_of_rows(scales, shells, n)
    for name, values in (("query_scales", query_scales), ("margins", margins)):
        array(name, values, [np.float32], 2)
        if values.shape != (nq, len(shells)):
            raise VectorError(
                f"{name} must have shape (queries, shells) = {(nq, len(shells))}, got {values.shape}"
            )
    for s, codes in enumerate(query_codes):
        if codes.size and int(codes.min()) == -128:
            raise VectorError(f"query_codes[{s}] must be within -127..127, got -128")
    return n, nq


def float_rows(vectors: Array, queries: Array, dim: int) -> tuple[int, int, int]:
    """(n, nq, dim) of float32 or float16 vectors and float32 queries, both at least `dim` wide."""
    array("vectors", vectors, [np.float32, np.float16], 2)
    array("queries", queries, [np.float32], 2)
    dim = count("dim", dim, 0)
    if dim > min(vectors.shape[1], queries.shape[1]):
        raise VectorError(
            f"dim must be at most the width of vectors, {vectors.shape[1]}, and of queries, "
            f"{queries.shape[1]}, got {dim}"
        )
    _few_enough(len(vectors))
    return len(vectors), len(queries), dim


def norms_of(norms: Array | None, n: int) -> Array | None:
    """`norms`, float32 (n,), or None."""
    if norms is not None:
        _length("norms", array("norms", norms, [np.float32], 1), n)
    return norms


def packed_mask(mask: Array | None, n: int) -> npt.NDArray[np.uint8] | None:
    """`mask` as uint8 (n,), not copied, or None."""
    if mask is None:
        return None
    _length("mask", array("mask", mask, [np.bool_, np.uint8], 1), n)
    return mask.view(np.uint8)


def row_numbers(rows: Array, n: int, nq: int) -> Array:
    """`rows`, int64 (nq, m), each in 0..n-1."""
    array("rows", rows, [np.int64], 2)
    _length("rows", rows, nq)
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < n:
        raise VectorError(f"rows must be in 0..{n - 1} ({n} rows), got {rows.min()}..{rows.max()}")
    return rows


def token_lists(vectors: Array, scales: Array, ids: Array, offsets: Array, dim: int) -> int:
    """`dim`, once every id names a row and `offsets` cut `ids` into consecutive lists."""
    array("vectors", vectors, [np.int8], 2)
    _length("scales", array("scales", scales, [np.float32], 1), len(vectors))
    array("ids", ids, [np.int32], 1)
    array("offsets", offsets, [np.int64], 1)
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or bool((np.diff(offsets) < 0).any()):
        raise VectorError(f"offsets must rise from 0 to the number of ids, {len(ids)}, got {offsets}")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(vectors):
        raise VectorError(f"ids must be in 0..{len(vectors) - 1}, got {ids.min()}..{ids.max()}")
    dim = count("dim", dim, 0)
    if dim > vectors.shape[1]:
        raise VectorError(f"dim must be at most the width of vectors, {vectors.shape[1]}, got {dim}")
    return dim


def _scales_of_rows(scales: Sequence[Array], shells: Sequence[Array], n: int) -> None:
    if len(scales) != len(shells):
        raise VectorError(f"scales must have one array per shell, {len(shells)}, got {len(scales)}")
    for s, scale in enumerate(scales):
        _length(f"scales[{s}]", array(f"scales[{s}]", scale, [np.float32], 1), n)


def _shells(
    name: str,
    shells: Sequence[Array],
    dtype: type[np.generic],
    query_name: str,
    queries: Sequence[Array],
    query_dtype: type[np.generic],
    widest: int,
) -> tuple[int, int]:
    if not len(shells) or len(queries) != len(shells):
        raise VectorError(
            f"{name} and {query_name} must be equally long, non-empty sequences, "
            f"got {len(shells)} shells and queries for {len(queries)}"
        )
    for s, (shell, query) in enumerate(zip(shells, queries, strict=True)):
        array(f"{name}[{s}]", shell, [dtype], 2)
        array(f"{query_name}[{s}]", query, [query_dtype], 2)
        _length(f"{name}[{s}]", shell, len(shells[0]))
        _length(f"{query_name}[{s}]", query, len(queries[0]))
        if query.shape[1] != shell.shape[1]:
            raise VectorError(
                f"{query_name}[{s}] must be as wide as {name}[{s}], {shell.shape[1]}, got {query.shape[1]}"
            )
        if shell.shape[1] > widest:
            raise VectorError(f"{name}[{s}] must be at most {widest} wide, got {shell.shape[1]}")
    if len(shells) > MAX_WIDTH // 16:
        raise VectorError(f"{name} must be at most {MAX_WIDTH // 16} arrays, got {len(shells)}")
    _few_enough(len(shells[0]))
    return len(shells[0]), len(queries[0])


def _length(name: str, value: Array, length: int) -> None:
    if len(value) != length:
        raise VectorError(f"{name} must have length {length}, got shape {value.shape}")


def _few_enough(n: int) -> None:
    if n > MAX_ROWS:
        raise VectorError(f"one call takes at most {MAX_ROWS} rows, got {n}")
