"""The kernel behind certificates: which rows can still reach a threshold, whatever their codes hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.errors import VectorError
from kukla.kernels import checks, dispatch, reference
from kukla.kernels.dispatch import active

__all__ = ["Checkpoint", "Reached", "reach_int8"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where rows are compared with their thresholds.

    After the first ``shells`` shells, a row of which no more than ``norms[row]`` of its length 1 was read
    has a tail of at most ``sqrt(1 + 1e-6 - norms[row]**2)``; times the query's tail it bounds what is left.

    Parameters
    ----------
    shells : int
        1 or more; rising from checkpoint to checkpoint.
    norms : float32 (n,), or None
        Without them nothing is left.
    query_tails : float64 (nq,), or None
        Needed with norms.
    """

    shells: int
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


def reach_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
    thresholds: Array,
    checkpoints: Sequence[Checkpoint],
    *,
    starts: Array | None = None,
    mask: Array | None = None,
    threads: int = 1,
) -> Reached:
    """Find every row whose upper bound reaches a threshold, reading only what the bounds leave open.

    With ``dot_s`` the exact integer dot product of a shell's codes, the bound of a row at a checkpoint is
    ``sum_s((float64(dot_s) * query_scales[q, s] + margins[q, s]) * float64(scales_s[row]))`` over the shells
    up to there, and the tail of the checkpoint. A row below its threshold there is read no further. The
    filter-and-refine search of Weber, Schek and Blott (VLDB 1998) over nested prefixes, with a threshold
    known beforehand.

    Parameters
    ----------
    shells, scales, query_codes, query_scales, mask, threads
        As in :func:`kukla.kernels.scan_int8`.
    margins : float64 (nq, S)
        What codes of row and query may hide, in units of the row's scale; 0 or more.
    thresholds : float64 (nq,)
    checkpoints : sequence of Checkpoint
        The last one after all shells.
    starts : int64 (nq,), optional
        The first checkpoint at which a query compares; 0 by default. Comparing where nearly every row passes
        costs time; ``rows`` do not depend on it where bounds fall from checkpoint to checkpoint.

    Returns
    -------
    Reached

    Raises
    ------
    VectorError, InputError
    """
    n, nq = checks.int8_shells(shells, scales, query_codes, query_scales)
    depth = len(checkpoints)
    checks.array("margins", margins, [np.float64], 2)
    checks.array("thresholds", thresholds, [np.float64], 1)
    starts = np.zeros(nq, dtype=np.int64) if starts is None else checks.array("starts", starts, [np.int64], 1)
    if margins.shape != query_scales.shape or thresholds.shape != (nq,) or starts.shape != (nq,):
        raise VectorError(
            f"margins must have shape {query_scales.shape}, thresholds and starts ({nq},); got "
            f"{margins.shape}, {thresholds.shape}, {starts.shape}"
        )
    if starts.size and not 0 <= int(starts.min()) <= int(starts.max()) < max(depth, 1):
        raise VectorError(f"starts must be in 0..{depth - 1}, got {starts.min()}..{starts.max()}")
    ends = [checkpoint.shells for checkpoint in checkpoints]
    if not ends or ends[0] < 1 or ends[-1] != len(shells) or ends != sorted(set(ends)):
        raise VectorError(f"checkpoints must rise from 1 to the number of shells, {len(shells)}, got {ends}")
    norms = [checks.norms_of(checkpoint.norms, n) for checkpoint in checkpoints]
    tails = np.zeros((depth, nq), dtype=np.float64)
    for line, checkpoint in zip(tails, checkpoints, strict=True):
        if checkpoint.norms is not None:
            if checkpoint.query_tails is None or checkpoint.query_tails.shape != (nq,):
                raise VectorError(f"a checkpoint with norms needs query_tails of shape ({nq},)")
            line[:] = checkpoint.query_tails
    mask = checks.packed_mask(mask, n)
    threads = checks.count("threads", threads, 1)
    if (isa := active()) == "numpy":
        found = reference.reach_int8(
            shells, scales, query_codes, query_scales, margins, thresholds, ends, norms, tails, starts, mask
        )
    else:
        found = dispatch.native.reach_int8(
            isa, list(shells), list(scales), list(query_codes), query_scales, margins, thresholds, starts,
            ends, norms, tails, mask, threads,
        )  # fmt: skip
    return Reached(*(part.view(np.int64) for part in found))  # NumPy knows two types of this size
