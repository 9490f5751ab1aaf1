"""The store: catalog and segments together, one atomic change at a time.

A change writes its new segment files first and then commits the catalog that names them. Whatever a killed
process leaves behind is a file that no catalog names; the next writer removes it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection, IntegrityError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    InputError,
    TruncatedFileError,
    VectorError,
    WriteError,
)
from kukla.partition.lists import SegmentLists
from kukla.partition.model import Partition
from kukla.progress import Progress
from kukla.storage.catalog import Catalog, put_setting
from kukla.storage.container import Block, Section, verify_container, write_container
from kukla.storage.ids import insert_documents
from kukla.storage.layout import Layout, batch_sections
from kukla.storage.lengths import check_segments
from kukla.storage.partitions import Partitions
from kukla.storage.segment import Segment, merged_sections, segment_path

__all__ = ["Batch", "Store", "View"]

MERGE_FACTOR = 8
"""So many segments of about the same size are merged into one: each row is rewritten log8(n) times."""

SMALL_SEGMENT = 256
"""Rows below which all segments count as one size: a search costs more for each segment than for its rows."""

LARGEST_MERGE = 1 << 18
"""Rows above which a segment is left alone until ``compact``."""

LARGEST_MERGE_BYTES = 1 << 27
"""Bytes from which a segment is left alone too: one more costs a search far less than reading it."""

OPEN_ATTEMPTS = 5

LARGEST_DELETED = "largest_deleted_id"
"""The setting that keeps integer ids from being given out twice."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to write together: ids (``None``: number them), vectors, texts and metadata JSON (``None``: none).

    ``prepare(vectors, first_row=...)`` makes of finite vectors what is stored; ``first_row`` is the number of
    the first one in messages.
    """

    ids: Sequence[int] | Sequence[str] | None
    vectors: NDArray[np.floating[Any]]
    texts: Sequence[str | None] | None
    metadata: Sequence[str | None] | None
    prepare: Callable[..., NDArray[np.float32]]
    first_row: int = 0

    def stored(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Some vectors as they are stored: float32, C-contiguous; ``VectorError`` naming a row."""
        if isinstance(rows, slice):
            found = self.prepare(self.vectors[rows], first_row=self.first_row + rows.start)
            return np.ascontiguousarray(found)
        try:
            return np.ascontiguousarray(self.prepare(self.vectors[rows], first_row=self.first_row))
        except VectorError:
            self.prepare(self.vectors, first_row=self.first_row)  # names the row by its place in the input
            raise


@dataclass(frozen=True, slots=True)
class Found:
    """One stored document: its text and metadata, and its stored vector (a view of the map)."""

    text: str | None
    metadata: dict[str, Any]
    vector: NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class View:
    """The segments of one committed state, and which of their rows are live (``None``: all).

    ``lists`` are those of each segment, ``None`` where there are none; ``partition`` is what made them.
    ``earlier_lists``: there are lists, but of an earlier version of Kukla, and so they are not used.
    """

    segments: tuple[Segment, ...]
    live: tuple[NDArray[np.bool_] | None, ...]
    count: int
    partition: Partition | None = None
    lists: tuple[SegmentLists | None, ...] = ()
    earlier_lists: bool = False

    @property
    def starts(self) -> NDArray[np.int64]:
        """The number of the first row of each segment, and one past the last row of all."""
        return np.cumsum([0, *(segment.rows for segment in self.segments)])


