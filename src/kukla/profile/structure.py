"""Do these vectors have any structure? Energy per coordinate, spikes, and a comparison with noise.

Noise is what is left when each coordinate is shuffled among the vectors on its own: every coordinate keeps
its values, so its mean, its spread and its spikes, but nothing that made two vectors alike survives. It is
the null of Horn's parallel analysis (J. L. Horn, Psychometrika 30, 1965), whose largest eigenvalue takes the
place of the Marchenko-Pastur edge without assuming that all coordinates vary alike. Real embeddings have
neighbours far nearer, and cosines far more spread, than their own noise; random vectors are their own noise.

Independent coordinates of very uneven spread are their own noise too, and yet a few of them make
neighbourhoods that a prefix keeps. Only where the energy lies on at least half of the coordinates (by their
participation ratio) is the verdict that these are no embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla.profile.sample import Floats

__all__ = ["Density", "Spike", "Structure", "measure_structure"]

ROWS = 1000
SHUFFLES = 5
SPIKE_TIMES = 10
DENSITY_DRAWS = 500
NOISE_SPREAD = 1.25
"""Centred cosines spread less than this many times those of noise: no structure (with the next)."""
NOISE_NEARER = 0.05
"""... and nearest neighbours are nearer than noise's by less than this share of the way to 1."""
NOISE_FLAT = 0.5
"""... and the centred energy lies on at least this share of the coordinates."""


@dataclass(frozen=True, slots=True)
class Spike:
    """A coordinate with more than ten times the mean energy; shares of all energy, raw and centred."""

    coordinate: int
    raw: float
    centred: float


@dataclass(frozen=True, slots=True)
class Density:
    """Centred energy per coordinate, relative; ``chance`` is what 1 % of random orders exceed."""

    ratio: float
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """What the vectors look like, centred, beside their own noise.

    Parameters
    ----------
    nearest, nearest_noise : float
        The mean cosine of a vector with its nearest neighbour.
    spread, spread_noise : float
        The standard deviation of the cosines of two vectors; for isotropic noise ``1 / sqrt(width)``.
    directions, directions_noise : float
        The participation ratio of the spectrum, ``(sum of eigenvalues)^2 / sum of squares``.
    above_noise : int
        Eigenvalues above the largest of the noise.
    rows : int
        How many vectors these were measured on.
    energy : ndarray of float64, shape (width,)
        The share of each coordinate in the energy after centring; sums to 1.
    raw_energy : ndarray of float64, shape (width,)
        The same before centring.
    spikes : tuple of Spike
        At most five, largest first.
    """

    nearest: float
    nearest_noise: float
    spread: float
    spread_noise: float
    directions: float
    directions_noise: float
    above_noise: int
    rows: int
    energy: NDArray[np.float64]
    raw_energy: NDArray[np.float64]
    spikes: tuple[Spike, ...]

    @property
    def is_independent(self) -> bool:
        """Whether nothing sets the vectors apart from shuffled coordinates."""
        nearer = (self.nearest - self.nearest_noise) / (1 - self.nearest_noise)
        return self.spread < NOISE_SPREAD * self.spread_noise and nearer < NOISE_NEARER

    @property
    def is_noise(self) -> bool:
        """Whether besides no few coordinates weigh more than the many."""
        flat = 1 / (len(self.energy) * float((self.energy**2).sum()))
        return self.is_independent and flat >= NOISE_FLAT

    def density(self, dims: Sequence[int], inside: Sequence[int], rng: np.random.Generator) -> Density:
        """Mean centred energy per coordinate of prefixes of ``dims``, over that of prefixes of ``inside``.

        Spikes are counted as average: they say nothing of the other coordinates.
        """
        energy = self.energy.copy()
        energy[[spike.coordinate for spike in self.spikes]] = np.median(energy)
        found, chance = 0.0, np.zeros(DENSITY_DRAWS)
        for dim, among in zip(dims, inside, strict=True):
            longer = energy[:among] / max(float(energy[:among].mean()), np.finfo(float).tiny)
            found += float(longer[:dim].mean()) / len(dims)
            drawn = rng.permuted(np.tile(longer, (DENSITY_DRAWS, 1)), axis=1)
            chance += drawn[:, :dim].mean(axis=1) / len(dims)
        return Density(found, float(np.quantile(chance, 0.99)))


def measure_structure(rows: Floats, rng: np.random.Generator) -> Structure:
    """Measure unit rows ``(n, width)`` in random order; the noise on at most 1,000 of them."""
    wide_mean = rows.mean(axis=0, dtype=np.float64)
    raw = np.einsum("ij,ij->j", rows, rows, dtype=np.float64) / len(rows)
    centred = np.maximum(raw - wide_mean**2, 0)
    raw, energy = raw / raw.sum(), centred / max(float(centred.sum()), np.finfo(float).tiny)
    part = rows[:ROWS]
    nearest, spread, values = _neighbours(part)
    noise = [_neighbours(rng.permuted(part, axis=0)) for _ in range(SHUFFLES)]
    largest = max(float(shuffled[2].max()) for shuffled in noise)
    spiky = np.flatnonzero(raw > SPIKE_TIMES / len(raw))
    spiky = spiky[np.argsort(-raw[spiky], kind="stable")][:5]
    return Structure(
        nearest=nearest,
        nearest_noise=float(np.mean([shuffled[0] for shuffled in noise])),
        spread=spread,
        spread_noise=float(np.mean([shuffled[1] for shuffled in noise])),
        directions=_participation(values),
        directions_noise=float(np.mean([_participation(shuffled[2]) for shuffled in noise])),
        above_noise=int((values > largest).sum()),
        rows=len(part),
        energy=energy,
        raw_energy=raw,
        spikes=tuple(Spike(int(c), float(raw[c]), float(energy[c])) for c in spiky),
    )


def _neighbours(rows: Floats) -> tuple[float, float, NDArray[np.float64]]:
    """Of centred rows: the mean cosine with the nearest, the spread of cosines, the spectrum."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    gram = centred @ centred.T if len(rows) <= rows.shape[1] else centred.T @ centred
    values = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(float).tiny)
    cosines = centred @ centred.T
    upper = cosines[np.triu_indices(len(rows), 1)]
    np.fill_diagonal(cosines, -1)
    return float(cosines.max(axis=1).mean()), float(upper.std()), values


def _participation(values: NDArray[np.float64]) -> float:
    return float(values.sum() ** 2 / max(float((values**2).sum()), np.finfo(float).tiny))
