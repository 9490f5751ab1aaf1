"""Recall of shorter vectors: prefixes, and everything a prefix must beat.

All are held against the exact neighbours by full vectors, on the same queries and documents:

=============  ========================================================================================
prefix         the first d coordinates, renormalised: what a Matryoshka model is made for. Of an index whose
               projection says so, this and the next two are scored by the partial dot product instead
random         d coordinates drawn at random, renormalised; the mean over several draws, and their spread
suffix         the last d coordinates, renormalised
pca            the first d principal directions (Hotelling 1933; not centred, as scores are dot products),
               scored by the partial dot product, which ranks better than its renormalised form
projection     d random Gaussian directions (Johnson and Lindenstrauss 1984), renormalised
sign           the signs of the prefix, by Hamming distance
=============  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kukla.evaluate.recall import TOLERANCE
from kukla.profile.sample import Floats, Sample

__all__ = ["Judge", "Ladder", "ladder", "pca_ladder", "within"]


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Recall of each query at ascending dims, float64 ``(dims, queries)``: alone, and of a shortlist."""

    at_k: NDArray[np.float64]
    shortlisted: NDArray[np.float64]


class Judge:
    """Knows the exact neighbours of each query, and that it may not find itself.

    Memory: a few float32 arrays ``(queries, documents)``.
    """

    def __init__(self, sample: Sample, *, k: int) -> None:
        self.k = k
        self.shortlist = max(k, min(10 * k, sample.searched // 4))
        exact = sample.queries @ sample.documents.T
        self._barred = np.zeros(exact.shape, dtype=bool)
        if sample.queries is sample.documents:
            np.fill_diagonal(self._barred, True)
        self.queries_among_documents = 0
        if sample.total_queries is not None:
            # A query that is also a document would find itself at any dim.
            nearest = exact.argmax(axis=1)[:, None]
            same = np.take_along_axis(exact, nearest, axis=1) > 1 - TOLERANCE
            np.put_along_axis(self._barred, nearest, same, axis=1)
            self.queries_among_documents = int(same.sum())
        exact[self._barred] = -np.inf
        self._exact = exact
        self._least = np.partition(exact, -k, axis=1)[:, -k, None] - np.float32(TOLERANCE)

    def recall(self, scores: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """recall@k of each query for scores ``(queries, documents)``, alone and of the shortlist.

        A document whose exact score ties with the k-th counts as found (see ``kukla.evaluate.recall``).
        """
        allowed = np.where(self._barred, np.float32(-np.inf), scores)
        near = np.argpartition(allowed, -self.shortlist, axis=1)[:, -self.shortlist :]
        hits = np.take_along_axis(self._exact, near, axis=1) >= self._least
        best = np.argpartition(np.take_along_axis(allowed, near, axis=1), -self.k, axis=1)[:, -self.k :]
        alone = np.take_along_axis(hits, best, axis=1)
        return alone.sum(axis=1) / self.k, np.minimum(hits.sum(axis=1), self.k) / self.k


def ladder(
    judge: Judge, queries: Floats, documents: Floats, dims: Sequence[int], *, cosine: bool = True
) -> Ladder:
    """Recall at each of the ascending ``dims`` of these coordinates, by cosine or by partial dot product.

    Each dim adds its own shell to the scores of the one before, so a ladder costs as much as its last dim.
    """
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    squares = np.zeros(len(documents), dtype=np.float32)
    alone, shortlisted = [], []
    for low, high in pairwise((0, *dims)):
        shell = documents[:, low:high]
        scores += queries[:, low:high] @ shell.T
        squares += np.einsum("ij,ij->i", shell, shell)
        # The query's own norm changes no ranking. A prefix of zeros has the score 0 with everything.
        inverse = 1 / np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
        at_k, short = judge.recall(np.multiply(scores, inverse, dtype=np.float32) if cosine else scores)
        alone.append(at_k)
        shortlisted.append(short)
    return Ladder(np.array(alone), np.array(shortlisted))


def within(
    judge: Judge, sample: Sample, dim: int, inside: int, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """recall@k of ``dim`` random coordinates out of the first ``inside``: float64 ``(draws, queries)``."""
    columns = [np.sort(rng.permutation(inside)[:dim]) for _ in range(draws)]
    return np.array(
        [
            ladder(judge, sample.queries[:, c], sample.documents[:, c], [dim], cosine=sample.by_cosine).at_k[
                0
            ]
            for c in columns
        ]
    )


def pca_ladder(judge: Judge, sample: Sample, dims: Sequence[int]) -> tuple[Ladder, int]:
    """Recall on principal directions that saw neither the query nor the document, and rows fitted on.

    Without rows to fit on, a document's score comes from the rotation that was fitted without its fold and
    without the query's (cross-fitting); partial dot products of different rotations estimate the same full
    one, so they rank together. Where fewer rows than dims were fitted on, the missing directions count as
    nothing.
    """
    if sample.fit is not None:
        basis = _principal(sample.fit, dims[-1])
        rotated = ladder(judge, sample.queries @ basis, sample.documents @ basis, dims, cosine=False)
        return rotated, len(sample.fit)
    scores = np.zeros((len(dims), len(sample.queries), len(sample.documents)), dtype=np.float32)
    fitted = len(sample.documents)
    bases: dict[frozenset[int], Floats] = {}
    for f in np.unique(sample.query_folds):
        asking = sample.query_folds == f
        for g in np.unique(sample.document_folds):
            out = frozenset((int(f), int(g)))
            if out not in bases:
                kept = sample.documents[~np.isin(sample.document_folds, list(out))]
                bases[out], fitted = _principal(kept, dims[-1]), min(fitted, len(kept))
            basis, found = bases[out], sample.document_folds == g
            queries, documents = sample.queries[asking] @ basis, sample.documents[found] @ basis
            part = np.zeros((len(queries), len(documents)), dtype=np.float32)
            for i, (low, high) in enumerate(pairwise((0, *dims))):
                part += queries[:, low:high] @ documents[:, low:high].T
                scores[i][np.ix_(asking, found)] = part
    recalls = [judge.recall(at_dim) for at_dim in scores]
    return Ladder(np.array([r[0] for r in recalls]), np.array([r[1] for r in recalls])), fitted


def _principal(rows: Floats, count: int) -> Floats:
    """The first ``count`` right singular vectors of ``rows`` as columns, zeros beyond its rank."""
    width = rows.shape[1]
    basis = np.zeros((width, count), dtype=np.float32)
    wide = rows.astype(np.float64)
    if len(rows) < width:  # the smaller of the two Gram matrices has the same eigenvalues
        values, left = np.linalg.eigh(wide @ wide.T)
        values, left = values[::-1], left[:, ::-1]
        rank = min(count, int((values > values[0] * 1e-10).sum()))
        basis[:, :rank] = wide.T @ (left[:, :rank] / np.sqrt(values[:rank]))
    else:
        basis[:] = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :count]
    return basis
