"""The catalog: one SQLite file with settings, documents, deletions and the list of live segments.

Everything becomes visible with a commit of this file. Readers work on SQLite's snapshot (WAL mode) and are
never blocked; one writer at a time holds ``BEGIN IMMEDIATE``, which the system releases when a process dies.
Reads and writes of one process have a connection each, so its own writes do not block its reads either.

Nothing here opens the file but SQLite: closing any other descriptor of it would drop SQLite's POSIX locks,
and another process could then remove the write-ahead log under a connection that still uses it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    IndexMissingError,
    InputError,
    LockedError,
    NewerFormatError,
    StorageError,
    TruncatedFileError,
    WriteError,
)

__all__ = ["CATALOG_VERSION", "Catalog", "put_setting", "text_checksum"]

APPLICATION_ID = 0x4B554B4C  # "KUKL"
CATALOG_VERSION = 1
LONGEST_TIMEOUT = 1_000_000

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {CATALOG_VERSION};
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE deleted (segment INTEGER, position INTEGER, PRIMARY KEY (segment, position)) WITHOUT ROWID;
CREATE TABLE documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id NOT NULL UNIQUE, text TEXT, metadata TEXT, crc INTEGER NOT NULL
);
"""


_process = os.getpid()
"""Asked for once and after a fork, not at every search."""


