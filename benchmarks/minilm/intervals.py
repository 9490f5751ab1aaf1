"""Means over collections, differences and shares of them, with 95 % intervals paired by query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["RESAMPLES", "Interval", "Resampled", "draws", "resample"]

RESAMPLES = 2000
_SEED = 0

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Resampled:
    """Values of systems on the same resamples: ``means[system]`` is ``(dims, 1 + RESAMPLES)``.

    The first column is of the sample itself; the others are of what was drawn within each collection.
    """

    means: dict[str, np.ndarray]

    def mean(self, system: str, dim: int) -> Interval:
        """Of one system at the place ``dim`` of the dims."""
        return _interval(self.means[system][dim])

    def difference(self, system: str, other: str, dim: int) -> Interval:
        """``system`` minus ``other`` at the same dim, on the same queries."""
        return _interval(self.means[system][dim] - self.means[other][dim])

    def share(self, system: str, dim: int, other: str | None = None) -> Interval:
        """At ``dim``, of whole vectors: its own, or those of another system."""
        return _interval(self.means[system][dim] / self.means[other or system][0])

    def share_difference(self, system: str, other: str, dim: int) -> Interval:
        """How much more of its own whole vectors a system keeps than another of its own."""
        mine, theirs = (self.means[one][dim] / self.means[one][0] for one in (system, other))
        return _interval(mine - theirs)


def draws(count: int) -> np.ndarray:
    """How often each of ``count`` queries is drawn: float64 ``(1 + RESAMPLES, count)``; first, once each."""
    rng = np.random.default_rng(_SEED)
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return np.vstack([np.ones((1, count)), drawn])


def resample(
    sets: Sequence[tuple[int, Callable[[np.ndarray], dict[str, np.ndarray]]]],
) -> Resampled:
    """The mean over sets of what each gives for its draws.

    Parameters
    ----------
    sets : sequence of (int, callable)
        How many queries (or pairs) a set has, and a function from draws to ``(dims, 1 + RESAMPLES)`` of each
        system. Systems that some set lacks are left out.
    """
    found = [values(draws(count)) for count, values in sets]
    common = [name for name in found[0] if all(name in one for one in found)]
    return Resampled({name: np.mean([one[name] for one in found], axis=0) for name in common})


def _interval(values: np.ndarray) -> Interval:
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return float(values[0]), float(low), float(high)
