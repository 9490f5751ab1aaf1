"""What ``kukla eval`` searches: documents in an index, queries with ids, and judgements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.cli.output import Bar
from kukla.cli.queries import read_queries
from kukla.cli.sources import ARRAY_SUFFIXES
from kukla.embed import load_embedder
from kukla.errors import InputError
from kukla.index import Index
from kukla.nesting import Nesting
from kukla.precision import Precision
from kukla.progress import Progress
from kukla.readers import Skipped, read_documents, read_vectors
from kukla.readers.beir import open_beir
from kukla.readers.fields import ID_FIELDS
from kukla.readers.qrels import read_qrels
from kukla.readers.tables import TABLE_SUFFIXES, table_rows, text_lines

__all__ = ["Collection", "Paths", "open_collection", "query_ids_by_text"]

_KEPT = (Precision.BINARY, Precision.INT8, Precision.FLOAT32)


@dataclass(frozen=True, slots=True)
class Paths:
    """What the user named."""

    folder: Path | None = None
    index: Path | None = None
    documents: Path | None = None
    document_ids: Path | None = None
    queries: Path | None = None
    query_ids: Path | None = None
    qrels: Path | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """An open index, queries with their ids, judgements, and what was noticed on the way."""

    name: str
    index: Index
    queries: list[str] | NDArray[np.floating[Any]]
    query_ids: list[str]
    qrels: dict[str, dict[str, int]]
    notes: tuple[str, ...]


@contextmanager
def open_collection(
    paths: Paths,
    *,
    dims: Sequence[int] | None,
    precisions: Sequence[str] | None,
    text_field: str | None,
) -> Iterator[Collection]:
    """Open an index, or make one in a temporary folder; judgements and queries are read before it.

    Raises
    ------
    InputError, ReadError
        Parts are missing, or do not belong together.
    """
    if paths.documents is not None and (paths.index is not None or paths.folder is not None):
        raise InputError("--documents, --index and a BEIR folder all name documents: give one of them")
    queries_path, qrels_path, corpus = paths.queries, paths.qrels, paths.documents
    if paths.folder is not None:
        beir = open_beir(paths.folder, corpus=paths.index is None, qrels=paths.qrels)
        queries_path, qrels_path = queries_path or beir.queries, beir.qrels
        corpus = None if paths.index is not None else beir.corpus
    if queries_path is None or qrels_path is None:
        missing = "--queries" if queries_path is None else "--qrels"
        raise InputError(f"{missing} is missing: quality is measured with queries and judgements of them")
    qrels = read_qrels(qrels_path)
    notes: list[str] = []
    queries, ids = _queries(queries_path, paths.query_ids, text_field, notes)
    where = paths.folder or paths.index or paths.documents
    name = "documents" if where is None else where.resolve().name
    if corpus is None:
        if paths.index is None:
            raise InputError("no documents: give a BEIR folder, --index, or --documents")
        with Index.open(paths.index, read_only=True) as index:
            yield Collection(name, index, queries, ids, qrels, tuple(notes))
        return
    with TemporaryDirectory(prefix="kukla-eval-") as scratch:
        kept = tuple(dict.fromkeys([*_KEPT, *map(Precision.parse, precisions or ())]))
        where = Path(scratch) / "collection.kukla"
        make = _index_of_texts if paths.documents is None else _index_of_vectors
        with Bar(f"indexing {corpus.name}") as bar:
            index = make(where, corpus, paths, dims, kept, notes, bar)
        with index:
            if not len(index):
                raise InputError(f"{corpus}: holds no documents")
            yield Collection(name, index, queries, ids, qrels, tuple(notes))


def query_ids_by_text(path: Path, text_field: str | None) -> dict[str, list[str]]:
    """The ids of each text of a file of queries, white space aside.

    Raises
    ------
    InputError, ReadError
    """
    queries, ids = read_queries(path, text_field=text_field)
    if not isinstance(queries, list) or ids is None:
        raise InputError(f"{path}: texts of queries with ids are expected, to find the ids of texts")
    found: dict[str, list[str]] = {}
    for text, id_ in zip(queries, ids, strict=True):
        found.setdefault(" ".join(text.split()), []).append(id_)
    return found


def _index_of_texts(
    where: Path,
    corpus: Path,
    paths: Paths,
    dims: Sequence[int] | None,
    kept: Sequence[Precision],
    notes: list[str],
    progress: Progress,
) -> Index:
    embedder = load_embedder()
    skipped: list[Skipped] = []
    index = Index.create(
        where, embedder=embedder, nesting=_nesting(dims, embedder.space.dim), precisions=kept
    )
    index.add(read_documents([corpus], on_skip=skipped.append, progress=progress))
    if skipped:
        notes.append(f"{len(skipped):,} rows of the corpus are left out, the first: {skipped[0]}")
    notes.append(f"texts embedded by {embedder.space.model}")
    return index


def _index_of_vectors(
    where: Path,
    corpus: Path,
    paths: Paths,
    dims: Sequence[int] | None,
    kept: Sequence[Precision],
    notes: list[str],
    progress: Progress,
) -> Index:
    file = read_vectors(corpus)
    count, dim = file.shape
    ids: Any = None
    if paths.document_ids is not None:
        ids = _ids(paths.document_ids, count, corpus)
    elif file.has_ids:
        ids = [str(id_) for id_ in file.ids()]
    else:
        notes.append(f"{corpus.name} has no ids: documents are called by their row, from 0 (--document-ids)")
    index = Index.create(where, dim=dim, nesting=_nesting(dims, dim), precisions=kept)
    index.add(file.batches(4096), ids=ids, progress=progress)
    return index


def _nesting(dims: Sequence[int] | None, full: int) -> tuple[int, ...] | None:
    if dims is None:
        return None
    if max(dims) > full:
        raise InputError(f"--dims {max(dims)}: the vectors have {full} dims; shorter prefixes are allowed")
    return Nesting(sorted({*dims, full})).dims


def _queries(
    path: Path, ids_path: Path | None, text_field: str | None, notes: list[str]
) -> tuple[list[str] | NDArray[np.floating[Any]], list[str]]:
    queries, ids = read_queries(path, text_field=text_field)
    if ids_path is not None:
        ids = _ids(ids_path, len(queries), path)
    elif ids is None and path.name.lower().endswith(ARRAY_SUFFIXES):
        file = read_vectors(path)
        if file.has_ids:
            ids = [str(id_) for id_ in file.ids()]
        else:
            notes.append(f"{path.name} has no ids: queries are called by their row, from 0 (--query-ids)")
            ids = [str(row) for row in range(len(queries))]
    if ids is None:
        raise InputError(
            f"{path}: judgements name queries by id, and there is no field _id or id (--query-ids)"
        )
    return queries, ids


def _ids(path: Path, count: int, of: Path) -> list[str]:
    """The ids in a table (field _id or id) or one a line."""
    if path.name.lower().endswith(TABLE_SUFFIXES):
        found = []
        for row in table_rows(path):
            name = next((name for name in ID_FIELDS if name in row.fields), None)
            if name is None:
                raise InputError(f"{path}:{row.line}: no field {' or '.join(ID_FIELDS)}")
            found.append(str(row.fields[name]))
    else:
        found = [line.strip() for _, line in text_lines(path) if line.strip()]
    if len(found) != count:
        raise InputError(
            f"{path} holds {len(found):,} ids, {of} holds {count:,} vectors; one for each is expected"
        )
    return found
