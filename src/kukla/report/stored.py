"""Vectors out of an index, as the model made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["draw_vectors"]


def draw_vectors(index: Index, most: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """At most ``most`` stored vectors, drawn without replacement, in the order of the segments.

    Returns
    -------
    ndarray of float32, shape (n, dim)
        Before any projection; of an inner product index without rows of zeros, which have no direction.
    """
    with index._store.snapshot() as (view, _):
        live = [
            np.arange(segment.rows) if mask is None else np.flatnonzero(mask)
            for segment, mask in zip(view.segments, view.live, strict=True)
        ]
        where = np.repeat(np.arange(len(live)), [len(rows) for rows in live])
        rows = np.concatenate([np.empty(0, dtype=np.int64), *live])
        chosen = np.sort(rng.permutation(len(rows))[:most])
        parts = [
            view.segments[i].vectors[rows[chosen[where[chosen] == i]]].astype(np.float32)
            for i in np.unique(where[chosen])
        ]
    stored = np.concatenate([np.empty((0, index.nesting.full), dtype=np.float32), *parts])
    vectors = index._settings.projection.inverse(stored) if len(stored) else stored
    return vectors[vectors.any(axis=1)]
