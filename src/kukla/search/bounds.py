"""Bounds of exact scores: what codes, scales and prefix norms leave possible.

A stored coordinate is within half a step of its code (`precision.encode_int8`), so for one shell, with the
row's scale ``s`` and query codes ``g`` of scale ``t`` that leave out ``f = q - t g``,

    <q, x>  <=  s (t <g, c> + margin),    margin = |q|_1 / 2 + 127 |f|_1,

by Hölder's inequality and ``|c| <= 127``. What lies beyond a prefix is at most ``|q_tail| |x_tail|``
(Cauchy-Schwarz), where a unit vector's tail follows from the stored norm of its prefix.

:mod:`kukla.search.narrow` has the same bounds of shorter query codes, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.nesting import Nesting
from kukla.precision import CODE_MAX, encode_query_int8
from kukla.storage.layout import Layout

__all__ = ["FLOAT16", "FLOAT16_STEP", "LARGEST", "QueryBounds", "hidden", "slack_of"]

ROUNDING = 2.0**-15
"""Of ``|q|_1`` in units of a row's scale: both scores of a comparison are rounded to float32, 2^-24 of at
most 127.5 units each; twice that, to be safe."""

FLOAT16 = 2.0**-11
"""How far float16 lies from the float32 value that was coded, relative to it."""

FLOAT16_STEP = 2.0**-25
"""The same for the smallest numbers, absolutely."""

UNDERFLOW = 2.0**-148
"""Scores too small for float32 are rounded by at most half of its smallest number, 2^-149; both of a pair."""

LARGEST = float(np.finfo(np.float32).max)
"""Exact scores above it are all infinite, and so tie."""

SLACK = 1e-6
"""What unit vectors' lengths, norms and float32 scores are off together."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryBounds:
    """How far the scores of int8 stages may be off.

    Parameters
    ----------
    margins : float64 (nq, S)
        In units of a row's scale.
    tails : float64 (S, nq)
        Line s is the length of what comes after shell s, once what float16 rounds away was added.
    slack : float64 (nq,)
        An absolute error that belongs to no shell.
    """

    margins: NDArray[np.float64]
    tails: NDArray[np.float64]
    slack: NDArray[np.float64]

    @classmethod
    def of(cls, queries: NDArray[np.float32], layout: Layout) -> QueryBounds:
        """Bounds of the scores of float32 queries ``(nq, full)`` as they are stored and compared."""
        nesting: Nesting = layout.nesting
        half_floats = layout.float_precision.bits == 16
        exact = queries.astype(np.float64)
        margins, tails = [], []
        for low, high in nesting.shells:
            shell = exact[:, low:high]
            coded, scale = encode_query_int8(queries[:, low:high])
            lost = np.abs(shell - coded * scale[:, None]).sum(axis=1)
            length = np.abs(shell).sum(axis=1)
            margins.append((hidden(length, half_floats) + CODE_MAX * lost) * (1 + 1e-9))
            rest = exact[:, high:]
            tails.append(np.sqrt(np.einsum("ij,ij->i", rest, rest)) * (1 + FLOAT16 * half_floats + 1e-9))
        return cls(np.ascontiguousarray(np.stack(margins, axis=1)), np.stack(tails), slack_of(exact, layout))


def hidden(length: NDArray[np.float64], half_floats: bool) -> NDArray[np.float64]:
    """What codes of rows may hide from a query with ``|q|_1 = length``, in units of their scale."""
    return np.asarray((0.5 + ROUNDING + (CODE_MAX + 0.5) * FLOAT16 * half_floats) * length)


def slack_of(queries: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
    """The error of scores that belongs to no shell, of queries ``(nq, full)``."""
    half_floats = layout.float_precision.bits == 16
    slack = FLOAT16_STEP * half_floats * np.abs(queries).sum(axis=1)
    return np.asarray(slack + (SLACK if layout.cosine else UNDERFLOW))
