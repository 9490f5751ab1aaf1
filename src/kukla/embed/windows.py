"""A stream of documents as windows: what is sorted by length, embedded and written together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kukla.document import Document, DocumentId
from kukla.errors import InputError
from kukla.ingest import check_id, check_text

__all__ = ["Window", "windows"]

MOST_CHARACTERS = 32_000_000
"""A window also ends here, so that long texts cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows ``first`` to ``first + len(documents) - 1``.

    ``digest`` is of ids and texts of this and every window before it: equal digests, equal source so far.
    """

    first: int
    documents: Sequence[Document]
    digest: str

    @property
    def texts(self) -> list[str]:
        """Of the documents, in their order."""
        return [document.text or "" for document in self.documents]

    @property
    def ids(self) -> list[DocumentId]:
        """Of the documents, in their order."""
        return [document.id for document in self.documents if document.id is not None]


def windows(documents: Iterable[Document], rows: int) -> Iterator[Window]:
    """Cut documents into windows of ``rows``; the same documents always give the same windows.

    Raises
    ------
    InputError
        A document has no text, has a vector already, or its id is not of the type of the ids before it; the
        message names the row.
    """
    first = 0
    digest = hashlib.sha256(b"kukla embed 1")
    kind: type | None = None
    collected: list[Document] = []
    characters = 0
    for row, document in enumerate(documents):
        kind = _check(document, row, kind)
        collected.append(document)
        characters += len(document.text or "")
        digest.update(json.dumps([document.id, document.text]).encode())
        if len(collected) >= rows or characters >= MOST_CHARACTERS:
            yield Window(first, collected, digest.hexdigest())
            first, collected, characters = row + 1, [], 0
    if collected:
        yield Window(first, collected, digest.hexdigest())


def _check(document: Document, row: int, kind: type | None) -> type:
    if document.vector is not None:
        raise InputError(f"row {row} has a vector already; allowed: texts")
    if check_text(document.text, row) is None:
        raise InputError(f"row {row} has no text: nothing to embed")
    found = type(check_id(document.id, row=row))
    if kind is not None and found is not kind:
        raise InputError(
            f"row {row}: ids must be all integers or all strings, got {document.id!r} after others"
        )
    return found
