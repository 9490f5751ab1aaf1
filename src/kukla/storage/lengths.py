"""How long vectors may be in an index with lists, whose estimates are float32."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.errors import VectorError

if TYPE_CHECKING:
    from kukla.storage.store import View

__all__ = ["LONGEST", "check_lengths", "check_segments"]

LONGEST = 1e18
"""Dot products of two longer vectors may be beyond float32, which ends at 3.4e38."""

BLOCK_ROWS = 8192


def check_lengths(vectors: NDArray[np.floating[Any]], ids: Iterable[DocumentId]) -> None:
    """Raise ``VectorError`` naming the first document, of these ids, that is too long for lists."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    if (squares > LONGEST**2).any():
        row = int(np.argmax(squares > LONGEST**2))
        id_ = next(islice(ids, row, None))
        raise VectorError(
            f"lists need vectors of a length of at most {LONGEST:g}; that of document {id_!r} is "
            f"{np.sqrt(squares[row]):.3g}"
        )


def check_segments(view: View) -> None:
    """The same of all live rows of an index."""
    for segment, mask in zip(view.segments, view.live, strict=True):
        rows = np.arange(segment.rows) if mask is None else np.flatnonzero(mask)
        for start in range(0, len(rows), BLOCK_ROWS):
            part = rows[start : start + BLOCK_ROWS]
            check_lengths(segment.vectors[part], map(segment.id_at, part.tolist()))