def _forked() -> None:
    global _process
    _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def text_checksum(*parts: str | None) -> int:
    """CRC-32 of strings, ``None`` told apart from an empty string."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(b"\0" if part is None else b"\1" + part.encode(), crc)
    return crc


class Catalog:
    """``catalog.sqlite``; safe to use from several threads.

    Parameters
    ----------
    path : Path
    timeout_seconds : float
        How long a writer waits for another one.
    read_only : bool
    """

    def __init__(self, path: Path, *, timeout_seconds: float, read_only: bool) -> None:
        if not 0 <= timeout_seconds <= LONGEST_TIMEOUT:
            raise InputError(
                f"timeout_seconds must be a number from 0 to {LONGEST_TIMEOUT:,}, got {timeout_seconds!r}"
            )
        self.path = path
        self.timeout_seconds = timeout_seconds
        self.read_only = read_only
        self._process = _process
        self._read_lock, self._write_lock = threading.RLock(), threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._versions: sqlite3.Cursor | None = None  # of the reader, for `version`, which every search asks
        try:
            if not path.is_file():
                raise IndexMissingError(f"there is no Kukla index at {path.parent}")
            if path.stat().st_size == 0:
                raise TruncatedFileError(f"{path} is empty")
            with self._errors():
                self._reader = self._connect()
                self._check_version(self._reader)
                self._versions = self._reader.cursor()
                self._writer = None if read_only else self._connect()
        except OSError as error:
            raise StorageError(f"could not open {path}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any]) -> None:
        """Write a new catalog beside ``path`` and rename it into place."""
        temporary = path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript("BEGIN;" + _SCHEMA)
            connection.executemany("INSERT INTO settings VALUES (?, ?, ?)", map(_setting, settings.items()))
            connection.execute("COMMIT")
        finally:
            connection.close()
        temporary.rename(path)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={self._mode()}",
            uri=True,
            timeout=self.timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA query_only = ON" if self.read_only else "PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _mode(self) -> str:
        """SQLite's ``mode``. A read-only index asks for ``rw`` too where it can: it then tidies up SQLite's
        -wal and -shm files when it is the last to close, and leaves the folder as it was."""
        if not self.read_only or (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            return "rw"
        # Without room for a -shm file SQLite reads only an existing log, or none at all ("immutable").
        log = self.path.with_name(self.path.name + "-wal")
        return "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"

    def _check_version(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID:
            raise ForeignFileError(
                f"{self.path} is a SQLite file, but not a Kukla catalog (application id {found:#x})"
            )
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > CATALOG_VERSION:
            raise NewerFormatError(
                f"{self.path} has catalog version {version}; this Kukla reads up to {CATALOG_VERSION}: "
                "upgrade it"
            )

    def settings(self) -> dict[str, Any]:
        """All settings, checked and decoded."""
        with self.read() as connection:
            result = {}
            for name, value, crc in connection.execute("SELECT name, value, crc FROM settings"):
                if text_checksum(name, value) != crc:
                    raise ChecksumError(f"{self.path}: the setting {name!r} does not match its checksum")
                result[name] = json.loads(value)
            return result

    def version(self) -> int:
        """SQLite's ``data_version``: another number after every commit, by whomever."""
        self._check_process()
        with self._read_lock:
            if self._versions is None:
                raise self._closed()
            try:
                version: int = self._versions.execute("PRAGMA data_version").fetchone()[0]
                return version
            except sqlite3.Error:
                with self._errors():
                    raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent snapshot for several queries."""
        self._check_process()
        with self._read_lock, self._errors():
            if self._reader is None:
                raise self._closed()
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                if self._reader.in_transaction:  # SQLite itself rolls back after some errors
                    self._reader.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One atomic change: committed when the block ends, rolled back when it raises.

        Raises
        ------
        LockedError
            When another writer did not finish within ``timeout_seconds``.
        WriteError
            When the index was opened read-only, or the disk is full.
        """
        self._check_process()
        if self.read_only:
            raise WriteError(f"{self.path.parent} was opened read-only")
        if not self._write_lock.acquire(timeout=self.timeout_seconds):
            raise self._locked()
        try:
            with self._errors():
                if self._writer is None:
                    raise self._closed()
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                finally:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
        finally:
            self._write_lock.release()

    def integrity(self) -> None:
        """SQLite's own check of the whole file, and every row's checksum."""
        self._check_process()
        # On a connection of its own, so that searches go on meanwhile.
        with self._errors(), contextlib.closing(self._connect()) as connection:
            problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise ChecksumError(f"{self.path} is damaged: {problem}")
            for id_, text, metadata, crc in connection.execute(
                "SELECT id, text, metadata, crc FROM documents"
            ):
                self.check_document(id_, text, metadata, crc)
        self.settings()

    def check_document(self, id_: int | str, text: str | None, metadata: str | None, crc: int) -> None:
        """Raise ``ChecksumError`` unless a document row is what was written."""
        if text_checksum(str(id_), text, metadata) != crc:
            raise ChecksumError(f"{self.path}: document {id_!r} does not match its checksum")

    def close(self) -> None:
        """Close, after the reads and the write in progress; further use raises ``StorageError``."""
        with self._read_lock, self._write_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = self._versions = None

    def _check_process(self) -> None:
        # SQLite's connections and locks do not survive a fork.
        if self._process != _process:
            raise StorageError(
                f"the index at {self.path.parent} was opened by another process; open it again after a fork"
            )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._raise(error)

    def _locked(self) -> LockedError:
        return LockedError(
            f"another writer holds {self.path.parent}; waited {self.timeout_seconds:g} s "
            "(raise timeout_seconds to wait longer)"
        )

    def _closed(self) -> StorageError:
        return StorageError(f"the index at {self.path.parent} is closed")

    def _raise(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise self._locked() from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
            raise WriteError(f"could not write {self.path}: {error}") from error
        if code == sqlite3.SQLITE_NOTADB:
            raise ForeignFileError(f"{self.path} is not a Kukla catalog: {error}") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise ChecksumError(f"{self.path} is damaged: {error}") from error
        if code == sqlite3.SQLITE_CANTOPEN:
            advice = "make the folder writable once" if self.read_only else "try read_only=True"
            raise WriteError(
                f"could not open {self.path}: {error}; SQLite must write beside it: {advice}"
            ) from error
        raise StorageError(f"{self.path}: {error}") from error


def put_setting(connection: sqlite3.Connection, name: str, value: Any) -> None:
    """Write a setting inside a :meth:`Catalog.write` transaction."""
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", _setting((name, value)))


def _setting(item: tuple[str, Any]) -> tuple[str, str, int]:
    name, value = item[0], json.dumps(item[1])
    return name, value, text_checksum(name, value)
