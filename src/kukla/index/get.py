"""Getting documents back, with the vectors that were added."""

from __future__ import annotations

from sqlite3 import Connection

import numpy as np

from kukla.checks import check_count
from kukla.document import Document, DocumentId
from kukla.errors import NotFoundError
from kukla.index.opened import Ids, Opened, ids_of
from kukla.ingest import check_id
from kukla.nesting import truncate
from kukla.storage.store import View

__all__ = ["documents", "holds"]


def holds(opened: Opened, id_: object) -> bool:
    """Whether there is a document with this id."""
    with opened.store.snapshot() as (_, connection):
        found = connection.execute("SELECT 1 FROM documents WHERE id = ?", (check_id(id_),)).fetchone()
        return found is not None


def documents(opened: Opened, ids: Ids, dim: int | None, with_vectors: bool) -> list[Document]:
    """All of one committed state, in the order of ``ids``: see :meth:`kukla.Index.get`."""
    wanted = ids_of(ids)
    with opened.store.snapshot() as (view, connection):
        return [_document(opened, id_, dim, with_vectors, view, connection) for id_ in wanted]


def _document(
    opened: Opened, id_: DocumentId, dim: int | None, with_vector: bool, view: View, connection: Connection
) -> Document:
    found = opened.store.find(id_, view, connection)
    if found is None:
        raise NotFoundError(f"there is no document with the id {id_!r} in {opened.folder}")
    if not with_vector:
        return Document(id_, found.text, found.metadata)
    settings, stored = opened.settings, found.vector.astype(np.float32)
    if dim is None:
        vector = settings.unprojected(stored[None])[0]
    else:
        vector = truncate(stored, check_count(dim, what="dim", most=settings.nesting.full))
    vector.flags.writeable = False
    return Document(id_, found.text, found.metadata, vector)
