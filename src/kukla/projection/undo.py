"""Back through a residual network: which vector was adapted to this one?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError

__all__ = ["undo"]

_TOLERANCE = 1e-5
_ROUNDS = 50

Floats = NDArray[np.float32]


def undo(vectors: Floats, inner: Floats, outer: Floats) -> Floats:
    """Rows ``z`` with ``z + max(z @ inner, 0) @ outer`` equal to ``vectors`` to 1e-5 of their length.

    Where the network moves vectors little, ``z = vectors - moved(z)`` is a contraction and its rounds end at
    the only answer (Behrmann et al. 2019, arXiv 1811.00995, algorithm 1). Rows for which they do not are
    solved by Newton's method, which a piecewise linear map allows (Qi and Sun 1993), in O(dim^3) a row and
    round. It may miss an answer where the network moves vectors by most of their length.

    Raises
    ------
    InputError
        Naming the first row without an answer.
    """
    rows = np.atleast_2d(vectors).astype(np.float32, copy=False)
    allowed = _TOLERANCE * np.linalg.norm(rows, axis=1)
    found = rows.copy()
    missing = np.empty_like(rows)
    open_ = np.arange(len(rows))
    last = np.full(len(rows), np.inf)
    for _ in range(_ROUNDS):
        missing[open_] = rows[open_] - _adapted(found[open_], inner, outer)
        lengths = np.linalg.norm(missing[open_], axis=1)
        # Rows that come no nearer are left to Newton's method.
        going = (lengths > allowed[open_]) & (lengths < last[open_])
        last[open_] = lengths
        open_ = open_[going]
        if not len(open_):
            break
        found[open_] += missing[open_]
    missing = rows - _adapted(found, inner, outer)
    for row in np.flatnonzero(np.linalg.norm(missing, axis=1) > allowed):
        found[row] = _solved(rows[row], inner, outer, float(allowed[row]), int(row))
    return found.reshape(np.shape(vectors))


def _adapted(rows: Floats, inner: Floats, outer: Floats) -> Floats:
    adapted: Floats = rows + np.maximum(rows @ inner, 0) @ outer
    return adapted


def _solved(wanted: Floats, inner: Floats, outer: Floats, allowed: float, row: int) -> Floats:
    """One row by Newton's method, from the row itself."""
    goal = wanted.astype(np.float64)
    first, second = inner.astype(np.float64), outer.astype(np.float64)
    found = goal.copy()
    for _ in range(_ROUNDS):
        missing = goal - found - np.maximum(found @ first, 0) @ second
        if np.linalg.norm(missing) <= allowed / 2:  # float32 rounding comes on top
            return found.astype(np.float32)
        slope = np.eye(len(goal)) + (first * (found @ first > 0)) @ second
        found = found + np.linalg.lstsq(slope.T, missing, rcond=None)[0]
    raise InputError(
        f"row {row} cannot be turned back: no vector was found that the adaptor moves there; ask for the "
        "stored vector, by a dim, or keep the file that the vectors came from"
    )
