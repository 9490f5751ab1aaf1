"""Token vectors: those of a model that is there, and what they give with those trained on from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Matrix", "interpolate", "rows_of"]

Matrix = NDArray[np.float32]


def rows_of(folder: Path) -> Matrix:
    """The token vectors of a model folder, float32 (V, D): its int8 rows times their scales."""
    rows = np.load(folder / "vectors.npy").astype(np.float32)
    return np.asarray(rows * np.load(folder / "scales.npy")[:, None], dtype=np.float32)


def interpolate(start: Matrix, trained: Matrix, keep: Sequence[float], dims: Sequence[int]) -> Matrix:
    """Of each shell, ``keep`` of the start and the rest of what was trained.

    ``keep`` is one share, or one for each of ``dims`` in ascending order: of the coordinates from the dim
    before it up to it.
    """
    ends = sorted(dims)
    shares = tuple(keep) * len(ends) if len(keep) == 1 else tuple(keep)
    if len(shares) != len(ends) or not all(0 <= share <= 1 for share in shares):
        raise SystemExit(f"--keep: received {keep}; allowed: one share of 0..1, or {len(ends)}, one a dim")
    of_coordinate = np.repeat(np.array(shares, dtype=np.float32), np.diff([0, *ends]))
    return np.asarray(of_coordinate * start + (1 - of_coordinate) * trained, dtype=np.float32)
