"""A file of queries: texts or vectors, and their ids where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.cli.sources import ARRAY_SUFFIXES
from kukla.errors import InputError, ReadError
from kukla.readers import read_vectors
from kukla.readers.fields import ID_FIELDS, TEXT_FIELDS, VECTOR_FIELDS
from kukla.readers.tables import TABLE_SUFFIXES, table_rows

__all__ = ["read_queries"]

QUERY_FIELDS = ("query", "question", *TEXT_FIELDS)

Found = tuple[list[str] | NDArray[np.floating[Any]], list[str] | None]


def read_queries(path: Path, *, text_field: str | None = None) -> Found:
    """Queries and their ids.

    Parameters
    ----------
    path : Path
        A file of vectors; a table with a field of vectors, or else of texts; or plain text, one query a line.
    text_field : str, optional
        Default: the first that there is of query, question, text, content, body, document.

    Raises
    ------
    InputError, ReadError
    """
    name = path.name.lower()
    if name.endswith(ARRAY_SUFFIXES):
        return _vectors(path), None
    if not name.endswith(TABLE_SUFFIXES):
        return _lines(path), None
    rows = table_rows(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no queries")
    names = list(first.fields)
    id_field = next((field for field in ID_FIELDS if field in names), None)
    if text_field is None and any(field in names for field in VECTOR_FIELDS) and not name.endswith("sv"):
        ids = None if id_field is None else [str(row.fields[id_field]) for row in table_rows(path)]
        return _vectors(path), ids
    chosen = text_field or next((field for field in QUERY_FIELDS if field in names), None)
    if chosen is None or chosen not in names:
        raise InputError(
            f"{path}: no field {chosen or 'of queries'!r}; the fields are {', '.join(map(repr, names))}: "
            "name one with --text-field"
        )
    texts, ids = [], []
    for row in (first, *rows):
        text = row.fields.get(chosen)
        if not isinstance(text, str) or not text.strip():
            raise ReadError(f"{path}:{row.line}: the field {chosen!r} holds no text: {text!r}")
        texts.append(text)
        ids.append(str(row.fields.get(id_field)) if id_field else "")
    return texts, ids if id_field else None


def _vectors(path: Path) -> NDArray[np.floating[Any]]:
    file = read_vectors(path)
    if not file.shape[0]:
        raise InputError(f"{path} holds no vectors")
    return np.concatenate(list(file.batches(4096)))


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read: {error}") from None
    found = [line for line in lines if line]
    if not found:
        raise InputError(f"{path} holds no queries; one a line is expected")
    return found