class Store:
    """Reads and writes the folder of an index."""

    def __init__(self, folder: Path, catalog: Catalog, layout: Layout) -> None:
        self.folder = folder
        self.catalog = catalog
        self.layout = layout
        self._view: View | None = None
        self._version = -1
        self._unlisted: list[Path] = []
        self._opened: dict[int, Segment] = {}  # of the change in progress
        self._partitions = Partitions(folder, layout.nesting.full)

    # Reading

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[tuple[View, Connection]]:
        """The newest committed view, and a connection that sees the documents of that same state."""
        for attempt in range(OPEN_ATTEMPTS):
            with self.catalog.read() as connection:
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                if self._view is None or version != self._version:
                    try:
                        self._view, self._version = self._load(connection), version
                    except TruncatedFileError:
                        # A writer may have merged the file away between our snapshot and our opening it.
                        if attempt + 1 < OPEN_ATTEMPTS:
                            continue
                        raise
                yield self._view, connection
                return

    def current(self) -> View:
        """The newest committed view, for searches that read no documents."""
        if self._view is not None and self.catalog.version() == self._version:
            return self._view
        with self.snapshot() as (view, _):
            return view

    def _load(self, connection: Connection, opened: Mapping[int, Segment] | None = None) -> View:
        """The view that a connection sees; segments open already are taken over."""
        known = {segment.number: segment for segment in self._view.segments} if self._view else {}
        known.update(opened or {})
        listed = connection.execute("SELECT number, rows FROM segments ORDER BY number").fetchall()
        segments = {number: known.get(number) or self._open(number, rows) for number, rows in listed}
        live: dict[int, NDArray[np.bool_]] = {}
        deleted = connection.execute("SELECT segment, position FROM deleted").fetchall()
        for number, position in deleted:
            if number not in segments or not 0 <= position < segments[number].rows:
                raise ChecksumError(
                    f"{self.catalog.path}: row {position} of segment {number} is deleted, but there is none"
                )
            if number not in live:
                live[number] = np.ones(segments[number].rows, dtype=np.bool_)
            live[number][position] = False
        partition = self._partitions.of(connection)
        return View(
            segments=tuple(segments.values()),
            live=tuple(live.get(number) for number in segments),
            count=sum(segment.rows for segment in segments.values()) - len(deleted),
            partition=None if partition is None else partition.model,
            lists=tuple(None if partition is None else partition.lists(one) for one in segments.values()),
            earlier_lists=self._partitions.is_of_earlier_version(connection),
        )

    def _open(self, number: int, rows: int) -> Segment:
        segment = Segment(number, segment_path(self.folder, number), self.layout)
        if segment.rows != rows:
            raise ForeignFileError(f"{segment.path} has {segment.rows} rows; the catalog says {rows}")
        return segment

    def find(self, id_: DocumentId, view: View, connection: Connection) -> Found | None:
        """A document of a snapshot, or ``None``."""
        row = connection.execute(
            "SELECT key, text, metadata, crc FROM documents WHERE id = ?", (id_,)
        ).fetchone()
        if row is None:
            return None
        key, text, metadata, crc = row
        self.catalog.check_document(id_, text, metadata, crc)
        number, position = _locate(view, id_, key)
        segment = next(segment for segment in view.segments if segment.number == number)
        return Found(text, json.loads(metadata) if metadata else {}, segment.vectors[position])

    def verify(self) -> int:
        """Read and check every byte; returns how many. Raises what opening and reading raise."""
        self.catalog.integrity()
        with self.snapshot() as (view, connection):
            keys = connection.execute("SELECT key FROM documents ORDER BY key").fetchall()
        checked = 0
        for segment in view.segments:
            try:
                checked += verify_container(segment.path)
            except TruncatedFileError:
                with self.snapshot() as (newest, _):
                    if segment.number in (other.number for other in newest.segments):
                        raise
                # Merged away meanwhile: the writer checked every byte of it before.
        checked += self._verify_lists(view)
        self._check_keys(np.array(keys, dtype=np.int64).ravel(), view)
        return checked

    def _verify_lists(self, view: View) -> int:
        """The same of the partition and the lists; they go with the segments, and when they are replaced."""
        while view.partition is not None and (model := self._partitions.path) is not None:
            files = [model, *(lists.path for lists in view.lists if lists is not None)]
            try:
                return sum(map(verify_container, files))
            except TruncatedFileError:
                before = view
                with self.snapshot() as (view, _):
                    if view is before:
                        raise
        return 0

    def _check_keys(self, keys: NDArray[np.int64], view: View) -> None:
        live = [
            segment.keys if mask is None else segment.keys[mask]
            for segment, mask in zip(view.segments, view.live, strict=True)
        ]
        stored = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *live]))
        if not np.array_equal(stored, keys):
            raise ChecksumError(
                f"{self.catalog.path} names {len(keys)} documents, which are not the {len(stored)} live rows "
                "of the segments"
            )

    # Writing

    def append(self, batch: Batch, *, replace: bool) -> int:
        """Add at least one row; ids that are there are replaced, or an ``InputError`` names the first."""
        count = len(batch.vectors)
        with self._change() as connection:
            first = _next(connection, "documents")
            ids = _numbered(connection, first, count) if batch.ids is None else batch.ids
            _check_id_type(connection, ids[0])
            if replace:
                self._delete(connection, ids)
            keys = np.arange(first, first + count, dtype=np.int64)
            try:
                insert_documents(connection, first, ids, batch.texts, batch.metadata)
            except IntegrityError:
                raise InputError(_first_taken(connection, ids, first)) from None
            listed = self._partitions.of(connection) is not None
            sections, blocks = batch_sections(self.layout, ids, keys, batch.stored, listed=listed)
            self._write_segment(connection, sections, count, blocks)
            self._merge_some(connection)
        return count

    def delete(self, ids: Iterable[DocumentId]) -> int:
        """Remove documents; returns how many there were."""
        with self._change() as connection:
            removed = self._delete(connection, ids)
            self._merge_some(connection)
        return removed

    def compact(self) -> None:
        """Rewrite all live rows into one segment, after checking every byte of the old ones."""
        with self._change() as connection:
            view = self._now(connection)
            if len(view.segments) > 1 or any(mask is not None for mask in view.live):
                self._merge(connection, list(range(len(view.segments))))

    def partition(
        self, made: Partition | None, *, threads: int = 1, progress: Progress | None = None
    ) -> None:
        """Cut all segments into the lists of a partition from now on; ``None``: into none."""
        with self._change() as connection:
            view = self._now(connection)
            if made is not None and not self.layout.cosine:
                check_segments(view)
            self._unlisted += self._partitions.files(connection, [one.path for one in view.segments])
            after = self._partitions.replace(connection, made)
            for number, segment in enumerate(view.segments):
                if after is not None:
                    after.write_lists(segment, threads=threads)
                if progress is not None:
                    progress(number + 1, len(view.segments))

    @contextlib.contextmanager
    def _change(self) -> Iterator[Connection]:
        """A write transaction: what a killed writer left is removed before, merged segments after.

        A change that fails leaves its new files to the next one: after an I/O error in the commit itself
        nobody can say whether it will be found committed.
        """
        with self.catalog.write() as connection:
            self._unlisted, self._opened = [], {}
            self._remove_unlisted(connection)
            yield connection
            merged = self._unlisted
        for path in merged:
            with contextlib.suppress(OSError):  # the next change tries again
                path.unlink(missing_ok=True)  # readers that still map it keep their map

    def _remove_unlisted(self, connection: Connection) -> None:
        listed = {
            segment_path(self.folder, number)
            for (number,) in connection.execute("SELECT number FROM segments")
        }
        listed |= self._partitions.files(connection, listed)
        try:
            for path in [*(self.folder / "segments").iterdir(), *self._partitions.all_files()]:
                if path.suffix in (".seg", ".lists", ".tmp") and path not in listed:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise WriteError(
                f"could not tidy {self.folder / 'segments'}: {error.strerror or error}"
            ) from error

    def _now(self, connection: Connection) -> View:
        """The view inside a change."""
        view = self._load(connection, self._opened)
        self._opened = {segment.number: segment for segment in view.segments}
        return view

    def _write_segment(
        self, connection: Connection, sections: Sequence[Section], rows: int, blocks: Iterable[Block] = ()
    ) -> None:
        number = _next(connection, "segments")
        size = write_container(segment_path(self.folder, number), sections, {"rows": rows}, blocks)
        connection.execute("INSERT INTO segments VALUES (?, ?, ?)", (number, rows, size))
        partition = self._partitions.of(connection)
        if partition is not None:
            self._opened[number] = self._open(number, rows)
            partition.write_lists(self._opened[number])

    def _delete(self, connection: Connection, ids: Iterable[DocumentId]) -> int:
        view = self._now(connection)
        removed, largest = 0, None
        for id_ in ids:
            found = connection.execute("SELECT key FROM documents WHERE id = ?", (id_,)).fetchone()
            if found is None:
                continue
            connection.execute("DELETE FROM documents WHERE key = ?", found)
            connection.execute("INSERT INTO deleted VALUES (?, ?)", _locate(view, id_, found[0]))
            removed += 1
            if isinstance(id_, int):
                largest = id_ if largest is None else max(largest, id_)
        if removed:
            self._drop_empty(connection)
        if largest is not None and largest > (_largest_deleted(connection) or -1):
            put_setting(connection, LARGEST_DELETED, largest)
        return removed

    def _drop_empty(self, connection: Connection) -> None:
        view = self._now(connection)
        empty = [i for i, mask in enumerate(view.live) if mask is not None and not mask.any()]
        if empty:
            self._unlist(connection, [view.segments[i] for i in empty])

    def _unlist(self, connection: Connection, segments: Sequence[Segment]) -> None:
        self._unlisted += [segment.path for segment in segments]
        partition = self._partitions.of(connection)
        if partition is not None:
            self._unlisted += [partition.lists_path(segment) for segment in segments]
        for segment in segments:
            connection.execute("DELETE FROM segments WHERE number = ?", (segment.number,))
            connection.execute("DELETE FROM deleted WHERE segment = ?", (segment.number,))

    def _merge_some(self, connection: Connection) -> None:
        """Merge segments of one size when there are many, and those of which more than half is deleted."""
        while True:
            view = self._now(connection)
            tiers: dict[int, list[int]] = {}
            thin: list[int] = []
            for i, (segment, mask) in enumerate(zip(view.segments, view.live, strict=True)):
                if mask is not None and 2 * np.count_nonzero(mask) < segment.rows:
                    thin.append(i)
                elif segment.rows < LARGEST_MERGE and segment.bytes < LARGEST_MERGE_BYTES:
                    tiers.setdefault(max(segment.rows, SMALL_SEGMENT - 1).bit_length() // 3, []).append(i)
            chosen = thin or next((tier for tier in tiers.values() if len(tier) >= MERGE_FACTOR), [])
            if not chosen:
                return
            self._merge(connection, chosen)

    def _merge(self, connection: Connection, chosen: Sequence[int]) -> None:
        view = self._now(connection)
        segments = [view.segments[i] for i in chosen]
        for segment in segments:
            verify_container(segment.path)  # damage must not be given a new, valid checksum
        live = [
            np.arange(segment.rows) if (mask := view.live[i]) is None else np.flatnonzero(mask)
            for i, segment in zip(chosen, segments, strict=True)
        ]
        sections, rows = merged_sections(self.layout, segments, live)
        self._unlist(connection, segments)
        self._write_segment(connection, sections, rows)


def _next(connection: Connection, table: str) -> int:
    """The next number of an AUTOINCREMENT table: numbers are never used twice."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(found[0]) + 1 if found else 1


def _largest_deleted(connection: Connection) -> int | None:
    found = connection.execute("SELECT value FROM settings WHERE name = ?", (LARGEST_DELETED,)).fetchone()
    return None if found is None else int(json.loads(found[0]))


def _numbered(connection: Connection, first_key: int, count: int) -> range:
    """Integer ids that were never used: above every id there is or was, and every document there was."""
    largest = connection.execute("SELECT max(id) FROM documents").fetchone()[0]
    if isinstance(largest, str):
        raise InputError("this index has string ids: give an id for each document")
    used = [number for number in (largest, _largest_deleted(connection)) if number is not None]
    first = max([first_key - 1, *(number + 1 for number in used)])
    if first + count > 2**63:
        raise InputError(f"no integer ids are left above {max(used)}: give an id for each document")
    return range(first, first + count)


def _check_id_type(connection: Connection, id_: DocumentId) -> None:
    found = connection.execute("SELECT id FROM documents LIMIT 1").fetchone()
    if found is not None and isinstance(found[0], str) != isinstance(id_, str):
        raise InputError(
            f"this index has ids of type {type(found[0]).__name__}, got {id_!r}: an index has ids of one type"
        )


def _first_taken(connection: Connection, ids: Iterable[DocumentId], first_key: int) -> str:
    """Which id made an insert fail; rows inserted before the conflict have keys from ``first_key``."""
    seen: set[DocumentId] = set()
    for id_ in ids:
        found = connection.execute("SELECT key FROM documents WHERE id = ?", (id_,)).fetchone()
        if found is not None and found[0] < first_key:
            return f"id {id_!r} is already in the index; use upsert to replace it"
        if id_ in seen:
            return f"id {id_!r} is given twice; give each document its own"
        seen.add(id_)
    return "an id is already in the index"


def _locate(view: View, id_: DocumentId, key: int) -> tuple[int, int]:
    """Segment number and row of a document; a deleted version of the same id has another key."""
    for segment in reversed(view.segments):
        row = segment.find(id_)
        if row is not None and segment.keys[row] == key:
            return segment.number, row
    raise ChecksumError(f"no segment holds document {id_!r} (key {key}), but the catalog names it")
