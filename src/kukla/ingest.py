"""What ``Index.add`` accepts, as batches: an array, or an iterable of texts, documents and vectors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_vectors
from kukla.document import Document, DocumentId
from kukla.errors import InputError, VectorError
from kukla.storage.store import Batch

__all__ = ["Item", "check_id", "check_text", "make_batches"]

Item = str | Document | Mapping[str, Any] | Sequence[float] | NDArray[np.floating[Any]]
"""A text, a document (or a mapping with its fields), or a vector."""

LONGEST_ID = 1024
LIST_ROWS = 65_536
DEEPEST_METADATA = 100
"""SQLite refuses to read JSON nested 1000 deep (in filters), Python's recursion is limited too."""

_FIELDS = ("id", "text", "metadata", "vector")


@dataclass(slots=True)
class _Rows:
    """Rows collected so far; ``vectors`` holds arrays ``(n, dim)`` or ``None`` for a text to embed."""

    ids: list[DocumentId | None] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    metadata: list[Mapping[str, Any] | None] = field(default_factory=list)
    vectors: list[NDArray[Any] | None] = field(default_factory=list)

    def add(self, document: Document) -> None:
        self.ids.append(document.id)
        self.texts.append(document.text)
        self.metadata.append(document.metadata)
        self.vectors.append(document.vector)


class _Nothing:
    """What the rows of an array say beside their vectors."""

    ids = texts = metadata = None


def make_batches(
    items: NDArray[Any] | Iterable[Item],
    *,
    ids: Iterable[DocumentId] | None,
    texts: Iterable[str | None] | None,
    metadata: Iterable[Mapping[str, Any] | None] | None,
    dim: int,
    prepare: Callable[..., NDArray[np.float32]],
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    rows: int,
) -> Iterator[Batch]:
    """Batches of at most ``rows`` checked rows; ``prepare`` makes of their vectors what is stored.

    ``ids``, ``texts`` and ``metadata``, where given, take the place of what the items say themselves.

    Raises
    ------
    InputError
        Naming the row, counted over all batches, and what is wrong with it.
    """
    done = 0
    for name, values in (("ids", ids), ("texts", texts), ("metadata", metadata)):
        _check_extra(name, values, items)
    extras = [None if extra is None else _iterate(extra) for extra in (ids, texts, metadata)]
    for chunk in _chunks(items, rows):
        count = len(chunk.vectors) if isinstance(chunk, _Rows) else len(chunk)
        given = [None if extra is None else list(islice(extra, count)) for extra in extras]
        for name, part in zip(("ids", "texts", "metadata"), given, strict=True):
            if part is not None and len(part) < count:
                raise InputError(f"{name} ended after {done + len(part)}, but there are more items")
        said = chunk if isinstance(chunk, _Rows) else _Nothing()
        batch_ids = given[0] if given[0] is not None else said.ids
        batch_texts: Sequence[Any] | None = given[1] or said.texts
        batch_metadata: Sequence[Any] | None = given[2] or said.metadata
        if batch_texts is not None:
            batch_texts = [check_text(text, done + i) for i, text in enumerate(batch_texts)]
        if batch_metadata is not None:
            batch_metadata = [encode_metadata(value, done + i) for i, value in enumerate(batch_metadata)]
        array = (
            chunk
            if isinstance(chunk, np.ndarray)
            else _vectors(chunk.vectors, batch_texts or [], dim, done, encode)
        )
        checked = np.atleast_2d(check_vectors(array, dim=dim, first_row=done))
        yield Batch(
            ids=None if batch_ids is None else _check_ids(batch_ids, done),
            vectors=checked,
            texts=batch_texts,
            metadata=batch_metadata,
            prepare=prepare,
            first_row=done,
        )
        done += count
    for name, extra in zip(("ids", "texts", "metadata"), extras, strict=True):
        if extra is not None and next(extra, _END) is not _END:
            raise InputError(f"there are more {name} than items ({done})")


_END = object()


