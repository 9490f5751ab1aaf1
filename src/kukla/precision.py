"""Precision: how many bits a coordinate keeps, and the codes.

=========  ====  =======================================================================================
precision  bits  code
=========  ====  =======================================================================================
float32    32    the coordinate
float16    16    the coordinate, rounded to nearest even
int8       8     ``rint(x / scale)`` in -127..127 with ``scale = max|x| / 127`` per row, stored with the row
binary     1     ``x > 0``, packed most significant bit first (``numpy.packbits``), zero padded to a byte
pq4        <= 1  four bits for a group of dims of the residual, in an index that was partitioned
=========  ====  =======================================================================================

Order of operations: pool -> (layer norm) -> project -> truncate -> L2-normalise -> quantise.

Two int8 conventions exist. Kukla's own keeps a scale for each row, so codes mean the same whatever was
added before or after. sentence-transformers' maps each *column's* calibrated range onto 256 steps
(``ranges``); its codes are meaningless without those ranges. In both, scores against float queries are
computed on what the codes stand for, never on the codes themselves: sentence-transformers' int8 rescoring
multiplies float queries with bare codes, which reverses rankings (its issue #4058).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import as_float32, check_vectors
from kukla.errors import InputError, VectorError

__all__ = [
    "QUERY_CODE_MAX",
    "VECTOR_PRECISIONS",
    "Precision",
    "Quantized",
    "binary_from_sentence_transformers",
    "binary_to_sentence_transformers",
    "encode_int8",
    "encode_query_int8",
    "pack_signs",
    "quantize",
    "unpack_signs",
]

CODE_MAX = 127
# Subnormal scales have too few digits to keep the error within half of them; the code 127 at the largest
# scale is still a float32.
_SMALLEST_SCALE = np.finfo(np.float32).smallest_normal
_LARGEST_SCALE = np.nextafter(np.finfo(np.float32).max / np.float32(CODE_MAX), np.float32(0))
QUERY_CODE_MAX = 8191
"""Queries are coded in 14 bits: exact integer dots with int8 documents, error far below the documents'."""


