"""Precision: how many bits a coordinate keeps, and the codes.

=========  ====  =======================================================================================
precision  bits  code
=========  ====  =======================================================================================
float32    32    the coordinate
float16    16    the coordinate, rounded to nearest even
int8       8     ``rint(x / scale)`` in -127..127 with ``scale = max|x| / 127`` per row, stored with the row
binary     1     ``x > 0``, packed most significant bit first (``numpy.packbits``), zero padded to a byte
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

from kukla.checks import check_vectors
from kukla.errors import InputError, VectorError

__all__ = [
    "QUERY_CODE_MAX",
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
QUERY_CODE_MAX = 8191
"""Queries are coded in 14 bits: exact integer dots with int8 documents, error far below the documents'."""


class Precision(StrEnum):
    """Bits per coordinate, by sentence-transformers' names."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"

    @property
    def bits(self) -> int:
        """Bits per coordinate."""
        return {"float32": 32, "float16": 16, "int8": 8, "binary": 1}[self.value]

    @property
    def is_float(self) -> bool:
        """Whether a whole vector is kept as numbers (and not as codes)."""
        return self in (Precision.FLOAT32, Precision.FLOAT16)

    def bytes_for(self, width: int) -> int:
        """Bytes of one row of ``width`` coordinates, int8's scale included."""
        return -(-width * self.bits // 8) + (4 if self is Precision.INT8 else 0)

    @classmethod
    def parse(cls, name: str) -> Precision:
        """The precision of this name, or an ``InputError`` that lists the names."""
        try:
            return cls(name)
        except ValueError:
            raise InputError(f"unknown precision {name!r}; allowed: {', '.join(cls)}") from None


def pack_signs(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Sign bits ``x > 0`` of rows ``(n, width)``, MSB first: uint8 ``(n, ceil(width / 8))``."""
    return np.packbits(vectors > 0, axis=-1)


def unpack_signs(codes: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """Unit vectors ``(n, width)`` of ``+-1/sqrt(width)`` for packed signs ``(n, ceil(width / 8))``."""
    bits = np.unpackbits(codes, axis=-1, count=width)
    return np.where(bits == 1, np.float32(1), np.float32(-1)) / np.float32(np.sqrt(width))


def binary_to_sentence_transformers(codes: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Packed signs in sentence-transformers' ``binary`` (int8 = packed - 128); its ``ubinary`` is ours."""
    return (codes ^ np.uint8(0x80)).view(np.int8)


def binary_from_sentence_transformers(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The inverse of :func:`binary_to_sentence_transformers`."""
    return codes.view(np.uint8) ^ np.uint8(0x80)


def _encode(
    vectors: NDArray[np.floating[Any]], code_max: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.float32]]:
    scales = (np.abs(vectors).max(axis=-1, initial=0.0) / code_max).astype(np.float32)
    # A scale that underflowed to zero would divide by zero: such a row is zero at this precision.
    divisor = np.where(scales > 0, scales, np.float32(np.inf)).astype(np.float64)
    codes = np.rint(vectors / divisor[..., None])
    return np.clip(codes, -code_max, code_max), scales


def encode_int8(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 codes of rows ``(n, width)`` with one scale a row.

    Returns
    -------
    codes : ndarray of int8, shape (n, width), in -127..127
    scales : ndarray of float32, shape (n,)
        ``codes * scales[:, None]`` is within ``scales / 2`` of the input (to float32 rounding).
    """
    codes, scales = _encode(vectors, CODE_MAX)
    return codes.astype(np.int8), scales


def encode_query_int8(
    queries: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """14-bit codes of query rows ``(n, width)`` and their scales ``(n,)``, for exact integer dots."""
    codes, scales = _encode(queries, QUERY_CODE_MAX)
    return codes.astype(np.int16), scales.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Codes together with everything that gives them a meaning.

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

    def dequantize(self) -> NDArray[np.float32]:
        """What the codes stand for: float32 ``(n, dim)``. Binary gives unit vectors of +-1/sqrt(dim)."""
        if self.precision is Precision.BINARY:
            return unpack_signs(self.codes, self.dim)
        values = self.codes.astype(np.float32)
        if self.scales is not None:
            return np.asarray(values * self.scales[:, None])
        if self.ranges is not None:
            steps = (self.ranges[1] - self.ranges[0]) / 255
            return np.asarray((values + 128) * steps + self.ranges[0])
        return values

    def score(self, queries: ArrayLike) -> NDArray[np.float32]:
        """Inner products of float queries ``(n_queries, dim)`` with the rows: ``(n_queries, n)``.

        Scales (or ranges) are applied, so int8 scores are comparable between rows and with float scores.
        """
        array = np.atleast_2d(check_vectors(queries, dim=self.dim, what="queries"))
        return np.asarray(array.astype(np.float32) @ self.dequantize().T)


def quantize(vectors: ArrayLike, precision: Precision | str, *, ranges: ArrayLike | None = None) -> Quantized:
    """Quantise rows; truncate and renormalise first (see :func:`kukla.truncate`).

    Parameters
    ----------
    vectors : array of float, shape (n, dim)
    precision : Precision or str
    ranges : array of float, shape (2, dim), optional
        Use sentence-transformers' int8 convention: ``ranges[0]`` and ``ranges[1]`` are each column's
        minimum and maximum over calibration vectors. Values outside are clipped (there they wrap around).

    Raises
    ------
    VectorError
        NaN or infinity, wrong shape, ranges of the wrong shape or an empty range.
    InputError
        An unknown precision, or ranges with a precision other than int8.
    """
    array = np.atleast_2d(check_vectors(vectors))
    precision = Precision.parse(precision)
    dim = array.shape[1]
    if ranges is not None:
        if precision is not Precision.INT8:
            raise InputError(f"ranges are for int8, got precision {precision.value}")
        return _quantize_ranges(array, np.asarray(ranges, dtype=np.float32))
    if precision is Precision.BINARY:
        return Quantized(pack_signs(array), precision, dim)
    if precision is Precision.INT8:
        codes, scales = encode_int8(array)
        return Quantized(codes, precision, dim, scales=scales)
    return Quantized(_cast(array, np.dtype(precision.value)), precision, dim)


def _cast(array: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    limit = float(np.finfo(dtype).max)
    largest = float(np.abs(array).max(initial=0.0))
    if largest > limit:
        row = int(np.argmax(np.abs(array).max(axis=1)))
        raise VectorError(f"row {row} holds {largest:g}, above the largest {dtype} ({limit:g})")
    return array.astype(dtype)


def _quantize_ranges(array: NDArray[np.floating[Any]], ranges: NDArray[np.float32]) -> Quantized:
    dim = array.shape[1]
    if ranges.shape != (2, dim):
        raise VectorError(f"ranges must have shape (2, {dim}), got {ranges.shape}")
    if not np.isfinite(ranges).all() or not (ranges[1] > ranges[0]).all():
        raise VectorError("ranges must be finite, with each maximum above its minimum")
    steps = (ranges[1] - ranges[0]) / 255
    codes = np.clip((array - ranges[0]) / steps - 128, -128, 127).astype(np.int8)
    return Quantized(codes, Precision.INT8, dim, ranges=ranges)
