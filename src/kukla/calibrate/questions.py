"""The queries of a calibration: given ones, or documents that search all the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from kukla.checks import normalise
from kukla.errors import InputError
from kukla.evaluate.recall import ExactAnswers, exact_answers

if TYPE_CHECKING:
    from kukla.index import Index, Queries
    from kukla.plan import Plan

__all__ = ["Questions", "document_questions", "given_questions"]

DOCUMENT_QUERIES = 1000
"""So many documents are drawn when there are no queries."""

_ITSELF = 1 - 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Query vectors, and the document that each is, if it is one.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Before any projection, of length 1.
    rows : ndarray of int64, shape (n,)
        Which of the queries that were given.
    own : ndarray, shape (n,), or None
        Ids of the documents that the queries are: none finds itself.
    notes : tuple of str
    """

    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]
    own: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, chosen: NDArray[np.int64]) -> Questions:
        """These of them."""
        own = None if self.own is None else self.own[chosen]
        return replace(self, vectors=self.vectors[chosen], rows=self.rows[chosen], own=own)

    def find(self, index: Index, k: int, plan: Plan, threads: int) -> NDArray[Any]:
        """Ids ``(n, min(k, others))`` of the best ``k`` by ``plan``, best first."""
        return self.find_with_gaps(index, k, plan, threads)[0]

    def find_with_gaps(
        self, index: Index, k: int, plan: Plan, threads: int
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The same, and the gaps of the searches: :meth:`kukla.search.certificate.Evidence.gaps`."""
        found = index.search(self.vectors, k + (self.own is not None), plan=plan, threads=threads)
        ids = found.ids if self.own is None else _others(found.ids, found.ids, self.own)
        return ids, found.evidence.gaps()

    def truth(self, index: Index, k: int, threads: int) -> ExactAnswers:
        """What exact search finds."""
        if self.own is None:
            return exact_answers(index, self.vectors, k=k, threads=threads)
        found = exact_answers(index, self.vectors, k=k + 1, threads=threads)
        scores = cast("NDArray[np.float32]", _others(found.scores, found.ids, self.own))
        return ExactAnswers(_others(found.ids, found.ids, self.own), scores, k)


def given_questions(index: Index, queries: Queries, truth_of_cosine: bool) -> Questions:
    """Queries as a user gives them, each once.

    Raises
    ------
    InputError, VectorError
    """
    vectors = normalise(index._opened.raw_queries(queries))
    if not len(vectors):
        raise InputError("a calibration needs queries, got none")
    _, first = np.unique(vectors, axis=0, return_index=True)
    rows = np.sort(first)
    notes = []
    if len(rows) < len(vectors):
        # A copy on both sides of the split would be no new query.
        notes.append(f"{len(vectors) - len(rows):,} queries that were given before are left out")
    found = Questions(vectors[rows], rows)
    if truth_of_cosine and len(index):
        best = index.search(found.vectors, 1).scores[:, 0]
        same = int((best >= _ITSELF).sum())
        if same:
            notes.append(
                f"{same:,} queries are vectors of documents and find themselves, as real ones do not"
            )
    return replace(found, notes=tuple(notes))


def document_questions(index: Index, rng: np.random.Generator) -> Questions:
    """Documents drawn at random, each to search all the others: an estimate."""
    with index._opened.store.snapshot() as (view, _):
        live = [
            np.arange(segment.rows) if mask is None else np.flatnonzero(mask)
            for segment, mask in zip(view.segments, view.live, strict=True)
        ]
        where = np.repeat(np.arange(len(live)), [len(rows) for rows in live])
        rows = np.concatenate([np.empty(0, dtype=np.int64), *live])
        chosen = np.sort(rng.permutation(len(rows))[:DOCUMENT_QUERIES])
        parts = [(view.segments[i], rows[chosen[where[chosen] == i]]) for i in np.unique(where[chosen])]
        if not parts:
            raise InputError("a calibration needs documents; the index is empty")
        own = np.concatenate([segment.ids(picked) for segment, picked in parts])
        stored = np.concatenate([segment.vectors[picked] for segment, picked in parts]).astype(np.float32)
    vectors = index._opened.settings.projection.inverse(stored)
    kept = np.flatnonzero(vectors.any(axis=1))  # an inner product index may hold zeros
    _, first = np.unique(vectors[kept], axis=0, return_index=True)
    kept = kept[np.sort(first)]
    note = "estimated: documents are the queries, none finds itself; real queries differ, calibrate with them"
    return Questions(normalise(vectors[kept]), kept, own[kept], (note,))


def _others(values: NDArray[Any], ids: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """Each row without the column of its own id, or without its last where that is not there."""
    if not ids.shape[1]:
        return values
    itself = ids == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    return np.asarray(values[~itself].reshape(len(ids), -1))
