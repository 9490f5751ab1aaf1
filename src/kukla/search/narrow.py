"""Bounds in float32 from int8 codes of queries: those that :func:`kukla.kernels.reach_int8` goes by.

As in :mod:`kukla.search.bounds`, with query codes ``g`` of seven bits and a sign. What these leave out,
``f = q - t g``, is bounded for cosine by Cauchy-Schwarz over the whole prefix, ``|f_p| |x_p| <= |f_p|``: it
is taken from the threshold. For inner products rows have no known length, and Hölder's inequality puts
``127.5 |f|_1`` into the margin of each shell.

**Rounding.** A term ``(dot t + m) s`` is computed with four roundings to float32, and S terms are added with
one each: with ``u = 2^-24`` and ``A = sum over shells of (128 |g|_1 t + m) s``, which no intermediate value
exceeds, the sum is off by at most ``(S + 5) u A``, and the sum with the tail by one rounding more. So
``(S + 8) u (128 |g|_1 t + m)`` more of margin makes the computed bound no less than the real one. The tail's
own roundings are in its factor, those of ``1 - norm^2`` in the kernel's ``UNIT_SQUARE``. Nothing overflows
and little underflows: queries are multiplied by a power of two that makes ``|q|_1`` at most 2^-20, and a
scale ``t`` is 0 or no subnormal number, so that ``dot t`` is none either; the product with ``s`` may be, and
is then off by 2^-150: that is taken from the threshold for each shell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.precision import CODE_MAX
from kukla.search.bounds import FLOAT16, LARGEST, hidden, slack_of
from kukla.storage.layout import Layout

__all__ = ["NarrowBounds"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LENGTH = -20
"""The binary logarithm of what ``|q|_1`` is made to be at most."""

SMALLEST = float(np.finfo(np.float32).smallest_normal)
ROUNDING = 2.0**-24
UNDERFLOW = 2.0**-149


@dataclass(frozen=True, slots=True, eq=False)
class NarrowBounds:
    """Queries coded for bounds in float32.

    Parameters
    ----------
    codes : list of int8 (nq, width), one a shell
    scales : float32 (nq, S)
    margins : float32 (nq, S)
        In units of a row's scale, all roundings included.
    tails : float32 (S, nq)
        Line s is the length of what comes after shell s.
    lost : float64 (S, nq)
        What codes up to shell s leave out of the query, at most, and what underflows.
    slack : float64 (nq,)
        An absolute error that belongs to no shell.
    units : float64 (nq,)
        Powers of two that codes, scales, margins and tails were multiplied by; ``lost`` too, ``slack`` not.
    """

    codes: list[NDArray[np.int8]]
    scales: F32
    margins: F32
    tails: F32
    lost: F64
    slack: F64
    units: F64

    @classmethod
    def of(cls, queries: NDArray[np.float32], layout: Layout) -> NarrowBounds:
        """Bounds of the scores of float32 queries ``(nq, full)`` as they are stored and compared."""
        half_floats = layout.float_precision.bits == 16
        whole = queries.astype(np.float64)
        units = np.ldexp(1.0, LENGTH - np.frexp(np.abs(whole).sum(axis=1))[1])
        exact = whole * units[:, None]
        shells = layout.nesting.shells
        starts = [low for low, _ in shells]

        def summed(values: F64) -> F64:
            """Of each shell, ``(nq, S)``."""
            return np.asarray(np.add.reduceat(values, starts, axis=1))

        sizes = np.abs(exact)
        scales = (np.maximum.reduceat(sizes, starts, axis=1) / CODE_MAX).astype(np.float32)
        scales[scales < SMALLEST] = 0
        steps = np.repeat(scales.astype(np.float64), [high - low for low, high in shells], axis=1)
        codes = np.rint(exact / np.where(steps > 0, steps, np.inf)).clip(-CODE_MAX, CODE_MAX)
        said = codes * steps
        off = exact - said
        said = np.abs(said)
        margins = hidden(summed(np.maximum(sizes, said)), half_floats)
        left = np.zeros_like(margins)
        if layout.cosine:
            # The prefix of a unit vector is no longer than 1, but for rounding.
            left = np.sqrt(np.cumsum(summed(off * off), axis=1)) * (1 + 1e-6 + FLOAT16 * half_floats)
        else:
            margins += (CODE_MAX + 0.5) * summed(np.abs(off))
        margins += (len(shells) + 8) * ROUNDING * (128 * summed(said) + margins)
        rest = np.zeros_like(margins)
        rest[:, :-1] = np.cumsum(summed(exact * exact)[:, :0:-1], axis=1)[:, ::-1]
        narrow = codes.astype(np.int8)
        return cls(
            [np.ascontiguousarray(narrow[:, low:high]) for low, high in shells],
            scales,
            _up(margins),
            np.ascontiguousarray(_up(np.sqrt(rest) * (1 + FLOAT16 * half_floats + 8 * ROUNDING)).T),
            np.ascontiguousarray((left + np.arange(2, len(shells) + 2) * UNDERFLOW).T),
            slack_of(whole, layout),
            units,
        )

    def thresholds(self, scores: NDArray[np.float32]) -> F32:
        """What bounds are compared with, float32 ``(S, nq)``, where a row must reach ``scores`` ``(nq,)``."""
        # Exact scores above the largest float are all infinite, and tie. What is no number rules nothing out.
        needed = np.minimum(
            np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf), LARGEST
        )
        with np.errstate(over="ignore"):
            scaled = ((needed - self.slack) * self.units - self.lost).astype(np.float32)
        return np.nextafter(scaled, np.float32(-np.inf))


def _up(values: F64) -> F32:
    """Rounded to float32, never down."""
    return np.nextafter((values * (1 + 1e-9)).astype(np.float32), np.float32(np.inf))
