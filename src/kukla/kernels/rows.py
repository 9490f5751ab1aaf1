"""The kernels of adding: rows become unit rows, and what a segment keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.kernels import dispatch
from kukla.kernels.dispatch import active

__all__ = ["encode_rows", "unit_queries", "unit_rows"]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]


def unit_rows(rows: Array, out: F32) -> int:
    """Divide rows by their lengths, as far as that needs no thought.

    Parameters
    ----------
    rows : float32 or float64 (n, dim), C-contiguous
    out : float32 (n, dim), C-contiguous

    Returns
    -------
    int
        n; or the first row that was not written: one with NaN or infinity, of zeros, or whose squares are
        beyond float64. 0 where there is no native code: :func:`kukla.checks.unit_rows` does the same to the
        bit, and the rest.
    """
    return 0 if (isa := active()) == "numpy" else dispatch.native.unit_rows(isa, rows, out)


def unit_queries(isa: str, queries: Array, dim: int) -> F32 | None:
    """Queries as new unit rows, for a search that has microseconds.

    Parameters
    ----------
    isa : str
        What `active` said: asking it takes as long as all of this.
    queries : array (dim,) or (n, dim)

    Returns
    -------
    float32 (n, dim), or ``None`` where something needs a closer look
        Another dtype, shape or layout, a row that `unit_rows` leaves out, or no native code.
    """
    rows = queries[None] if queries.ndim == 1 else queries
    if isa == "numpy" or rows.ndim != 2 or rows.shape[1] != dim:
        return None
    out = np.empty(rows.shape, dtype=np.float32)
    try:
        done = dispatch.native.unit_rows(isa, rows, out)
    except TypeError:  # float32 and float64 as they are in memory, and nothing else
        return None
    return out if done == len(rows) else None


def encode_rows(
    rows: F32,
    dims: Sequence[int],
    *,
    norms: Sequence[F32] = (),
    bits: Sequence[Array] = (),
    codes: Sequence[Array] = (),
    scales: Sequence[F32] = (),
) -> bool:
    """Write what a segment keeps beside the floats of finite rows, in one pass over them.

    Parameters
    ----------
    rows : float32 (n, dims[-1]), C-contiguous
    dims : sequence of int
        Those of the nesting, ascending.
    norms : sequence of float32 (n,)
        Written: the lengths of prefixes, of as many dims as there are arrays, from the first on.
    bits : sequence of uint8 (n, ceil(width / 8))
        Written: sign bits, one array a shell, or none at all.
    codes, scales : sequence of int8 (n, width) and of float32 (n,)
        Written: int8 codes and what one of them is worth, one array a shell, or none at all.

    Returns
    -------
    bool
        Whether it was done: not where there is no native code. :func:`kukla.nesting.prefix_norms`,
        :func:`kukla.precision.pack_signs` and :func:`kukla.precision.encode_int8` do the same to the bit.
        All results, and the rows, are C-contiguous arrays of exactly these dtypes. O(n * dims[-1]).
    """
    if (isa := active()) == "numpy":
        return False
    dispatch.native.encode_rows(isa, rows, dims, norms, bits, codes, scales)
    return True
