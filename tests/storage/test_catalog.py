"""The catalog: settings, versions, damage, locks, and connections that must not be shared or outlived."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import Index
from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    IndexExistsError,
    IndexMissingError,
    InputError,
    LockedError,
    NewerFormatError,
    StorageError,
    TruncatedFileError,
    WriteError,
)
from kukla.storage.catalog import Catalog, text_checksum

Spawn = Callable[..., "subprocess.Popen[str]"]


def edit(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_checksum_tells_parts_apart() -> None:
    sums = {
        text_checksum(*parts) for parts in [("ab", None), ("a", "b"), ("ab", ""), (None, "ab"), ("", "ab")]
    }
    assert len(sums) == 5


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        (
            "UPDATE settings SET value = replace(value, '5', '6') WHERE name = 'nesting'",
            ChecksumError,
            "nesting",
        ),
        ("DELETE FROM settings WHERE name = 'metric'", ForeignFileError, "metric"),
        ("PRAGMA application_id = 7", ForeignFileError, "application id 0x7"),
        ("PRAGMA user_version = 2", NewerFormatError, "catalog version 2"),
        ("DROP TABLE settings", StorageError, "no such table"),
        ("INSERT INTO deleted VALUES (1, 25)", ChecksumError, "row 25 of segment 1"),
        ("INSERT INTO deleted VALUES (9, 0)", ChecksumError, "row 0 of segment 9"),
        ("UPDATE segments SET rows = 3 WHERE number = 2", ForeignFileError, "the catalog says 3"),
        ("INSERT INTO segments VALUES (9, 1, 1)", TruncatedFileError, r"00000009\.seg is missing"),
    ],
)
def test_a_changed_catalog_does_not_open(
    folder: Path, statement: str, error: type[StorageError], message: str
) -> None:
    edit(folder, statement)
    with pytest.raises(error, match=message):
        Index.open(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET text = 'other' WHERE id = 'd07'",
        "UPDATE documents SET text = NULL WHERE id = 'd07'",
        "UPDATE documents SET metadata = NULL WHERE id = 'd07'",
    ],
)
def test_a_changed_document_is_found_by_get_and_by_verify(folder: Path, statement: str) -> None:
    edit(folder, statement)
    with Index.open(folder) as index:
        with pytest.raises(ChecksumError, match="document 'd07'"):
            index.get("d07")
        assert index.get("d08")[0].text == "text 8"
        with pytest.raises(ChecksumError, match="document 'd07'"):
            index.verify()
    with pytest.raises(ChecksumError, match="document 'd07'"):
        Index.open(folder, verify=True)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM documents WHERE id = 'd07'", "DELETE FROM deleted", "INSERT INTO deleted VALUES (1, 0)"],
)
def test_verify_compares_documents_with_rows(folder: Path, statement: str) -> None:
    edit(folder, statement)
    with Index.open(folder) as index, pytest.raises(ChecksumError, match="live rows of the segments"):
        index.verify()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", TruncatedFileError),
        (b"SQLite format 3\0", ForeignFileError),
        (b"PK\x03\x04 a zip file of some length" * 40, ForeignFileError),
        (bytes(8192), ForeignFileError),
    ],
)
def test_files_that_are_no_catalogs(tmp_path: Path, content: bytes, error: type[StorageError]) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(error, match=r"catalog\.sqlite"):
        Index.open(tmp_path)


def test_another_programs_database_is_foreign(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("CREATE TABLE notes (x)")
    with pytest.raises(ForeignFileError, match="not a Kukla catalog"):
        Index.open(tmp_path)


@pytest.mark.parametrize("path", ["none", "empty", "folder"])
def test_nothing_there(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / "catalog.sqlite").mkdir(parents=True)
    with pytest.raises(IndexMissingError, match=path):
        Index.open(tmp_path / path)


def test_a_truncated_catalog_is_damaged(folder: Path) -> None:
    path = folder / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[: 4096 * 3])
    with pytest.raises(StorageError, match=r"catalog\.sqlite"):
        Index.open(folder, verify=True)


def test_flips_in_the_catalog_are_errors_or_harmless(folder: Path, tmp_path: Path) -> None:
    """Unused bytes of a page are the only ones that may change unseen: every document must be intact."""
    with Index.open(folder) as index:
        expected = index.get([f"d{i:02d}" for i in range(40) if i != 3])
    data = (folder / "catalog.sqlite").read_bytes()
    found = 0
    copy = shutil.copytree(folder, tmp_path / "copy")
    for position in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        (copy / "catalog.sqlite").write_bytes(damaged)
        try:
            with Index.open(copy, verify=True) as index:
                assert index.get([document.id for document in expected]) == expected
        except StorageError:
            found += 1
    assert found > 20


def test_create_refuses_what_is_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(IndexExistsError, match="an index"):
        Index.create(folder, dim=3)
    (tmp_path / "file").write_text("hello")
    with pytest.raises(IndexExistsError, match="something else"):
        Index.create(tmp_path / "file", dim=3)
    with pytest.raises(IndexExistsError, match="something else"):
        Index.create(tmp_path, dim=3)
    with pytest.raises(WriteError, match="file"):
        Index.create(tmp_path / "file" / "below", dim=3)
    (tmp_path / "empty").mkdir()
    Index.create(tmp_path / "empty", dim=3).close()


def test_of_two_that_create_at_once_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Catalog.create.__func__  # type: ignore[attr-defined]

    def slow(cls: type[Catalog], path: Path, settings: dict[str, object]) -> None:
        with pytest.raises(IndexExistsError):
            Index.create(tmp_path / "index", dim=4)
        original(cls, path, settings)

    monkeypatch.setattr(Catalog, "create", classmethod(slow))
    with Index.create(tmp_path / "index", dim=3) as index:
        assert index.space.dim == 3


def test_a_folder_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%41é"
    Index.create(path, dim=3).close()
    with Index.open(path) as index:
        index.add(np.eye(3, dtype=np.float32))
    assert sorted(item.name for item in path.iterdir()) == ["catalog.sqlite", "segments"]


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e12])
def test_a_timeout_must_be_sensible(folder: Path, timeout: float) -> None:
    with pytest.raises(InputError, match="timeout_seconds"):
        Index.open(folder, timeout_seconds=timeout)


def test_closed_is_closed(folder: Path) -> None:
    index = Index.open(folder)
    index.close()
    index.close()
    calls: list[Callable[[], object]] = [
        lambda: len(index),
        lambda: index.search(np.ones(12)),
        lambda: index.delete("d01"),
        lambda: index.add(np.ones((1, 12)), ids=["x"]),
        index.compact,
        index.verify,
    ]
    for call in calls:
        with pytest.raises(StorageError, match="is closed"):
            call()
    assert "closed" in repr(index)


def test_close_waits_for_what_is_going_on(folder: Path) -> None:
    """Threads that search while the index is closed get an answer or a StorageError, nothing else."""
    index = Index.open(folder)
    odd: list[BaseException] = []

    def search() -> None:
        try:
            while True:
                assert index.search(np.ones(12), 2).ids.shape == (1, 2)
        except StorageError:
            pass
        except BaseException as error:
            odd.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    index.close()
    for thread in threads:
        thread.join()
    assert odd == []


def _after_fork(index: Index, answers: multiprocessing.Queue[str]) -> None:
    for call in (lambda: index.search(np.ones(12)), lambda: index.delete("d01")):
        try:
            call()
        except StorageError as error:
            answers.put(str(error))
        else:
            answers.put("no error")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_an_index_does_not_survive_a_fork(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with Index.open(folder) as index:
        child = context.Process(target=_after_fork, args=(index, answers))
        child.start()
        said = [answers.get(timeout=20) for _ in range(2)]
        child.join()
        assert all("open it again after a fork" in text for text in said)
        assert index.search(np.ones(12), 3).ids.shape == (1, 3)
        index.delete("d01")


def test_opening_twice_keeps_the_locks(folder: Path, spawn: Spawn) -> None:
    """Closing another descriptor of the catalog would drop POSIX locks: others would remove a log in use."""
    with Index.open(folder) as index:
        Index.open(folder).close()
        other = spawn("import sys, kukla; kukla.Index.open(sys.argv[1]).close()", folder)
        assert other.communicate(timeout=20) == ("", "")
        index.add(np.ones((1, 12)), ids=["new"])
        count = "import sys, kukla; print('new' in kukla.Index.open(sys.argv[1]))"
        assert spawn(count, folder).communicate(timeout=20)[0] == "True\n"


HOLD = """
import sys, time, kukla
with kukla.Index.open(sys.argv[1]) as index, index._opened.store.catalog.write():
    print("held")
    time.sleep(float(sys.argv[2]))
