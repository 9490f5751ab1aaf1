"""Ids on their way to disk: their order, their sections, and the rows of the catalog."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from sqlite3 import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.storage.catalog import text_checksum
from kukla.storage.container import Section

__all__ = ["id_sections", "insert_documents", "pack_strings", "sorting_order"]

ROWS_PER_STATEMENT = 100
"""Of one INSERT: what SQLite does once a statement costs more than a row. Old versions take 999 values."""


def sorting_order(ids: Sequence[DocumentId] | NDArray[Any]) -> NDArray[np.int64] | None:
    """The order of rows by id; ``None`` where they are in order already."""
    if isinstance(ids, range):  # of our own making, ascending
        return None
    if isinstance(ids[0], str):
        if all(map(operator.le, ids, islice(ids, 1, None))):
            return None
        # NumPy's own string types would cut trailing NULs.
        return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    array = np.array(ids, dtype=np.int64)
    return None if (array[1:] >= array[:-1]).all() else np.argsort(array, kind="stable")


def pack_strings(strings: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """UTF-8 bytes of all strings end to end, and the ``n + 1`` offsets between them."""
    whole = "".join(strings).encode()
    lengths = list(map(len, strings))
    offsets = np.zeros(len(lengths) + 1, dtype=np.uint64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] != len(whole):  # not all ASCII
        np.cumsum([len(string.encode()) for string in strings], out=offsets[1:])
    return offsets, np.frombuffer(whole, dtype=np.uint8)


def id_sections(ids: Sequence[DocumentId] | NDArray[Any]) -> list[Section]:
    """The sections that hold sorted ids, all integers or all strings."""
    if len(ids) == 0 or isinstance(ids[0], str):
        offsets, data = pack_strings([str(id_) for id_ in ids])
        return [_whole("ids.offsets", "<u8", offsets), _whole("ids.bytes", "|u1", data)]
    return [_whole("ids", "<i8", np.asarray(ids, dtype=np.int64))]


def _whole(name: str, dtype: str, array: NDArray[Any]) -> Section:
    return Section(name, dtype, array.shape, lambda: (array,))


def insert_documents(
    connection: Connection,
    first_key: int,
    ids: Sequence[DocumentId],
    texts: Sequence[str | None] | None,
    metadata: Sequence[str | None] | None,
) -> None:
    """Add rows to ``documents``, many to a statement; ``None``: no document has a text, or metadata.

    Raises
    ------
    sqlite3.IntegrityError
        An id is there already. The rows before it, in the order given, were inserted: the caller rolls back.
    """
    keys = range(first_key, first_key + len(ids))
    values: Iterable[Iterable[Any]]
    if texts is None and metadata is None:
        row, values = "(?, ?, NULL, NULL, ?)", zip(keys, ids, _checksums(ids), strict=True)
    else:
        nothing = [None] * len(ids)
        texts, metadata = texts or nothing, metadata or nothing
        checksums = (
            text_checksum(str(id_), text, json) for id_, text, json in zip(ids, texts, metadata, strict=True)
        )
        row, values = "(?, ?, ?, ?, ?)", zip(keys, ids, texts, metadata, checksums, strict=True)
    flat, width = chain.from_iterable(values), row.count("?")
    while part := list(islice(flat, ROWS_PER_STATEMENT * width)):
        rows = ", ".join([row] * (len(part) // width))
        # FAIL, unlike the default, keeps no journal of what this one statement changed: three times as fast.
        connection.execute(f"INSERT OR FAIL INTO documents VALUES {rows}", part)


def _checksums(ids: Sequence[DocumentId]) -> Iterable[int]:
    """``text_checksum(str(id), None, None)`` of each id."""
    form = b"\1%b\0\0" if isinstance(ids[0], str) else b"\1%d\0\0"
    return (zlib.crc32(form % (id_.encode() if isinstance(id_, str) else id_)) for id_ in ids)
