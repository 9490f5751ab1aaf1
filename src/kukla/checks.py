"""What every array and number from outside passes through before it is used."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla import kernels
from kukla.errors import InputError, VectorError

__all__ = [
    "BLOCK_ROWS",
    "as_float32",
    "check_count",
    "check_dim",
    "check_vectors",
    "normalise",
    "squares_of_rows",
    "unit_rows",
]

BLOCK_ROWS = 8192
"""Rows worked on at a time, so that float64 temporaries stay small beside the data."""

LARGEST_DIM = 65_536
_SAFE = (2.0**-400, 2.0**400)
"""Magnitudes whose squares neither underflow nor overflow float64 when summed."""


def check_count(value: SupportsIndex, *, what: str, least: int = 1, most: int | None = None) -> int:
    """``value`` as an int in ``[least, most]``; ``InputError`` otherwise (also for bool and float)."""
    return _check_integer(value, what=what, least=least, most=most, error=InputError)


def check_dim(value: SupportsIndex, *, what: str, most: int = LARGEST_DIM) -> int:
    """``value`` as a prefix length in ``1..most``; ``VectorError`` otherwise."""
    return _check_integer(value, what=what, least=1, most=most, error=VectorError)


def _check_integer(
    value: SupportsIndex, *, what: str, least: int, most: int | None, error: type[InputError]
) -> int:
    if type(value) is int and least <= value and (most is None or value <= most):
        return value
    allowed = f"an integer from {least} to {most}" if most is not None else f"an integer, at least {least}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise error(f"{what} must be {allowed}, got {value!r}") from None
    if number < least or (most is not None and number > most):
        raise error(f"{what} must be {allowed}, got {number}")
    return number


def check_vectors(
    vectors: ArrayLike, *, dim: int | None = None, what: str = "vectors", first_row: int = 0
) -> NDArray[np.floating[Any]]:
    """One vector or a batch as a float array, or a ``VectorError`` that says why not.

    Parameters
    ----------
    vectors : array of float, shape (width,) or (n, width)
        Any float dtype. Integers are refused: they are most likely quantised codes without scales.
    dim : int, optional
        The width that is required.
    first_row : int
        Added to the row number in messages, for callers that pass batches.

    Returns
    -------
    ndarray
        A view where possible; 1-D or 2-D as given, all values finite.
    """
    try:
        array = np.asarray(vectors)
    except ValueError:
        raise VectorError(f"{what}: rows of different lengths; all must have one length") from None
    if array.dtype.kind != "f":
        raise VectorError(
            f"{what} must be floats (float16, float32, float64), got dtype {array.dtype}; "
            "decode quantised codes first"
        )
    if array.ndim not in (1, 2):
        raise VectorError(f"{what} must be one vector (dim,) or a batch (n, dim), got shape {array.shape}")
    width = array.shape[-1]
    if dim is not None and width != dim:
        raise VectorError(f"{what} must have {dim} dims, got {width}")
    if width == 0:
        raise VectorError(f"{what} must have at least 1 dim, got shape {array.shape}")
    rows = np.atleast_2d(array)
    for start in range(0, len(rows), BLOCK_ROWS):
        finite = np.isfinite(rows[start : start + BLOCK_ROWS]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            column = int(np.argmin(np.isfinite(rows[row])))
            raise VectorError(
                f"{what}: row {first_row + row} holds {rows[row, column]} at coordinate {column}; "
                "every value must be finite"
            )
    return array


def unit_rows(
    rows: NDArray[np.floating[Any]], *, first_row: int = 0, what: str = "vector"
) -> NDArray[np.floating[Any]]:
    """Finite rows as new rows of length 1 in float64 (or wider); ``VectorError`` naming an all-zero row.

    A row's result depends on nothing but its values: not on the other rows, nor on the memory order.
    """
    wide = rows.astype(np.result_type(rows.dtype, np.float64), order="C")
    largest = np.abs(wide).max(axis=1, initial=0.0)
    if not largest.all():
        row = first_row + int(np.argmin(largest))
        raise VectorError(f"{what} of row {row} is all zeros: it has no direction and cannot be normalised")
    unsafe = (largest < _SAFE[0]) | (largest > _SAFE[1])
    if unsafe.any():
        # A power of two changes no digit. Subnormal rows must grow before their norm is taken: it would be
        # rounded to the few digits that subnormal numbers have.
        exponents = np.frexp(largest[unsafe])[1]
        wide[unsafe] = np.ldexp(wide[unsafe], -exponents[:, None])
    wide /= np.sqrt(squares_of_rows(wide))[:, None]
    return wide


def squares_of_rows(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Sums of squares, in the order of ``native/unit.hpp``: 16 lanes, then halves of them."""
    lanes = 16
    squares = np.zeros((len(rows), -(-rows.shape[1] // lanes) * lanes), dtype=rows.dtype)
    np.square(rows, out=squares[:, : rows.shape[1]])
    sums = squares.reshape(len(rows), -1, lanes).sum(axis=1)
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return np.asarray(sums[:, 0])


def normalise(vectors: NDArray[np.floating[Any]], *, first_row: int = 0) -> NDArray[np.float32]:
    """Finite rows ``(n, dim)`` as new float32 rows of length 1; ``VectorError`` naming an all-zero row."""
    result = np.empty(vectors.shape, dtype=np.float32)
    done = 0
    if vectors.dtype in (np.float32, np.float64) and vectors.flags.c_contiguous and vectors.dtype.isnative:
        done = kernels.unit_rows(vectors, result)
    for start in range(done, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        result[start : start + BLOCK_ROWS] = unit_rows(block, first_row=first_row + start)
    return result


def as_float32(vectors: NDArray[np.floating[Any]], *, first_row: int = 0) -> NDArray[np.float32]:
    """Finite rows as new float32 rows; ``VectorError`` naming a row with a value beyond float32."""
    with np.errstate(over="ignore"):
        result = vectors.astype(np.float32)
    finite = np.isfinite(result).all(axis=1)
    if not finite.all():
        raise VectorError(f"row {first_row + int(np.argmin(finite))} holds a value beyond float32")
    return result
