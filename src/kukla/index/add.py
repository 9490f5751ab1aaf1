"""Adding: what was given becomes batches, and each batch one change of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kukla.checks import check_count
from kukla.index.opened import Opened
from kukla.ingest import make_batches
from kukla.progress import Progress
from kukla.space import Space

__all__ = ["add"]

BATCH_BYTES = 1 << 27
LARGEST_BATCH = 65_536
LARGEST_ARRAY_BATCH = 262_144
"""Of rows that are in memory anyway; a segment of so many is never merged."""


def add(
    opened: Opened,
    items: Any,
    ids: Any,
    texts: Any,
    metadata: Any,
    space: Space | None,
    batch_rows: int | None,
    progress: Progress | None,
    *,
    replace: bool,
) -> int:
    """Add or, with ``replace``, upsert; returns how many: see :meth:`kukla.Index.add`."""
    settings = opened.settings
    if space is not None:
        settings.space.check_same(space, doing="adding vectors")
    largest = LARGEST_ARRAY_BATCH if isinstance(items, np.ndarray) else LARGEST_BATCH
    default_rows = max(1, min(largest, BATCH_BYTES // (4 * settings.dim)))
    rows = default_rows if batch_rows is None else check_count(batch_rows, what="batch_rows")
    total = _count(items)
    done = 0
    for batch in make_batches(
        items,
        ids=ids,
        texts=texts,
        metadata=metadata,
        dim=settings.dim,
        prepare=settings.stored,
        encode=lambda batch_texts: opened.embedder.encode_documents(batch_texts),
        rows=rows,
    ):
        done += opened.store.append(batch, replace=replace)
        if progress is not None:
            progress(done, total)
    return done


def _count(items: Any) -> int | None:
    """How many rows there will be, where that is known beforehand."""
    if isinstance(items, np.ndarray):
        return len(np.atleast_2d(items))
    if not isinstance(items, Sequence) or any(getattr(item, "ndim", 1) == 2 for item in items):
        return None
    return len(items)
