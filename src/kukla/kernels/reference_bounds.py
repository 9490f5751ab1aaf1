"""Bounds and what they leave open, in NumPy: the specification of ``native/reach.hpp``.

Every line is one float32 operation a row, in the order of the native code, so that results agree to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.kernels.reference import top_k

__all__ = ["bound_int8", "reach_int8"]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

UNIT_SQUARE = np.float32(1) + np.float32(4e-6)
"""The square of a unit vector's length: its coordinates and the stored prefix norm were rounded, and so is
what is computed with it here."""

_BLOCK_BYTES = 16 << 20


def bound_int8(
    shells: Sequence[Array],
    scales: Sequence[F32],
    query_codes: Sequence[Array],
    query_scales: F32,
    margins: F32,
    count: int,
    norms: F32 | None,
    mask: Array | None,
    keep: int,
) -> tuple[F32, I64, F32]:
    """Bounds of the first `count` shells, the best rows and their values; see `kukla.kernels.bound_int8`."""
    n, nq = len(shells[0]), len(query_scales)
    totals = np.zeros((nq, n), dtype=np.float32)
    everything = np.arange(n)
    for q in range(nq):
        _add(totals[q], everything, range(count), q, shells, scales, query_codes, query_scales, margins)
    values = totals
    if norms is not None:
        with np.errstate(all="ignore"):
            values = np.where(norms == 0, np.float32(0), totals / norms + np.float32(0))
    rows = everything if mask is None else np.flatnonzero(mask)
    tiled = np.tile(rows.astype(np.int64), (nq, 1))
    return totals, *top_k(np.ascontiguousarray(values[:, rows]), tiled, keep)


def reach_int8(
    shells: Sequence[Array],
    scales: Sequence[F32],
    query_codes: Sequence[Array],
    query_scales: F32,
    margins: F32,
    totals: F32,
    ends: Sequence[int],
    norms: Sequence[F32 | None],
    tails: F32,
    thresholds: F32,
    mask: Array | None = None,
) -> tuple[I64, I64, I64]:
    """Rows whose bound reaches a threshold, their offsets, rows read; see `kukla.kernels.reach_int8`."""
    n, nq = totals.shape[1], len(totals)
    everything = np.arange(n, dtype=np.int64) if mask is None else np.flatnonzero(mask).astype(np.int64)
    scored = np.zeros(len(ends), dtype=np.int64)
    found: list[I64] = []
    for q in range(nq):
        alive, total = everything, totals[q, everything]
        for c, end in enumerate(ends):
            scored[c] += len(alive)
            if c:
                added = range(ends[c - 1], end)
                _add(total, alive, added, q, shells, scales, query_codes, query_scales, margins)
            bound, norm = total, norms[c]
            if norm is not None:
                with np.errstate(all="ignore"):
                    rest = UNIT_SQUARE - norm[alive] * norm[alive]
                    bound = total + tails[c, q] * np.sqrt(np.where(rest < 0, np.float32(0), rest))
            reaches = (bound >= thresholds[c, q]) | np.isnan(bound)
            alive, total = alive[reaches], total[reaches]
        found.append(alive)
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in found])]).astype(np.int64)
    return np.concatenate([np.empty(0, dtype=np.int64), *found]), offsets, scored


def _add(
    total: F32,
    rows: I64,
    added: range,
    q: int,
    shells: Sequence[Array],
    scales: Sequence[F32],
    query_codes: Sequence[Array],
    query_scales: F32,
    margins: F32,
) -> None:
    """Add what shells bound of rows, in place."""
    for s in added:
        step = max(1, _BLOCK_BYTES // (9 * shells[s].shape[1] + 40))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            codes = shells[s][rows[part]].astype(np.float64)  # in which the dots are exact
            dots = (query_codes[s][q].astype(np.float64) @ codes.T).astype(np.float32)
            with np.errstate(all="ignore"):
                total[part] += (dots * query_scales[q, s] + margins[q, s]) * scales[s][rows[part]]
