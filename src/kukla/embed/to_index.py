"""Texts straight into an index; what is there already is not embedded again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kukla.document import Document
from kukla.embed.base import Embedder
from kukla.embed.batches import default_batch_size
from kukla.embed.to_file import BATCHES_IN_A_WINDOW, Report, Written
from kukla.embed.windows import windows
from kukla.errors import InputError
from kukla.index import Index

__all__ = ["embed_to_index"]


def embed_to_index(
    documents: Iterable[Document],
    index: Index,
    embedder: Embedder,
    *,
    batch_size: int | None = None,
    window_rows: int | None = None,
    report: Report | None = None,
) -> Written:
    """Embed documents and add them, a window at a time, each visible at once and as a whole.

    A document whose id is in the index with the same text and metadata is passed over: a run that was
    killed goes on where it was.

    Parameters
    ----------
    documents, embedder, batch_size, window_rows, report
        As in :func:`kukla.embed.to_file.embed_to_file`.
    index : Index
        Opened with this embedder.

    Raises
    ------
    InputError
        An id is in the index, or twice in the source, with another text or metadata. Windows before stay.
    """
    size = batch_size or default_batch_size(embedder)
    rows = embedded = 0
    for window in windows(documents, window_rows or size * BATCHES_IN_A_WINDOW):
        rows += len(window.documents)
        new = _new(window.documents, index)
        if not new:
            continue
        base = embedded

        def progress(done: int, total: int | None, base: int = base) -> None:
            if report is not None:
                report(base + done)

        vectors = embedder.encode_documents(
            [document.text or "" for document in new], batch_size=size, progress=progress
        )
        pairs = zip(new, vectors, strict=True)
        index.add([replace(document, vector=vector) for document, vector in pairs], batch_rows=len(new))
        embedded += len(new)
    if not rows:
        raise InputError("there are no texts to embed")
    return Written(rows, embedded)


def _new(documents: Iterable[Document], index: Index) -> list[Document]:
    """The documents that the index does not have, each once."""
    new: dict[Any, Document] = {}
    for document in documents:
        there = new.get(document.id)
        if there is None and document.id is not None and document.id in index:
            there = index.get([document.id], vectors=False)[0]
        if there is None:
            new[document.id] = document
        elif there.text != document.text or _json(there.metadata) != _json(document.metadata):
            raise InputError(
                f"the id {document.id!r} has another text or metadata already; kukla index --upsert replaces "
                "documents, --to another index keeps both"
            )
    return list(new.values())


def _json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), sort_keys=True)