"""


def test_a_second_writer_waits_its_turn(folder: Path, spawn: Spawn) -> None:
    other = spawn(HOLD, folder, 0.5)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with Index.open(folder, timeout_seconds=20) as index:
        assert index.search(np.ones(12), 3).ids.shape == (1, 3)  # readers do not wait
        assert index.delete("d01") == 1
    assert other.wait(20) == 0
    other.communicate()


def test_a_second_writer_that_waits_too_long(folder: Path, spawn: Spawn) -> None:
    other = spawn(HOLD, folder, 30)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with Index.open(folder, timeout_seconds=0.2) as index:
        with pytest.raises(LockedError, match=r"index; waited 0\.2 s"):
            index.delete("d01")
        other.kill()
        other.communicate()
        assert index.delete("d01") == 1  # the lock died with its process


def test_threads_of_one_index_wait_for_each_other(folder: Path) -> None:
    with (
        Index.open(folder, timeout_seconds=0.2) as index,
        index._opened.store.catalog.write(),
        pytest.raises(LockedError, match="waited"),
    ):
        index.delete("d01")


def test_read_only_refuses_changes_and_leaves_no_trace(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Index.open(folder, read_only=True) as index:
        assert index.search(np.ones(12), 3).ids.shape == (1, 3)
        for change in (lambda: index.delete("d01"), index.compact, lambda: index.add(np.ones((1, 12)))):
            with pytest.raises(WriteError, match="read-only"):
                change()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def without_write_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so permissions are simulated where they are asked for."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))


def test_read_only_without_permission_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_write_permission(monkeypatch)
    with Index.open(folder, read_only=True) as index:
        assert sorted(path.name for path in folder.iterdir()) == ["catalog.sqlite", "segments"]
        assert len(index) == 39
        index.verify()


def test_read_only_without_permission_sees_what_is_in_the_log(
    folder: Path, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(folder) as writer:
        writer.add(vectors[:1], ids=["new"])  # committed, and so far in the write-ahead log only
        without_write_permission(monkeypatch)
        with Index.open(folder, read_only=True) as index:
            assert "new" in index


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A small filesystem of its own."""
    path = tmp_path / "mounted"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if sys.platform != "linux" or shutil.which("mount") is None or subprocess.call(command, stderr=-3):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path  # type: ignore[misc]
    subprocess.check_call(["umount", "-l", str(path)])


def test_a_read_only_filesystem(mounted: Path, folder: Path) -> None:
    shutil.copytree(folder, mounted / "index")
    with Index.open(folder) as index:
        index.delete("d01")
        crashed = shutil.copytree(folder, mounted / "crashed", ignore=shutil.ignore_patterns("*-shm"))
    subprocess.check_call(["mount", "-o", "remount,ro", str(mounted)])
    with Index.open(mounted / "index", read_only=True) as index:
        assert len(index) == 39
        assert index.verify() > 0
    with pytest.raises(WriteError, match="try read_only=True"):
        Index.open(mounted / "index")
    with pytest.raises(WriteError, match="make the folder writable once"):
        Index.open(crashed, read_only=True)
    with pytest.raises(WriteError, match="could not make an index"):
        Index.create(mounted / "new", dim=3)


def test_a_failed_open_lets_go(folder: Path) -> None:
    edit(folder, "PRAGMA user_version = 2")
    with pytest.raises(NewerFormatError):
        Index.open(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["catalog.sqlite", "segments"]
