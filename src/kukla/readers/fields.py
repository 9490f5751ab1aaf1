"""From the row of a table to a document: which field is the id, the text, the vector."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import Document, DocumentId
from kukla.errors import ReadError
from kukla.readers.tables import Row, table_rows
from kukla.readers.walk import OnSkip, Skipped

__all__ = [
    "ID_FIELDS",
    "TEXT_FIELDS",
    "VECTOR_FIELDS",
    "TableFields",
    "document_id",
    "json_vector",
    "row_documents",
]

ID_FIELDS = ("_id", "id")
TEXT_FIELDS = ("text", "content", "body", "document")
VECTOR_FIELDS = ("vector", "embedding", "vectors", "embeddings")


@dataclass(frozen=True, slots=True)
class TableFields:
    """The names the user gave; ``None`` looks for the usual ones in the first row."""

    text: str | None = None
    id: str | None = None
    vector: str | None = None


def row_documents(path: Path, fields: TableFields, skip: OnSkip) -> Iterator[tuple[Document, int]]:
    """Read the documents of one table, each with the bytes of the file read so far.

    The first row decides which fields hold the id and the text; every later row must have them.

    Raises
    ------
    ReadError
        A field is missing or holds what it may not; the message names file, line and field.
    """
    chosen: TableFields | None = None
    dim: int | None = None
    for row in table_rows(path):
        where = f"{path}:{row.line}"
        if chosen is None:
            chosen = _choose(row, fields, where)
            if fields.vector is None:
                _report_vectors(path, row, skip)
        document = _document(path, row, chosen, where)
        if document.vector is not None:
            dim = dim or len(document.vector)
            if len(document.vector) != dim:
                raise ReadError(
                    f"{where}: field {chosen.vector!r} has {len(document.vector)} numbers; "
                    f"the rows before have {dim}"
                )
        if chosen.text is not None and not (document.text or "").strip():
            skip(Skipped(path, f"blank text in field {chosen.text!r}", row.line))
            continue
        yield document, row.bytes_read
    if chosen is None:
        skip(Skipped(path, "no rows"))


def _choose(row: Row, given: TableFields, where: str) -> TableFields:
    for name in (given.text, given.id, given.vector):
        if name is not None:
            _require(row.fields, name, where)
    text = given.text or next((name for name in TEXT_FIELDS if name in row.fields), None)
    if text is None and given.vector is None:
        raise ReadError(
            f"{where}: no text field ({', '.join(TEXT_FIELDS)}); the fields are {_names(row.fields)}: "
            "name one with text_field"
        )
    return TableFields(
        text, given.id or next((name for name in ID_FIELDS if name in row.fields), None), given.vector
    )


def _report_vectors(path: Path, row: Row, skip: OnSkip) -> None:
    # Vectors of an unknown model must not slip into an index, and thousands of numbers are no metadata.
    for name in VECTOR_FIELDS:
        if isinstance(row.fields.get(name), list):
            skip(Skipped(path, f"field {name!r} is left out; name it with vector_field to read it", row.line))


def _document(path: Path, row: Row, chosen: TableFields, where: str) -> Document:
    text = None
    if chosen.text is not None:
        text = _require(row.fields, chosen.text, where)
        if text is not None and not isinstance(text, str):
            raise ReadError(f"{where}: field {chosen.text!r} holds {type(text).__name__}; expected a string")
        title = row.fields.get("title")
        if chosen.text != "title" and isinstance(title, str) and title.strip():
            # BEIR's way. Some documents are a title and nothing more: half of CACM.
            text = f"{title}\n{text}" if text and text.strip() else title
    identity: DocumentId = f"{path.name}#{row.number}"
    if chosen.id is not None:
        identity = document_id(_require(row.fields, chosen.id, where), chosen.id, where)
    vector = None
    if chosen.vector is not None:
        value = _require(row.fields, chosen.vector, where)
        if isinstance(value, str):  # CSV has no lists
            try:
                value = json.loads(value)
            except ValueError:
                raise ReadError(f"{where}: field {chosen.vector!r} is not a JSON list of numbers") from None
        vector = json_vector(value, chosen.vector, where)
    used = {chosen.text, chosen.id, chosen.vector}
    metadata = {
        name: _json_value(value, name, where)
        for name, value in row.fields.items()
        if name not in used and not (name in VECTOR_FIELDS and isinstance(value, list))
    }
    return Document(identity, text, metadata, vector)


def _require(fields: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in fields:
        raise ReadError(f"{where}: no field {name!r}; the fields are {_names(fields)}")
    return fields[name]


def _names(fields: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, fields)) or "none"


def document_id(value: object, name: str, where: str) -> DocumentId:
    """Check that a field holds an id: an integer or a non-empty string.

    Raises
    ------
    ReadError
    """
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return value
    raise ReadError(f"{where}: field {name!r} holds {value!r:.50}; an id is an integer or a non-empty string")


def json_vector(value: object, name: str, where: str) -> NDArray[np.float32]:
    """Check that a field holds a non-empty list of numbers.

    Returns
    -------
    ndarray of float32, shape (dim,)

    Raises
    ------
    ReadError
    """
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else type(value).__name__
        raise ReadError(f"{where}: field {name!r} holds {found}; expected a list of numbers")
    for item in value:
        if type(item) is not float and type(item) is not int:
            raise ReadError(f"{where}: field {name!r} holds {type(item).__name__}; expected only numbers")
    try:
        with np.errstate(over="ignore"):  # what overflows becomes infinite, which the index refuses
            return np.array(value, dtype=np.float32)
    except OverflowError:
        raise ReadError(f"{where}: field {name!r} holds an integer that is no float32") from None


def _json_value(value: Any, name: str, where: str) -> Any:
    """JSON as it is, dates as ISO strings, NaN (a missing number in many tables) as None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ReadError(f"{where}: field {name!r} holds {value}, which JSON cannot store")
        return None if math.isnan(value) else value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, list):
        return [_json_value(item, name, where) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item, f"{name}.{key}", where) for key, item in value.items()}
    raise ReadError(
        f"{where}: field {name!r} holds {type(value).__name__}; metadata is JSON (strings, numbers, true, "
        "false, null, lists, objects), dates and times"
    )
