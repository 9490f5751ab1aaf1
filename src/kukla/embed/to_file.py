"""Texts to a file of vectors, whole or not there; a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kukla.document import Document
from kukla.embed.base import Embedder
from kukla.embed.batches import default_batch_size
from kukla.embed.journal import Journal, open_journal, remove
from kukla.embed.windows import windows
from kukla.errors import InputError, MissingExtraError, WriteError
from kukla.space import Space
from kukla.storage.container import sync_folder

__all__ = ["BATCHES_IN_A_WINDOW", "FILE_SUFFIXES", "Written", "beside", "embed_to_file"]

FILE_SUFFIXES = (".npy", ".parquet")
BATCHES_IN_A_WINDOW = 32
_PARQUET_ROWS = 8192

Report = Callable[[int], None]
"""Called with how many texts were embedded by this run."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did: vectors in the result, and how many of them this run embedded."""

    rows: int
    embedded: int


def beside(path: Path, name: str) -> Path:
    """``vectors.npy`` -> ``vectors.npy.NAME``: what belongs to a file of vectors and has no room in it."""
    return path.with_name(f"{path.name}.{name}")


def embed_to_file(
    documents: Iterable[Document],
    path: Path,
    embedder: Embedder,
    *,
    queries: bool = False,
    precision: str = "float32",
    batch_size: int | None = None,
    window_rows: int | None = None,
    force: bool = False,
    restart: bool = False,
    report: Report | None = None,
) -> Written:
    """Embed the texts of documents into ``path``.

    Parameters
    ----------
    documents : iterable of Document
        With ids and texts; read once, a window at a time. A second run must get the same again.
    path : Path
        ``.npy`` (ids go to ``.ids.jsonl`` beside it) or ``.parquet`` (columns ``id``, ``text``, ``vector``).
        ``.space.json`` beside it says what made the vectors. It appears when it is whole; until then its
        parts are in the folder ``path.partial``.
    embedder : Embedder
    queries : bool
        Embed as queries instead of as documents.
    precision : {"float32", "float16"}
    batch_size : int, optional
        Texts that the model takes at once. Default: the embedder's.
    window_rows : int, optional
        Texts that are sorted by length and written together. Default: 32 batches.
    force : bool
        Replace ``path``.
    restart : bool
        Begin again instead of going on.
    report : callable, optional

    Returns
    -------
    Written

    Raises
    ------
    InputError
        ``path`` exists or has another suffix; the source is not that of the unfinished run; an unfinished
        run has other settings.
    SpaceError, LockedError, WriteError
    """
    suffix = path.suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise InputError(f"{path}: suffix {suffix!r}; allowed: {', '.join(FILE_SUFFIXES)}")
    if path.exists() and not force:
        raise InputError(f"there is something at {path} already; --force replaces it")
    if suffix == ".parquet":
        _import_pyarrow()  # before hours of work, not after
    size = batch_size or default_batch_size(embedder)
    rows = window_rows or size * BATCHES_IN_A_WINDOW
    settings = {"format": suffix, "queries": queries, "batch_size": size, "window": rows}
    encode = embedder.encode_queries if queries else embedder.encode_documents
    folder = path.with_name(path.name + ".partial")
    embedded = 0
    try:
        with open_journal(folder, settings, embedder.space, precision=precision, restart=restart) as journal:
            last = 0
            for window in windows(documents, rows):
                last = window.first + len(window.documents)
                if last <= journal.rows:
                    _check_same_source(journal, last, window.digest)
                    continue
                base = embedded

                def progress(done: int, total: int | None, base: int = base) -> None:
                    if report is not None:
                        report(base + done)

                vectors = encode(window.texts, batch_size=size, progress=progress)
                journal.commit(window, vectors)
                embedded += len(vectors)
            if last < journal.rows:
                raise _other_source(journal, last)
            _finish(journal, path, embedder.space)
            remove(folder)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    return Written(last, embedded)


def _check_same_source(journal: Journal, rows: int, digest: str) -> None:
    if journal.digests.get(rows) != digest:
        raise _other_source(journal, rows)


def _other_source(journal: Journal, rows: int) -> InputError:
    return InputError(
        f"{journal.folder} holds {journal.rows:,} rows of an unfinished run, and the source is not the same "
        f"up to there (row {rows:,} or before it): --restart begins again"
    )


def _finish(journal: Journal, path: Path, space: Space) -> None:
    """Put the result in its place; what lies beside it first, so that vectors never have another's ids."""
    if not journal.rows:
        raise InputError(f"{path}: there are no texts to embed")
    whole = journal.folder / "whole.parquet"
    if path.suffix.lower() == ".parquet":
        _write_parquet(journal, whole, space)
    else:
        journal.complete_header()
        whole = journal.vectors
    path.unlink(missing_ok=True)
    if path.suffix.lower() == ".npy":
        lines = (json.dumps({"id": id_}, ensure_ascii=False) + "\n" for id_, _ in journal.items())
        _write_lines(beside(path, "ids.jsonl"), lines, journal.folder)
    _write_lines(beside(path, "space.json"), [json.dumps(space.to_dict(), indent=1) + "\n"], journal.folder)
    whole.replace(path)
    sync_folder(path.parent)


def _write_lines(path: Path, lines: Iterable[str], folder: Path) -> None:
    partial = folder / path.name
    with partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _write_parquet(journal: Journal, path: Path, space: Space) -> None:
    pyarrow = _import_pyarrow()
    from pyarrow import parquet

    journal.complete_header()
    vectors = np.load(journal.vectors, mmap_mode="r")
    items = journal.items()
    writer: Any = None
    for start in range(0, len(vectors), _PARQUET_ROWS):
        block = vectors[start : start + _PARQUET_ROWS]
        ids, texts = zip(*islice(items, len(block)), strict=True)
        column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.reshape(-1)), block.shape[1])
        kind = pyarrow.int64() if isinstance(ids[0], int) else pyarrow.string()
        table = pyarrow.table(
            {"id": pyarrow.array(ids, kind), "text": pyarrow.array(texts, pyarrow.string()), "vector": column}
        )
        if writer is None:
            schema = table.schema.with_metadata({"kukla.space": json.dumps(space.to_dict())})
            writer = parquet.ParquetWriter(path, schema)
        writer.write_table(table.cast(writer.schema))
    writer.close()
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _import_pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("writing Parquet", "parquet") from None
    return pyarrow
