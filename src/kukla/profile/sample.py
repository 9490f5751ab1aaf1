"""What a profile looks at: documents and queries, drawn with a seed, and what is kept apart from what.

Three layouts, by what there is:

- up to 1,500 vectors and no queries: each vector is a query once and searches all others. What is fitted
  sees neither the query's fold nor the fold of the document that it scores, of five folds;
- more vectors: 500 held-out vectors are the queries; of the others half are searched, and half are what a
  rotation is fitted on;
- queries given: up to 500 of them; the vectors are searched, and from 1,500 on half are kept for fitting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import check_vectors, normalise, unit_rows
from kukla.errors import InputError, VectorError
from kukla.profile.stored import StoredVectors
from kukla.progress import Progress
from kukla.readers import VectorFile

__all__ = ["LEAST_VECTORS", "Sample", "draw_sample"]

LEAST_VECTORS = 20
LEAST_QUERIES = 10
LEAST_WIDTH = 16
CROSS_VALIDATED = 1500
HELD_OUT_QUERIES = 500
FOLDS = 5
_BATCH_ROWS = 8192
_MAPPED_ROWS = 1024

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Unit vectors, and what may be fitted on which.

    Parameters
    ----------
    queries, documents : ndarray of float32, shapes (q, width) and (m, width)
        Rows of length 1 in random order; the same array where each vector is a query once.
    query_folds, document_folds : ndarray of int, shapes (q,) and (m,)
        What is fitted to score a query and a document uses neither's fold; -1: a query that is no document.
    fit : ndarray of float32, shape (f, width), or None
        Rows that are neither, for fitting; ``None``: fit on the documents of other folds.
    total, total_queries : int
        How many there were before sampling; no ``total_queries``: the queries are held-out vectors.
    notes : tuple of str
        What a reader of the numbers must know.
    by_cosine : bool
        Whether prefixes are ranked by the cosine of renormalised ones, or by the partial dot product.
    """

    queries: Floats
    documents: Floats
    query_folds: NDArray[np.int64]
    document_folds: NDArray[np.int64]
    fit: Floats | None
    total: int
    total_queries: int | None
    notes: tuple[str, ...]
    by_cosine: bool = True

    @property
    def width(self) -> int:
        """The full dim."""
        return int(self.documents.shape[1])

    @property
    def searched(self) -> int:
        """How many documents each query searches: all but itself."""
        return len(self.documents) - (self.queries is self.documents)


def draw_sample(
    vectors: ArrayLike | VectorFile | StoredVectors,
    queries: ArrayLike | VectorFile | None,
    *,
    size: int,
    seed: int,
    progress: Progress | None = None,
) -> Sample:
    """Draw at most ``size`` vectors, without replacement, and lay them out.

    Raises
    ------
    VectorError
        Not floats, NaN, an all-zero row, widths that differ. Only rows that were drawn are looked at.
    InputError
        Fewer than 20 different vectors, 10 queries or 16 dims.
    """
    rng = np.random.default_rng(seed)
    stored = vectors if isinstance(vectors, StoredVectors) else None
    rows, total, notes = _draw(vectors, size, rng, "vectors", progress)
    if rows.shape[1] < LEAST_WIDTH:
        raise InputError(
            f"vectors have {rows.shape[1]} dims; a profile needs at least {LEAST_WIDTH}, to have prefixes"
        )
    if size < total:
        notes.append(
            f"a random sample of {size:,} of {total:,} vectors (seed {seed}); among more, every recall "
            "is lower: neighbours are closer together"
        )
    distinct = _distinct(rows)
    if len(distinct) < len(rows):
        notes.append(f"{len(rows) - len(distinct):,} exact copies of other vectors left out")
    if len(distinct) < LEAST_VECTORS:
        copies = f" ({len(rows):,} with copies)" if len(rows) > len(distinct) else ""
        raise InputError(
            f"a profile needs at least {LEAST_VECTORS} different vectors, got {len(distinct)}{copies}; "
            "50 give a rough answer, 500 a good one"
        )
    by_cosine = stored is None or stored.by_cosine
    if queries is None:
        return replace(_without_queries(distinct, total, notes, rng), by_cosine=by_cosine)
    asked, total_queries, _ = _draw(queries, HELD_OUT_QUERIES, rng, "queries", None)
    width = rows.shape[1] if stored is None else stored.dim_in
    if asked.shape[1] != width:
        raise VectorError(
            f"queries have {asked.shape[1]} dims, the vectors {width}; they must be of one space"
        )
    if stored is not None:
        asked = normalise(stored.prepared(asked))
    if len(asked) < LEAST_QUERIES:
        raise InputError(f"a profile needs at least {LEAST_QUERIES} queries, got {len(asked)}")
    if len(asked) < total_queries:
        notes.append(f"a random {len(asked):,} of {total_queries:,} queries")
    documents, fit = distinct, None
    if len(distinct) > CROSS_VALIDATED:
        documents, fit = np.array_split(distinct, 2)
    folds = rng.integers(0, FOLDS, len(documents)) if fit is None else np.zeros(len(documents), np.int64)
    apart = np.full(len(asked), -1)
    return Sample(asked, documents, apart, folds, fit, total, total_queries, tuple(notes), by_cosine)


