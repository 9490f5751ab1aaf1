"""The kernels behind certificates: which rows can still reach a threshold, whatever their codes hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.errors import VectorError
from kukla.kernels import checks, dispatch, reference_bounds
from kukla.kernels.dispatch import active

__all__ = ["Checkpoint", "Reached", "bound_int8", "reach_int8"]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where rows are compared with their thresholds.

    After the first ``shells`` shells, a row of which no more than ``norms[row]`` of its length 1 was read
    has a tail of at most ``sqrt(1 + 4e-6 - norms[row]**2)``; times the query's tail it bounds what is left.

    Parameters
    ----------
    shells : int
        1 or more; rising from checkpoint to checkpoint.
    thresholds : float32 (nq,)
    norms : float32 (n,), or None
        Without them nothing is left.
    query_tails : float32 (nq,), or None
        Needed with norms.
    """

    shells: int
    thresholds: Array
    norms: Array | None = None
    query_tails: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """Rows that may reach the thresholds.

    Parameters
    ----------
    rows : int64
        Those of query q, ascending, are ``rows[offsets[q]:offsets[q + 1]]``.
    offsets : int64 (nq + 1,)
    scored : int64 (checkpoints,)
        How many rows were read up to each checkpoint, summed over queries.
    """

    rows: Array
    offsets: Array
    scored: Array


def bound_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
    count: int,
    *,
    keep: int = 0,
    norms: Array | None = None,
    mask: Array | None = None,
    threads: int = 1,
) -> tuple[F32, I64, F32]:
    """Bound every row by its first `count` shells, and find the rows with the largest bounds.

    With ``dot_s`` the exact integer dot product of a shell's codes, the bound of a row is
    ``sum_s((float32(dot_s) * query_scales[q, s] + margins[q, s]) * scales_s[row])``: each operation rounded
    to float32, shells added in their order, the same to the bit in every implementation.

    Parameters
    ----------
    shells : sequence of int8 (n, w_s)
        At least one, each at most 65,536 wide.
    scales : sequence of float32 (n,)
        What one code unit of each row is worth, per shell.
    query_codes : sequence of int8 (nq, w_s)
        Of magnitude at most 127.
    query_scales : float32 (nq, S)
        What one query code unit is worth.
    margins : float32 (nq, S)
        What codes of row and query may hide, in units of the row's scale; 0 or more.
    count : int
        1 or more.
    keep : int
        Rows per query to find, 0 or more.
    norms : float32 (n,), optional
        Rows are found by their bounds divided by these; a row of norm 0 has the value 0.
    mask : bool or uint8 (n,), optional
        Rows that may be found (non-zero); of others totals mean nothing.
    threads : int

    Returns
    -------
    totals : float32 (nq, n)
        The bounds.
    rows : int64 (nq, m)
    values : float32 (nq, m)
        Descending, equal values by ascending row, NaN last. ``m = min(keep, rows allowed by mask)``.

    Raises
    ------
    VectorError, InputError
    """
    n, nq = checks.narrow_shells(shells, scales, query_codes, query_scales, margins)
    if not 1 <= count <= len(shells):
        raise VectorError(f"count must be in 1..{len(shells)}, the number of shells, got {count}")
    norms, mask = checks.norms_of(norms, n), checks.packed_mask(mask, n)
    threads = checks.count("threads", threads, 1)
    keep = min(checks.count("keep", keep, 0), n if mask is None else int(np.count_nonzero(mask)))
    if (isa := active()) == "numpy":
        return reference_bounds.bound_int8(
            shells, scales, query_codes, query_scales, margins, count, norms, mask, keep
        )
    totals = np.empty((nq, n), dtype=np.float32) if mask is None else np.zeros((nq, n), dtype=np.float32)
    rows, values = np.empty((nq, keep), dtype=np.int64), np.empty((nq, keep), dtype=np.float32)
    dispatch.native.bound_int8(
        isa, list(shells), list(scales), list(query_codes), query_scales, margins, count, norms, mask,
        threads, totals, rows, values,
    )  # fmt: skip
    return totals, rows, values


def reach_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
    totals: Array,
    checkpoints: Sequence[Checkpoint],
    *,
    mask: Array | None = None,
    threads: int = 1,
) -> Reached:
    """Find every row whose upper bound reaches a threshold, reading only what the bounds leave open.

    The bound of a row at a checkpoint is the sum over the shells up to there (see :func:`bound_int8`) and the
    tail of the checkpoint; where it is no number, the row stays open. A row below its threshold there is read
    no further. The filter-and-refine search of Weber, Schek and Blott (VLDB 1998) over nested prefixes, with
    thresholds known beforehand.

    Parameters
    ----------
    shells, scales, query_codes, query_scales, margins, mask, threads
        As in :func:`bound_int8`.
    totals : float32 (nq, n)
        From :func:`bound_int8`, of the shells up to the first checkpoint.
    checkpoints : sequence of Checkpoint
        The last one after all shells.

    Returns
    -------
    Reached

    Raises
    ------
    VectorError, InputError
    """
    n, nq = checks.narrow_shells(shells, scales, query_codes, query_scales, margins)
    checks.array("totals", totals, [np.float32], 2)
    if totals.shape != (nq, n):
        raise VectorError(f"totals must have shape {(nq, n)}, got {totals.shape}")
    ends = [checkpoint.shells for checkpoint in checkpoints]
    if not ends or ends[0] < 1 or ends[-1] != len(shells) or ends != sorted(set(ends)):
        raise VectorError(f"checkpoints must rise from 1 to the number of shells, {len(shells)}, got {ends}")
    norms = [checks.norms_of(checkpoint.norms, n) for checkpoint in checkpoints]
    tails = np.zeros((len(ends), nq), dtype=np.float32)
    thresholds = np.empty((len(ends), nq), dtype=np.float32)
    for c, point in enumerate(checkpoints):
        thresholds[c] = _of_queries("thresholds", point.thresholds, nq)
        if point.norms is not None:
            tails[c] = _of_queries("query_tails", point.query_tails, nq)
    mask = checks.packed_mask(mask, n)
    threads = checks.count("threads", threads, 1)
    if (isa := active()) == "numpy":
        found = reference_bounds.reach_int8(
            shells, scales, query_codes, query_scales, margins, totals, ends, norms, tails, thresholds, mask
        )
    else:
        found = dispatch.native.reach_int8(
            isa, list(shells), list(scales), list(query_codes), query_scales, margins, totals, ends, norms,
            tails, thresholds, mask, threads,
        )  # fmt: skip
    return Reached(*(part.view(np.int64) for part in found))  # NumPy knows two types of this size


def _of_queries(name: str, values: Array | None, nq: int) -> Array:
    if values is None or values.shape != (nq,) or values.dtype != np.float32:
        got = "nothing" if values is None else f"{values.dtype} {values.shape}"
        raise VectorError(f"{name} of a checkpoint must be float32 ({nq},), got {got}")
    return values
