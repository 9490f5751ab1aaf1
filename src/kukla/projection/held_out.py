"""What a choice is measured on: documents to search, and queries that nothing is fitted on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kukla.checks import as_float32, check_vectors, normalise
from kukla.errors import InputError, VectorError
from kukla.projection.fit_query_aware import LEAST_QUERIES
from kukla.readers import VectorFile

__all__ = ["Metric", "split"]

_HELD_OUT = 500
_BATCH_ROWS = 8192

Floats = NDArray[np.float32]
Metric = Literal["cosine", "ip"]


def split(
    vectors: NDArray[np.floating[Any]] | VectorFile,
    queries: NDArray[np.floating[Any]] | VectorFile | None,
    sample: int,
    metric: Metric,
    rng: np.random.Generator,
    notes: list[str],
) -> tuple[Floats, Floats, Floats | None]:
    """Documents in random order, held-out queries, and queries for fitting; each vector once.

    A copy of a held-out query among the documents would be found at any dim, whatever the projection, and
    copies of one query would make the intervals too narrow: both are left out, and noted.
    """
    rows = _once(
        _draw(vectors, sample, metric, rng, "vectors", notes), "exact copies of other vectors", notes
    )
    if queries is None:
        held_out = min(_HELD_OUT, len(rows) // 5)
        return rows[held_out:], rows[:held_out], None
    asked = _draw(queries, sample, metric, rng, "queries", notes)
    if asked.shape[1] != rows.shape[1]:
        raise VectorError(f"queries have {asked.shape[1]} dims, the vectors {rows.shape[1]}")
    asked = _once(asked, "exact copies of other queries", notes)
    if len(asked) < 2 * LEAST_QUERIES:
        raise InputError(
            f"choosing a projection needs at least {2 * LEAST_QUERIES} different queries, got {len(asked)}: "
            "half are fitted on, half are held out"
        )
    held_out = min(_HELD_OUT, len(asked) // 2)
    known = set(_as_bytes(asked[:held_out]).tolist())
    others = np.array([row not in known for row in _as_bytes(rows).tolist()], dtype=np.bool_)
    if not others.all():
        notes.append(
            f"{int((~others).sum()):,} held-out queries are among the vectors: none searches itself, those "
            "vectors are left out; real queries differ"
        )
    return rows[others], asked[:held_out], asked[held_out:]


def _once(rows: Floats, what: str, notes: list[str]) -> Floats:
    """One row of each value, in the order they came."""
    distinct = rows[np.sort(np.unique(_as_bytes(rows), return_index=True)[1])]
    if len(distinct) < len(rows):
        notes.append(f"{len(rows) - len(distinct):,} {what} left out")
    return distinct


def _as_bytes(rows: Floats) -> NDArray[np.void]:
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()


def _draw(
    source: NDArray[np.floating[Any]] | VectorFile,
    size: int,
    metric: Metric,
    rng: np.random.Generator,
    what: str,
    notes: list[str],
) -> Floats:
    """At most ``size`` rows in random order, checked, as the index would take them."""
    if not isinstance(source, VectorFile):
        source = check_vectors(source, what=what)
        if source.ndim != 2:
            raise VectorError(f"{what} must be a batch (n, dim), got shape {source.shape}")
    total = source.shape[0]
    chosen = np.sort(rng.choice(total, min(size, total), replace=False))
    if len(chosen) < total:
        notes.append(f"measured on a random {len(chosen):,} of {total:,} {what}")
    if isinstance(source, VectorFile):
        parts, start = [np.empty((0, source.shape[1]), np.float32)], 0
        for batch in source.batches(_BATCH_ROWS):
            low, high = np.searchsorted(chosen, (start, start + len(batch)))
            checked = check_vectors(batch, what=str(source.path), first_row=start)
            parts.append(checked[chosen[low:high] - start])
            start += len(batch)
        rows = np.concatenate(parts)
    else:
        rows = source[chosen]
    prepared = normalise(rows) if metric == "cosine" else as_float32(rows)
    return prepared[rng.permutation(len(prepared))]
