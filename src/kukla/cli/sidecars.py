"""What ``kukla embed`` writes beside a file of vectors, read again: ids and the space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from kukla.document import DocumentId
from kukla.embed.to_file import beside
from kukla.errors import InputError, ReadError
from kukla.readers import VectorFile
from kukla.readers.fields import document_id
from kukla.readers.tables import json_rows
from kukla.space import Space

__all__ = ["vector_ids", "vector_space"]


def vector_ids(file: VectorFile) -> Iterator[DocumentId] | None:
    """The ids in a file of vectors, else those of ``NAME.ids.jsonl`` beside it; None without either."""
    if file.has_ids:
        return file.ids()
    path = beside(file.path, "ids.jsonl")
    return _ids(path) if path.is_file() else None


def _ids(path: Path) -> Iterator[DocumentId]:
    for row in json_rows(path):
        yield document_id(row.fields.get("id"), "id", f"{path}:{row.line}")


def vector_space(paths: Sequence[Path], dim: int) -> Space | None:
    """The space that every ``NAME.space.json`` beside ``paths`` states; None where there is none.

    Raises
    ------
    ReadError
        A file is damaged, or of other dims than the vectors.
    SpaceError, InputError
        Two of them differ, or only some of the paths have one.
    """
    found = [(path, beside(path, "space.json")) for path in paths]
    there = [(path, space) for path, space in found if space.is_file()]
    if not there:
        return None
    if len(there) < len(found):
        without = next(path for path, space in found if not space.is_file())
        raise InputError(f"{there[0][1]} says who made {there[0][0]}, but nothing says who made {without}")
    spaces = [_read(space, dim) for _, space in there]
    for (path, _), space in zip(there, spaces, strict=True):
        spaces[0].check_same(space, doing=f"reading {path} together with {there[0][0]}")
    return spaces[0]


def _read(path: Path, dim: int) -> Space:
    try:
        space = Space.from_dict(json.loads(path.read_bytes()))
    except (ValueError, InputError) as error:
        raise ReadError(f"{path}: {error}") from None
    if space.dim != dim:
        raise ReadError(f"{path}: states {space.dim} dims, the vectors have {dim}")
    return space
