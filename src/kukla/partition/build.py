"""From an index's documents to its lists."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError, WriteError
from kukla.partition.codebooks import CODEWORDS
from kukla.partition.train import train_partition
from kukla.progress import Progress
from kukla.storage.lengths import check_segments

if TYPE_CHECKING:
    from kukla.settings import Settings
    from kukla.storage.store import Store, View

__all__ = ["LEAST_DIM", "build", "default_lists"]

LEAST_DIM = 8
LEAST_ROWS_PER_LIST = 8
SAMPLE_PER_LIST = 32
SAMPLE_BYTES = 1 << 30
"""Of float32 vectors that centroids are trained on, at most."""

MOST_LISTS = 1 << 20
LEAST_CODE_BYTES = 8
MOST_CODE_BYTES = 128


def default_lists(documents: int) -> int:
    """Four times the square root. With more lists a query scans fewer rows for the same recall, but it reads
    them in more and smaller pieces, and looks at more centroids: eight times the root was slower
    (``docs/lists.md``)."""
    return max(1, min(round(4 * sqrt(documents)), documents // LEAST_ROWS_PER_LIST))


def build(
    store: Store,
    settings: Settings,
    lists: int | None = None,
    *,
    queries: NDArray[np.float32] | None = None,
    code_bytes: int = 128,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Train a partition on a sample of the documents, and write the lists of all segments.

    Centroids are trained while others read and write; the lists are written as one change.

    Parameters
    ----------
    store, settings
        Of the index.
    lists : int, optional
        0: none, from now on.
    queries : ndarray of float32 (m, full), optional
        As they are compared.
    code_bytes, seed, threads, progress
        See :meth:`kukla.Index.partition`.
    """
    code_bytes = check_count(code_bytes, what="code_bytes", least=LEAST_CODE_BYTES, most=MOST_CODE_BYTES)
    threads = check_count(threads, what="threads", most=1024)
    seed = check_count(seed, what="seed", least=0)
    if code_bytes % 2:
        raise InputError(f"code_bytes must be even, got {code_bytes}")
    if store.catalog.read_only:  # not only after having trained
        raise WriteError(f"{store.folder} was opened read-only")
    view = store.current()
    if lists is not None:
        lists = check_count(lists, what="lists", least=0, most=MOST_LISTS)
    if lists == 0:
        store.partition(None)
        return
    if settings.nesting.full < LEAST_DIM:
        raise InputError(
            f"lists need vectors of at least {LEAST_DIM} dims, these have {settings.nesting.full}"
        )
    wanted = default_lists(view.count) if lists is None else lists
    if view.count < max(LEAST_ROWS_PER_LIST * wanted, CODEWORDS):
        raise InputError(
            f"{view.count:,} documents are too few for {wanted:,} lists: at least {LEAST_ROWS_PER_LIST} a "
            f"list are needed, and {CODEWORDS} in all"
        )
    if queries is not None and not len(queries):
        queries = None
    if not settings.cosine:  # not only after having trained
        check_segments(view)
    rows = _sample(view, wanted, np.random.default_rng(seed))
    made = train_partition(
        rows,
        lists=wanted,
        code_bytes=code_bytes,
        documents=view.count,
        queries=queries,
        cosine=settings.cosine,
        seed=seed,
        progress=progress,
    )
    del rows
    store.partition(made, threads=threads, progress=progress)


def _sample(view: View, lists: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Live rows, spread over all segments."""
    dim = view.segments[0].vectors.shape[1]
    wanted = max(2 * lists, min(SAMPLE_PER_LIST * lists, SAMPLE_BYTES // (4 * dim)))
    parts = []
    for segment, mask in zip(view.segments, view.live, strict=True):
        live = np.arange(segment.rows) if mask is None else np.flatnonzero(mask)
        share = min(len(live), -(-wanted * len(live) // view.count))
        chosen = np.sort(rng.choice(live, share, replace=False))
        parts.append(np.asarray(segment.vectors[chosen], dtype=np.float32))
    return np.concatenate(parts)
