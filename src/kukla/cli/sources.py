"""What ``kukla index`` reads: texts to embed, or vectors that exist already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from kukla.cli.sidecars import vector_ids, vector_space
from kukla.document import Document, DocumentId
from kukla.errors import InputError, ReadError
from kukla.ingest import Item
from kukla.progress import Progress
from kukla.readers import Skipped, VectorFile, read_documents, read_vectors
from kukla.readers.fields import VECTOR_FIELDS
from kukla.readers.tables import TABLE_SUFFIXES, table_rows
from kukla.readers.walk import OnSkip
from kukla.space import Space

__all__ = ["Fields", "Source", "open_source"]

ARRAY_SUFFIXES = (".npy", ".npz", ".fvecs", ".fbin", ".h5", ".hdf5")
"""Files that can hold nothing but vectors."""

BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Fields:
    """What the user said about names inside files."""

    text: str | None = None
    id: str | None = None
    vector: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What ``Index.add`` takes, and the dim of it when no model is needed.

    ``dim`` is ``None`` for texts. ``space`` is what a ``.space.json`` beside vectors says of them.
    """

    items: Iterable[Item]
    ids: Iterable[DocumentId] | None
    dim: int | None
    space: Space | None = None


def open_source(
    paths: Sequence[Path], fields: Fields, *, vectors: bool, on_skip: OnSkip, progress: Progress
) -> Source:
    """Look at the paths and at the first document, and say what there is.

    Parameters
    ----------
    paths : sequence of Path
    fields : Fields
    vectors : bool
        The user said that the paths hold vectors; without it, the suffixes decide.
    on_skip : callable
    progress : callable
        In bytes for documents, in rows for files of vectors.

    Raises
    ------
    InputError
        Texts and vectors are mixed, or there is nothing to index.
    ReadError
    """
    arrays = [path for path in paths if path.name.lower().endswith(ARRAY_SUFFIXES)]
    others = [path for path in paths if path not in arrays]
    if arrays and others:
        raise InputError(
            f"{arrays[0]} holds vectors and {others[0]} does not: index them one after the other, or "
            "into two indexes"
        )
    if arrays:
        return _open_arrays(arrays, fields, progress)
    if fields.key is not None:
        raise InputError(f"--key is for files of vectors ({' '.join(ARRAY_SUFFIXES)}), got {others[0]}")
    vector_field = fields.vector
    if vectors and vector_field is None:
        vector_field = _find_vector_field(others)
    return _open_documents(others, fields, vector_field, on_skip, progress)


def _open_arrays(paths: Sequence[Path], fields: Fields, progress: Progress) -> Source:
    if fields.text or fields.id:
        raise InputError(f"--text-field and --id-field are for tables, got {paths[0]}")
    files = [read_vectors(path, key=fields.key or fields.vector) for path in paths]
    dim = files[0].shape[1]
    given = [vector_ids(file) for file in files]
    for file, its_ids in zip(files, given, strict=True):
        if file.shape[1] != dim:
            raise InputError(f"{file.path} has {file.shape[1]} dims, but {files[0].path} has {dim}")
        if (its_ids is None) != (given[0] is None):
            raise InputError(
                f"of {file.path} and {files[0].path} only one has ids: index both with or without"
            )
    if not any(file.shape[0] for file in files):
        raise InputError(f"nothing to index: {', '.join(map(str, paths))} hold no vectors")
    ids = None if given[0] is None else chain.from_iterable(ids for ids in given if ids is not None)
    return Source(_rows(files, progress), ids, dim, vector_space(paths, dim))


def _rows(files: Sequence[VectorFile], progress: Progress) -> Iterator[Item]:
    total = sum(file.shape[0] for file in files)
    done = 0
    for file in files:
        for batch in file.batches(BATCH_ROWS):
            yield batch
            done += len(batch)
            progress(done, total)


def _find_vector_field(paths: Sequence[Path]) -> str:
    for path in paths:
        if not path.name.lower().endswith(TABLE_SUFFIXES):
            what = "a folder" if path.is_dir() else f"a file with the suffix {path.suffix!r}"
            raise InputError(
                f"{path} is {what}; --vectors takes files: {' '.join((*ARRAY_SUFFIXES, *TABLE_SUFFIXES))}"
            )
        if not path.is_file():
            raise ReadError(f"{path}: no such file")
    first = next(table_rows(paths[0]), None)
    names = list(first.fields) if first is not None else []
    for name in VECTOR_FIELDS:
        if name in names:
            return name
    raise InputError(
        f"{paths[0]}: no field of vectors ({', '.join(VECTOR_FIELDS)}); the fields are "
        f"{', '.join(map(repr, names)) or 'none'}: name one with --vector-field"
    )


def _open_documents(
    paths: Sequence[Path], fields: Fields, vector_field: str | None, on_skip: OnSkip, progress: Progress
) -> Source:
    skipped: list[Skipped] = []

    def skip(what: Skipped) -> None:
        skipped.append(what)
        on_skip(what)

    documents = read_documents(
        paths,
        text_field=fields.text,
        id_field=fields.id,
        vector_field=vector_field,
        on_skip=skip,
        progress=progress,
    )
    first: Document | None = next(documents, None)
    if first is None:
        reasons = "; ".join(str(what) for what in skipped[:3])
        raise InputError(
            f"nothing to index in {', '.join(map(str, paths))}" + (f" (skipped {reasons})" if reasons else "")
        )
    dim = None if first.vector is None else len(first.vector)
    space = None if dim is None else vector_space(paths, dim)
    return Source(_refuse_same_paths(chain([first], documents), paths), None, dim, space)


def _refuse_same_paths(documents: Iterable[Document], paths: Sequence[Path]) -> Iterator[Item]:
    """Pass documents on; two folders with a file of the same relative path would share its ids."""
    current: object = None
    seen: set[object] = set()
    for document in documents:
        path = document.metadata.get("path")
        if path is not None and path != current and str(document.id).startswith(f"{path}#"):
            if path in seen:
                raise InputError(
                    f"{path} is in two of {', '.join(map(str, paths))}; ids are paths below the folder "
                    "that is given, so index the folder above them instead"
                )
            seen.add(path)
            current = path
        yield document
