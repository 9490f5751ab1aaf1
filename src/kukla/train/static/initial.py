"""Where token vectors start: the teacher's vectors of the pieces, on its principal axes, frequent ones short.

Piece by piece as in Model2Vec (Tulkens and van Dongen 2024); weights a/(a+p) of Arora et al. 2017 ("A simple
but tough-to-beat baseline for sentence embeddings", SIF). The teacher's space is rotated to its principal
axes first, so that what the regression aims at is nested from the start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["initial_vectors", "principal_axes", "sif_weights", "targets"]

Matrix = NDArray[np.float32]

_TINY = np.finfo(np.float32).tiny


def principal_axes(vectors: Matrix) -> Matrix:
    """Return the orthonormal rotation (d, d), columns by descending variance about the mean."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(axes[:, ::-1], dtype=np.float32)


def targets(vectors: Matrix, axes: Matrix) -> Matrix:
    """What the regression aims at: ``vectors`` centred, on the principal ``axes``, L2-normalised."""
    rotated = (vectors - vectors.mean(axis=0)) @ axes
    lengths = np.linalg.norm(rotated, axis=1, keepdims=True)
    return np.asarray(rotated / np.maximum(lengths, _TINY), dtype=np.float32)


def sif_weights(counts: NDArray[np.int64], a: float = 1e-3) -> Matrix:
    """Weights a / (a + p(piece)), float32 (V,): frequent pieces say little (Arora et al. 2017)."""
    share = counts / max(int(counts.sum()), 1)
    return np.asarray(a / (a + share), dtype=np.float32)


def initial_vectors(
    pieces: Matrix, axes: Matrix, counts: NDArray[np.int64], dim: int, rng: np.random.Generator
) -> Matrix:
    """Token vectors (V, dim): the teacher's, centred, on its principal axes, SIF-weighted; noise beyond."""
    rotated = (pieces - pieces.mean(axis=0)) @ axes
    rotated = rotated[:, :dim] / max(float(np.linalg.norm(rotated, axis=1).mean()), float(_TINY))
    noise = 0.01 * rng.standard_normal((len(pieces), dim - rotated.shape[1])).astype(np.float32)
    return np.asarray(
        np.concatenate((rotated, noise), axis=1) * sif_weights(counts)[:, None], dtype=np.float32
    )