class Precision(StrEnum):
    """Bits per coordinate, by sentence-transformers' names."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"
    PQ4 = "pq4"

    @property
    def bits(self) -> int:
        """Bits per coordinate; of ``pq4`` at most, since groups are as wide as the partition made them."""
        return {"float32": 32, "float16": 16, "int8": 8, "binary": 1, "pq4": 1}[self.value]

    @property
    def is_float(self) -> bool:
        """Whether a whole vector is kept as numbers (and not as codes)."""
        return self in (Precision.FLOAT32, Precision.FLOAT16)

    def bytes_for(self, width: int) -> int:
        """Bytes of one row of ``width`` coordinates, int8's scale included."""
        return -(-width * self.bits // 8) + (4 if self is Precision.INT8 else 0)

    @classmethod
    def parse(cls, name: str) -> Precision:
        """The precision of this name that any vector can have, or an ``InputError`` that lists the names."""
        if name not in VECTOR_PRECISIONS:
            raise InputError(f"unknown precision {name!r}; allowed: {', '.join(VECTOR_PRECISIONS)}")
        return cls(name)


VECTOR_PRECISIONS = tuple(precision for precision in Precision if precision is not Precision.PQ4)
"""What any vector can have; ``pq4`` is relative to the lists of an index."""


def pack_signs(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Sign bits ``x > 0`` of rows ``(n, width)``, MSB first: uint8 ``(n, ceil(width / 8))``."""
    return np.packbits(vectors > 0, axis=-1)


def unpack_signs(codes: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """Unit vectors ``(n, width)`` of ``+-1/sqrt(width)`` for packed signs ``(n, ceil(width / 8))``."""
    bits = np.unpackbits(codes, axis=-1, count=width)
    signs = np.where(bits == 1, np.float32(1), np.float32(-1))
    return np.asarray(signs / np.float32(np.sqrt(width)), dtype=np.float32)


def binary_to_sentence_transformers(codes: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Packed signs in sentence-transformers' ``binary`` (int8 = packed - 128); its ``ubinary`` is ours."""
    if codes.dtype != np.uint8:
        raise VectorError(f"packed signs are uint8, got dtype {codes.dtype}")
    return (codes ^ np.uint8(0x80)).view(np.int8)


def binary_from_sentence_transformers(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The inverse of :func:`binary_to_sentence_transformers`."""
    if codes.dtype != np.int8:
        raise VectorError(f"sentence-transformers' binary codes are int8, got dtype {codes.dtype}")
    return codes.view(np.uint8) ^ np.uint8(0x80)


def _encode(
    vectors: NDArray[np.floating[Any]], code_max: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.float32]]:
    # In float64: float16 would round a scale to nothing.
    largest = np.abs(vectors).max(axis=-1, initial=0.0).astype(np.float64)
    scales = (np.clip(largest / code_max, _SMALLEST_SCALE, _LARGEST_SCALE) * (largest > 0)).astype(np.float32)
    divisor = np.where(scales > 0, scales, np.float32(np.inf)).astype(np.float64)
    codes = np.rint(vectors / divisor[..., None])
    return np.clip(codes, -code_max, code_max), scales


def encode_int8(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 codes of rows ``(n, width)`` with one scale a row.

    Returns
    -------
    codes : ndarray of int8, shape (n, width), in -127..127
    scales : ndarray of float32, shape (n,)
        ``codes * scales[:, None]`` is within ``scales / 2`` of the input (to float32 rounding). 0 for rows
        of zeros; for others never below the smallest normal float32, 1.2e-38.
    """
    codes, scales = _encode(vectors, CODE_MAX)
    return codes.astype(np.int8), scales


def encode_query_int8(
    queries: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """14-bit codes of query rows ``(n, width)`` and their scales ``(n,)``, for exact integer dots."""
    codes, scales = _encode(queries, QUERY_CODE_MAX)
    return codes.astype(np.int16), scales.astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """Codes together with everything that gives them a meaning: int8 codes have scales or ranges.

    Parameters
    ----------
    codes : ndarray, shape (n, dim), or (n, ceil(dim / 8)) uint8 for binary
    precision : Precision
    dim : int
    scales : ndarray of float32, shape (n,), optional
        int8 only, Kukla's convention: one scale a row.
    ranges : ndarray of float32, shape (2, dim), optional
        int8 only, sentence-transformers' convention: minimum and maximum of each column.
    """

    codes: NDArray[Any]
    precision: Precision
    dim: int
    scales: NDArray[np.float32] | None = None
    ranges: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.precision is Precision.INT8 and (self.scales is None) == (self.ranges is None):
            raise InputError("int8 codes mean nothing without either scales or ranges; give one of them")

    def dequantize(self) -> NDArray[np.float32]:
        """What the codes stand for: float32 ``(n, dim)``.

        Binary gives unit vectors of +-1/sqrt(dim). With ranges, a code stands for the middle of the values
        that have it, within half a step of each (a whole step for code 0, since truncation towards zero
        gives it twice the width).
        """
        if self.precision is Precision.BINARY:
            return unpack_signs(self.codes, self.dim)
        values = self.codes.astype(np.float32)
        if self.scales is not None:
            return np.asarray(values * self.scales[:, None])
        if self.ranges is not None:
            # Codes were truncated towards zero; the ends, -128 and 127, are the minimum and the maximum.
            middle = np.clip(values + np.float32(0.5) * np.sign(values), -128, 127)
            return np.asarray((middle + 128) * _steps(self.ranges) + self.ranges[0])
        return values

    def score(self, queries: ArrayLike) -> NDArray[np.float32]:
        """Inner products of float queries ``(n_queries, dim)`` with the rows: ``(n_queries, n)``.

        Scales (or ranges) are applied, so int8 scores are comparable between rows and with float scores.
        """
        array = np.atleast_2d(check_vectors(queries, dim=self.dim, what="queries"))
        return np.asarray(as_float32(array) @ self.dequantize().T)


def quantize(vectors: ArrayLike, precision: Precision | str, *, ranges: ArrayLike | None = None) -> Quantized:
    """Quantise rows; truncate and renormalise first (see :func:`kukla.truncate`).

    Parameters
    ----------
    vectors : array of float, shape (n, dim); one vector (dim,) counts as one row
    precision : Precision or str
    ranges : array of float, shape (2, dim), optional
        Use sentence-transformers' int8 convention: ``ranges[0]`` and ``ranges[1]`` are each column's
        minimum and maximum over calibration vectors. Values outside are clipped (there they wrap around).

    Raises
    ------
    VectorError
        NaN or infinity, wrong shape, a value beyond the precision (int8: beyond float32, in which scales
        are kept), ranges of the wrong shape or an empty range.
    InputError
        An unknown precision, or ranges with a precision other than int8.
    """
    array = np.atleast_2d(check_vectors(vectors))
    precision = Precision.parse(precision)
    dim = array.shape[1]
    if ranges is not None:
        if precision is not Precision.INT8:
            raise InputError(f"ranges are for int8, got precision {precision.value}")
        return _quantize_ranges(array, _check_ranges(ranges, dim))
    if precision is Precision.BINARY:
        return Quantized(pack_signs(array), precision, dim)
    if precision is Precision.INT8:
        _check_magnitude(array, np.dtype(np.float32))
        codes, scales = encode_int8(array)
        return Quantized(codes, precision, dim, scales=scales)
    return Quantized(_cast(array, np.dtype(precision.value)), precision, dim)


def _check_magnitude(array: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> None:
    limit = float(np.finfo(dtype).max)
    largest = np.abs(array).max(axis=1, initial=0.0)
    largest = largest.astype(np.result_type(largest, np.float64))
    beyond = largest > limit
    if beyond.any():
        row = int(np.argmax(beyond))
        raise VectorError(f"row {row} holds {largest[row]:g}, above the largest {dtype} ({limit:g})")


def _cast(array: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    _check_magnitude(array, dtype)
    return array.astype(dtype)


def _steps(ranges: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((ranges[1] - ranges[0]) / 255)


def _check_ranges(ranges: ArrayLike, dim: int) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            array = np.array(ranges, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise VectorError(f"ranges must be numbers of shape (2, {dim}): {error}") from None
    if array.shape != (2, dim):
        raise VectorError(f"ranges must have shape (2, {dim}), got {array.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        steps = _steps(array)
    usable = np.isfinite(array).all(axis=0) & np.isfinite(steps) & (steps > 0)
    if not usable.all():
        column = int(np.argmin(usable))
        low, high = array[:, column]
        raise VectorError(
            f"ranges must be finite, with each maximum above its minimum; column {column} has {low} "
            f"and {high}"
        )
    return array


def _quantize_ranges(array: NDArray[np.floating[Any]], ranges: NDArray[np.float32]) -> Quantized:
    with np.errstate(over="ignore"):  # what is far outside its range is clipped
        codes = np.clip((array - ranges[0]) / _steps(ranges) - 128, -128, 127).astype(np.int8)
    return Quantized(codes, Precision.INT8, array.shape[1], ranges=ranges)
