"""Intervals: how far a mean over queries, or a difference of two, can be trusted.

Intervals are 95 % percentile intervals of the bootstrap over queries (B. Efron, *Bootstrap Methods: Another
Look at the Jackknife*, Annals of Statistics 7, 1979; 1,000 resamples). They say what other queries of the
same kind would change; not what other documents would.

A difference between the real order of the coordinates and random orders has a second source of chance:
which coordinates happen to come first. Its interval adds the variance over random orders to that over queries
(normal approximation), so an order that is no better than a lucky shuffle does not look like one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bootstrap", "Contrast", "Interval"]

RESAMPLES = 1000
_Z = 1.959964  # 95 %, two-sided


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """The larger of the two sides."""
        return max(self.mean - self.low, self.high - self.mean)

    def __str__(self) -> str:
        if self.half < 0.0005:
            return _short(self.mean)
        return f"{_short(self.mean)}±{_short(self.half)}"


@dataclass(frozen=True, slots=True)
class Contrast:
    """How much better the real order is than random ones.

    ``p`` is the share of random orders that did at least as well, the real one counted among them: the
    one-sided permutation test that the order does not matter.
    """

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


class Bootstrap:
    """Resamples of ``n`` queries, the same for everything that is measured on them."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n

    def interval(self, values: NDArray[np.float64]) -> Interval:
        """The mean of one value a query ``(n,)``, with its percentile interval."""
        low, high = np.percentile(self._weights @ values, (2.5, 97.5))
        mean = float(values.mean())
        # Of a skewed mean near 1 the percentiles can miss the mean itself by a rounding error.
        return Interval(mean, min(float(low), mean), max(float(high), mean))

    def share(self, part: NDArray[np.float64], whole: NDArray[np.float64]) -> Interval | None:
        """``mean(part) / mean(whole)`` of the same queries ``(n,)``, resampled in pairs.

        ``None`` where the whole is 0, or 0 in a resample: then there is nothing to compare with.
        """
        wholes = self._weights @ whole
        if not whole.any() or not wholes.all():
            return None
        mean = float(part.mean() / whole.mean())
        low, high = np.percentile(self._weights @ part / wholes, (2.5, 97.5))
        return Interval(mean, min(float(low), mean), max(float(high), mean))

    def contrast(self, real: NDArray[np.float64], random: NDArray[np.float64]) -> Contrast:
        """The real order ``(n,)`` against random orders ``(orders, n)``."""
        difference = real - random.mean(axis=0)
        of_orders = random.mean(axis=1)
        mean = float(difference.mean())
        variance = float((self._weights @ difference).var()) + float(of_orders.var(ddof=1))
        half = _Z * variance**0.5
        better = 1 + int((of_orders >= real.mean()).sum())
        return Contrast(mean, mean - half, mean + half, better / (1 + len(random)))


def _short(number: float) -> str:
    text = f"{number:.3f}"
    return text.removeprefix("0") if number < 0.9995 else text
