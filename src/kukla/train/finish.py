"""From trained columns to a rotation: in-between dims and the rest of the space get an order too."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kukla.projection.moments import directions

__all__ = ["complete"]


def complete(
    columns: NDArray[np.float32], dims: tuple[int, ...], moments: NDArray[np.float64]
) -> NDArray[np.float32]:
    """A square orthonormal matrix whose prefixes span what those of ``columns`` span at each of ``dims``.

    Training sees only the spans at ``dims``. Inside a shell, and after the last of them, any rotation scores
    the same there; the principal directions of ``moments`` make the dims in between good as well.

    Parameters
    ----------
    columns : ndarray of float32, shape (width, dims[-1])
        Orthonormal to float32 rounding.
    moments : ndarray of float64, shape (width, width)

    Returns
    -------
    ndarray of float32, shape (width, width)
        Orthonormal to float32 rounding, whatever rounding the training left.
    """
    width = len(columns)
    q, r = np.linalg.qr(columns.astype(np.float64), mode="complete")
    basis = q.copy()
    basis[:, : columns.shape[1]] *= np.where(np.diag(r) < 0, -1.0, 1.0)
    shells = pairwise(sorted({0, *dims, width}))
    parts = []
    for low, high in shells:
        shell = basis[:, low:high]
        parts.append(shell @ directions(shell.T @ moments @ shell).astype(np.float64))
    # Once more: the directions are float32.
    joined = np.hstack(parts)
    q, r = np.linalg.qr(joined)
    return np.ascontiguousarray(q * np.where(np.diag(r) < 0, -1.0, 1.0), dtype=np.float32)