def _without_queries(rows: Floats, total: int, notes: list[str], rng: np.random.Generator) -> Sample:
    if len(rows) <= CROSS_VALIDATED:
        folds = rng.permutation(np.arange(len(rows)) % FOLDS)
        notes.append("no queries given: each vector searches all the others; real queries differ")
        return Sample(rows, rows, folds, folds, None, total, None, tuple(notes))
    queries, rest = rows[:HELD_OUT_QUERIES], rows[HELD_OUT_QUERIES:]
    documents, fit = np.array_split(rest, 2)
    notes.append(f"no queries given: {len(queries)} held-out vectors are the queries; real queries differ")
    apart, folds = np.full(len(queries), -1), np.zeros(len(documents), np.int64)
    return Sample(queries, documents, apart, folds, fit, total, None, tuple(notes))


def _distinct(rows: Floats) -> Floats:
    """One row of each value, in the order they came."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return rows[np.sort(np.unique(whole, return_index=True)[1])]


def _draw(
    source: ArrayLike | VectorFile | StoredVectors,
    size: int,
    rng: np.random.Generator,
    what: str,
    progress: Progress | None,
) -> tuple[Floats, int, list[str]]:
    """At most ``size`` rows in random order, normalised; how many there were; and notes on them."""
    if isinstance(source, StoredVectors):
        where, total = source.name, source.total
    elif isinstance(source, VectorFile):
        where, total = str(source.path), source.shape[0]
    else:
        # An array may be a memory map that must not be read through; only its drawn rows are checked, below.
        array = source if isinstance(source, np.ndarray) else check_vectors(source, what=what)
        if array.ndim != 2 or array.dtype.kind != "f":
            check_vectors(array, what=what)  # the message for other dtypes and for more axes
            raise VectorError(f"{what} must be a batch (n, dim), got shape {array.shape}")
        where, total = what, len(array)
    chosen = np.sort(rng.choice(total, size, replace=False)) if total > size else np.arange(total)
    notes: list[str] = []
    if isinstance(source, StoredVectors):
        rows, zeros = source.take(chosen)
        notes = [*source.notes, *([f"{zeros:,} vectors of zeros left out"] if zeros else [])]
    else:
        rows = _pick(source, chosen, progress) if isinstance(source, VectorFile) else np.array(array[chosen])
        if len(rows):
            _check_rows(rows, chosen, where)
    return normalise(rows)[rng.permutation(len(rows))], total, notes


def _pick(
    file: VectorFile, chosen: NDArray[np.int64], progress: Progress | None
) -> NDArray[np.floating[Any]]:
    """Rows of a file: of an npy those alone are read; of others everything passes by, in batches."""
    if file.path.suffix.lower() == ".npy":
        rows = np.empty((len(chosen), file.shape[1]), dtype=file.dtype)
        for start in range(0, len(chosen), _MAPPED_ROWS):
            # Mapped anew each time: pages around every row that was read would stay resident.
            mapped = np.load(file.path, mmap_mode="r", allow_pickle=False).reshape(-1, file.shape[1])
            rows[start : start + _MAPPED_ROWS] = mapped[chosen[start : start + _MAPPED_ROWS]]
        return rows
    parts, start = [np.empty((0, file.shape[1]), file.dtype)], 0
    for batch in file.batches(_BATCH_ROWS):
        first, last = np.searchsorted(chosen, (start, start + len(batch)))
        parts.append(batch[chosen[first:last] - start])
        start += len(batch)
        if progress is not None:
            progress(start, file.shape[0])
    return np.concatenate(parts)


def _check_rows(rows: NDArray[np.floating[Any]], numbers: NDArray[np.int64], what: str) -> None:
    """Refuse NaN and zero rows by the number they have in the source."""
    bad = ~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        check_vectors(rows[row : row + 1], what=what, first_row=int(numbers[row]))
        unit_rows(rows[row : row + 1], first_row=int(numbers[row]), what=f"{what}: the vector")