def _iterate(values: Iterable[Any]) -> Iterator[Any]:
    """Arrays as Python's own integers and strings, which are checked many times faster."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return chain.from_iterable(
            values[start : start + LIST_ROWS].tolist() for start in range(0, len(values), LIST_ROWS)
        )
    return iter(values)


def _check_extra(name: str, extra: Any, items: Any) -> None:
    """What can be known before the first batch is written: a single value, or another length."""
    if extra is None:
        return
    if isinstance(extra, str | bytes | Mapping) or not isinstance(extra, Iterable):
        raise InputError(f"{name} must be an iterable with one value for each item, got {extra!r}")
    count = _row_count(items)
    if count is not None and isinstance(extra, Sized) and len(extra) != count:
        raise InputError(f"there are {len(extra)} {name} for {count} items")


def _row_count(items: Any) -> int | None:
    """How many rows there are, where that is known without consuming anything."""
    if isinstance(items, np.ndarray):
        return len(items) if items.ndim == 2 else None
    if isinstance(items, Sequence) and not isinstance(items, str | bytes):
        return sum(len(item) if _is_batch(item) else 1 for item in items)
    return None


def _is_batch(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.ndim == 2


def _chunks(items: NDArray[Any] | Iterable[Item], rows: int) -> Iterator[NDArray[Any] | _Rows]:
    if isinstance(items, str | bytes | Document | Mapping):
        raise InputError(f"add takes many items; put the one {type(items).__name__} into a list")
    if isinstance(items, np.ndarray) and not (items.ndim == 1 and items.dtype.kind in "OU"):
        whole = np.atleast_2d(items)
        for start in range(0, len(whole), rows):
            yield whole[start : start + rows]
        return
    if not isinstance(items, Iterable):
        raise InputError(f"add takes an array or an iterable of items, got {items!r}")
    collected = _Rows()
    done = 0
    for item in items:
        # The rows of small batches are collected too: each batch that leaves here becomes a segment.
        batch: Iterable[Any] = cast("NDArray[Any]", item) if _is_batch(item) else (item,)
        for row in batch:
            collected.add(_document(row, done))
            done += 1
            if len(collected.vectors) >= rows:
                yield collected
                collected = _Rows()
    if collected.vectors:
        yield collected


def _document(item: Any, row: int) -> Document:
    """An item as a document whose vector, if any, is an array of floats."""
    if isinstance(item, str):
        return Document(text=str(item))
    if isinstance(item, Mapping):
        unknown = [key for key in item if key not in _FIELDS]
        if unknown:
            raise InputError(f"row {row} has the field {unknown[0]!r}; allowed: {', '.join(_FIELDS)}")
        document = Document(**{"metadata": {}, **item})
    elif isinstance(item, Document):
        document = item
    else:
        return Document(vector=_vector(item, row))
    return document if document.vector is None else replace(document, vector=_vector(document.vector, row))


def _vector(value: Any, row: int) -> NDArray[np.floating[Any]]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise VectorError(f"row {row}: the vector is ragged ({error})") from None
    if array.ndim == 0:
        raise VectorError(f"row {row} is no text, document or vector: {value!r}")
    if array.dtype.kind != "f":  # stacked with float rows it would pass for one of them
        raise VectorError(
            f"row {row}: a vector must be floats, got dtype {array.dtype}; decode quantised codes first"
        )
    return array


def _vectors(
    vectors: Sequence[NDArray[Any] | None],
    texts: Sequence[str | None],
    dim: int,
    first_row: int,
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
) -> NDArray[Any]:
    """One array of the given vectors and the embedded texts."""
    to_embed: list[str] = []
    for i, (vector, text) in enumerate(zip(vectors, texts, strict=True)):
        if vector is not None and vector.shape != (dim,):
            raise VectorError(f"row {first_row + i}: a vector must have shape ({dim},), got {vector.shape}")
        if vector is None:
            if text is None:
                raise InputError(f"row {first_row + i} has neither a text nor a vector")
            to_embed.append(text)
    if not to_embed:
        return np.stack([vector for vector in vectors if vector is not None])
    embedded = np.asarray(encode(to_embed))
    if embedded.shape != (len(to_embed), dim):
        raise VectorError(
            f"the embedder made vectors of shape {embedded.shape} of {len(to_embed)} texts; "
            f"allowed: ({len(to_embed)}, {dim})"
        )
    if len(to_embed) == len(vectors):
        return embedded
    fresh = iter(embedded)
    return np.stack([next(fresh) if vector is None else vector for vector in vectors])


def _check_ids(ids: Sequence[Any], first_row: int) -> list[int] | list[str] | None:
    types = set(map(type, ids))
    if types == {int} and min(ids) >= -(2**63) and max(ids) < 2**63:
        return cast("list[int]", ids)
    if types == {str} and min(map(len, ids)) > 0 and max(map(len, ids)) <= LONGEST_ID:
        with contextlib.suppress(UnicodeEncodeError):  # said below, with its row
            "".join(ids).encode()
            return cast("list[str]", ids)
    if all(id_ is None for id_ in ids):
        return None
    checked = [check_id(id_, row=first_row + i) for i, id_ in enumerate(ids)]
    for i, id_ in enumerate(checked):
        if type(id_) is not type(checked[0]):
            raise InputError(
                f"row {first_row + i}: ids must be all integers or all strings, got {id_!r} after "
                f"{checked[0]!r}"
            )
    return cast("list[int] | list[str]", checked)


def check_id(id_: Any, *, row: int | None = None) -> DocumentId:
    """An id as int or str, or an ``InputError``."""
    where = "" if row is None else f"row {row}: "
    if isinstance(id_, np.integer):
        id_ = int(id_)
    if isinstance(id_, bool) or not isinstance(id_, int | str):
        raise InputError(f"{where}an id must be an integer or a string, got {id_!r}")
    if isinstance(id_, int) and not -(2**63) <= id_ < 2**63:
        raise InputError(f"{where}an integer id must fit 64 bits, got one of {id_.bit_length() + 1}")
    if isinstance(id_, str):
        if not 0 < len(id_) <= LONGEST_ID:
            raise InputError(f"{where}an id must have 1 to {LONGEST_ID} characters, got {len(id_)}")
        _check_unicode(id_, f"{where}the id")
    # Exact types: subclasses such as numpy.str_ would look like ids of another type.
    return int(id_) if isinstance(id_, int) else str(id_)


def check_text(text: Any, row: int) -> str | None:
    """A text or ``None``, or an ``InputError``."""
    if text is not None:
        if not isinstance(text, str):
            raise InputError(f"row {row}: a text must be a string, got {type(text).__name__}")
        _check_unicode(text, f"row {row}: the text")
        return str(text)
    return None


def encode_metadata(metadata: Any, row: int) -> str | None:
    """Metadata as JSON, or ``None`` where there is none; ``InputError`` for what JSON cannot hold."""
    if not metadata and (metadata is None or isinstance(metadata, Mapping)):
        return None
    if not isinstance(metadata, Mapping):
        raise InputError(f"row {row}: metadata must be a mapping with string keys, got {metadata!r}")
    plain = dict(metadata)
    _check_json(plain, row, 1)
    try:
        encoded = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InputError(f"row {row}: metadata must be JSON ({error})") from None
    _check_unicode(encoded, f"row {row}: the metadata")
    return encoded


def _check_json(value: Any, row: int, depth: int) -> None:
    """What ``json.dumps`` lets through or changes silently, and SQLite cannot read."""
    if isinstance(value, str):
        if "\0" in value:
            raise InputError(f"row {row}: metadata must not hold NUL characters")
    elif isinstance(value, dict | list | tuple):
        if depth > DEEPEST_METADATA:
            raise InputError(f"row {row}: metadata is nested more than {DEEPEST_METADATA} deep")
        for item in value:
            if isinstance(value, dict) and not isinstance(item, str):
                raise InputError(f"row {row}: metadata must be a mapping with string keys, got {item!r}")
            _check_json(item, row, depth + 1)
            if isinstance(value, dict):
                _check_json(value[item], row, depth + 1)


def _check_unicode(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} holds a lone surrogate at character {error.start}: it is not Unicode"
        ) from None
