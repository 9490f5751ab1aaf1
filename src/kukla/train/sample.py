"""What a projection is learned on: vectors to search, queries to learn from, queries to stop by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import as_float32, check_vectors, normalise
from kukla.errors import InputError, VectorError
from kukla.projection.held_out import Metric
from kukla.readers import VectorFile

__all__ = ["LEAST_PAIRS", "LEAST_QUERIES", "LEAST_VECTORS", "Sample", "draw_sample"]

LEAST_VECTORS = 100
LEAST_QUERIES = 20
LEAST_PAIRS = 50
_MOST_HELD_OUT = 300
_BATCH_ROWS = 8192

Floats = NDArray[np.float32]
Given = NDArray[np.floating[Any]] | VectorFile


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows as an index of the metric takes them; nothing is in two of the three sets.

    ``pairs`` (m, 2) and ``held_out_pairs`` are rows of ``queries`` (or ``held_out``) and of ``documents``.
    ``queries`` has no rows where none were given: then documents are the queries to learn from.
    """

    documents: Floats
    queries: Floats
    held_out: Floats
    pairs: NDArray[np.int64]
    held_out_pairs: NDArray[np.int64]


def draw_sample(
    vectors: Given,
    queries: Given | None,
    pairs: NDArray[np.integer[Any]] | None,
    *,
    metric: Metric,
    size: int,
    rng: np.random.Generator,
) -> Sample:
    """Hold a fifth of the queries out (at most 300); without queries, of the vectors, exact copies removed.

    Of more than ``size`` vectors those in pairs and a random rest are taken; of queries likewise.
    """
    no_pairs = np.empty((0, 2), dtype=np.int64)
    if queries is None:
        if pairs is not None:
            raise InputError("pairs say which query goes with which vector: they need queries, got none")
        rows = _take(vectors, rng.permutation(_count(vectors, "vectors"))[:size], metric, "vectors")
        _, first = np.unique(rows, axis=0, return_index=True)
        rows = rows[np.sort(first)]
        _require(len(rows), LEAST_VECTORS, "different vectors")
        held = min(_MOST_HELD_OUT, len(rows) // 5)
        return Sample(rows[held:], rows[:0], rows[:held], no_pairs, no_pairs)
    total, asked = _count(vectors, "vectors"), _count(queries, "queries")
    _require(total, LEAST_VECTORS, "vectors")
    _require(asked, LEAST_QUERIES, "queries")
    pairs = no_pairs if pairs is None else _check_pairs(pairs, asked, total)
    chosen = _choose(total, np.unique(pairs[:, 1]), size, "vectors", rng)
    order = _choose(asked, np.unique(pairs[:, 0]), size, "queries", rng)
    documents = _take(vectors, chosen, metric, "vectors")
    known = _take(queries, order, metric, "queries")
    if known.shape[1] != documents.shape[1]:
        raise VectorError(f"queries have {known.shape[1]} dims, the vectors {documents.shape[1]}")
    if not len(pairs):
        held = min(_MOST_HELD_OUT, len(known) // 5)
        return Sample(documents, known[held:], known[:held], no_pairs, no_pairs)
    pairs = np.stack([_positions(order, pairs[:, 0]), _positions(chosen, pairs[:, 1])], axis=1)
    paired = rng.permutation(np.unique(pairs[:, 0]))
    _require(len(paired), LEAST_PAIRS, "queries in pairs")
    held_rows = np.sort(paired[: min(_MOST_HELD_OUT, len(paired) // 5)])
    kept = np.setdiff1d(np.arange(len(known)), held_rows)
    is_held = np.isin(pairs[:, 0], held_rows)
    return Sample(
        documents,
        known[kept],
        known[held_rows],
        np.stack([np.searchsorted(kept, pairs[~is_held, 0]), pairs[~is_held, 1]], axis=1),
        np.stack([np.searchsorted(held_rows, pairs[is_held, 0]), pairs[is_held, 1]], axis=1),
    )


def _count(source: Given, what: str) -> int:
    if not isinstance(source, VectorFile) and check_vectors(source, what=what).ndim != 2:
        raise VectorError(f"{what} must be a batch (n, dim), got shape {source.shape}")
    return int(source.shape[0])


def _require(count: int, least: int, what: str) -> None:
    if count < least:
        raise InputError(
            f"a learned projection needs at least {least} {what}, got {count}; a PCA or query-aware rotation "
            "can be fitted on fewer"
        )


def _check_pairs(pairs: NDArray[np.integer[Any]], queries: int, vectors: int) -> NDArray[np.int64]:
    given = np.asarray(pairs)
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu":
        raise InputError(
            "pairs must be integers of shape (n, 2), a row of the queries and a row of the vectors each, got "
            f"{given.dtype} {given.shape}"
        )
    for column, count, what in ((0, queries, "queries"), (1, vectors, "vectors")):
        outside = (given[:, column] < 0) | (given[:, column] >= count)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(
                f"pair {row} names row {given[row, column]} of the {what}; there are {count}, from row 0"
            )
    return np.unique(given.astype(np.int64), axis=0)


def _choose(
    total: int, needed: NDArray[np.int64], size: int, what: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """At most ``size`` row numbers in random order, the needed ones among them."""
    if len(needed) > size:
        raise InputError(f"pairs name {len(needed):,} {what}, the sample may have {size:,}; raise it")
    rest = np.setdiff1d(np.arange(total), needed)
    others = rng.permutation(rest)[: size - len(needed)]
    return rng.permutation(np.concatenate([needed, others]).astype(np.int64))


def _positions(order: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    place = np.argsort(order)
    return place[np.searchsorted(order[place], rows)]


def _take(source: Given, rows: NDArray[np.int64], metric: Metric, what: str) -> Floats:
    """Rows of an array or a file, read once, in the order asked for, checked and prepared."""
    if isinstance(source, VectorFile):
        ascending = np.sort(rows)
        parts, start = [np.empty((0, source.shape[1]), np.float32)], 0
        for batch in source.batches(_BATCH_ROWS):
            low, high = np.searchsorted(ascending, (start, start + len(batch)))
            checked = check_vectors(batch, what=str(source.path), first_row=start)
            parts.append(checked[ascending[low:high] - start])
            start += len(batch)
        taken = np.concatenate(parts)[np.searchsorted(ascending, rows)]
    else:
        taken = check_vectors(source, what=what)[rows]
    return normalise(taken) if metric == "cosine" else as_float32(taken)
