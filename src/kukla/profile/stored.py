"""The vectors of an index as a profile reads them: rows of the mapped float vectors, never all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.errors import ChecksumError, InputError
from kukla.index import Index
from kukla.projection import Identity
from kukla.readers import VectorFile

__all__ = ["StoredVectors"]

Floats = NDArray[np.floating[Any]]
_ROWS = 1024


class StoredVectors:
    """Live rows of one committed state of an index.

    Parameters
    ----------
    index : Index
    raw : bool
        Turn rows back to what they were before the index's projection.

    Raises
    ------
    InputError
        ``raw``, and the projection cannot be undone.
    """

    def __init__(self, index: Index, *, raw: bool = False) -> None:
        self._index, self._raw = index, raw
        self._settings = index._opened.settings
        self._projection = self._settings.projection
        self._projected = type(self._projection) is not Identity
        if raw and self._projected and not self._projection.keeps_scores:
            raise InputError(
                f"the {self._projection.kind} projection of {index.path} is not orthonormal: the vectors "
                "before it cannot be had back; profile the file that they came from"
            )
        with index._opened.store.snapshot() as (view, _):
            self._view = view

    @property
    def name(self) -> str:
        """For messages."""
        return str(self._index.path)

    @property
    def total(self) -> int:
        """How many live rows there are."""
        return self._view.count

    @property
    def dim_in(self) -> int:
        """The width of the queries that fit."""
        return self._settings.dim

    @property
    def by_cosine(self) -> bool:
        """Whether prefixes are ranked by their cosine: as the index's searches do, or for raw rows always."""
        if self._raw and self._projected:
            return True
        return self._settings.renormalises_prefixes or not self._settings.cosine

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        notes = []
        kind = self._projection.kind
        if self._projected and self._raw:
            notes.append(f"vectors as they were before the index's {kind} projection")
        elif self._projected:
            ranked = "cosine" if self.by_cosine else "partial dot product"
            notes.append(
                f"vectors as the index stores them, after its {kind} projection; prefixes ranked by "
                f"{ranked}, as its searches do. Where it was fitted on these documents this flatters: kukla "
                "fit measures what new ones gain"
            )
        if not self._settings.cosine:
            notes.append("the index ranks by inner product; here lengths are left out: all is about cosine")
        return tuple(notes)

    def take(self, chosen: NDArray[np.int64]) -> tuple[Floats, int]:
        """Live rows ``(m, width)`` by ascending number, and how many of zeros were left out.

        Raises
        ------
        ChecksumError
            A row is not finite: :meth:`Index.add` takes no such rows.
        """
        counts = [
            segment.rows if mask is None else int(np.count_nonzero(mask))
            for segment, mask in zip(self._view.segments, self._view.live, strict=True)
        ]
        ends = np.cumsum(counts, dtype=np.int64)
        parts: list[Floats] = [np.empty((0, self._settings.nesting.full), np.float32)]
        for segment, mask, end, count in zip(
            self._view.segments, self._view.live, ends.tolist(), counts, strict=True
        ):
            low, high = np.searchsorted(chosen, (end - count, end))
            rows = chosen[low:high] - (end - count)
            if mask is not None:
                rows = np.flatnonzero(mask)[rows]
            parts += [segment.vectors[rows[i : i + _ROWS]] for i in range(0, len(rows), _ROWS)]
        found = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise ChecksumError(
                f"{self.name}: a stored vector is not finite, so the index is damaged: open it with "
                "verify=True"
            )
        whole = found[found.any(axis=1)]  # an inner product index may hold zeros, which have no direction
        if self._raw and self._projected:
            return self._projection.inverse(whole.astype(np.float32)), len(found) - len(whole)
        return whole, len(found) - len(whole)

    def asked(self, queries: ArrayLike | VectorFile | str | Sequence[str] | None) -> Any:
        """Queries as vectors, or the file of vectors that they are in: texts are embedded by the index."""
        if queries is None or isinstance(queries, VectorFile):
            return queries
        return self._index._opened.raw_queries(queries)

    def prepared(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit query rows ``(q, dim_in)`` in the space of the rows of :meth:`take`."""
        if self._raw or not self._projected:
            return queries
        found: NDArray[np.float32] = self._projection.transform(queries)
        return found
