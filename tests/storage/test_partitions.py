"""Partitions on disk: files come and go with the catalog, and damage has its error."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered

from kukla import Index, kernels
from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    NewerFormatError,
    StorageError,
    TruncatedFileError,
    WriteError,
)
from kukla.storage import store as store_module
from kukla.storage.catalog import put_setting
from kukla.storage.container import Section, open_container, write_container

Spawn = Callable[..., "subprocess.Popen[str]"]
Vectors = NDArray[np.float32]
DIM = 16
ALL = "16:pq4@2000 > 16:float32"


@pytest.fixture
def rows() -> Vectors:
    return clustered(1300, DIM)


@pytest.fixture
def parted(tmp_path: Path, rows: Vectors) -> Path:
    """A closed index: 1,100 documents in 20 lists with codes, 100 in a segment without."""
    path = tmp_path / "parted"
    with Index.create(path, dim=DIM) as index:
        index.add(rows[:1100])
        index.partition(20, code_bytes=8)
        index.add(rows[1100:1200])
    return path


def names(folder: Path) -> list[str]:
    """Files of partitions and segments."""
    found = [*folder.glob("partition*"), *(folder / "segments").iterdir()]
    return sorted(str(path.relative_to(folder)) for path in found)


def finds_everything(index: Index) -> None:
    """With all lists and a shortlist of everything, a search is exact: so every document is in a list."""
    queries = clustered(3, DIM, seed=9)
    found, exact = (index.search(queries, 20, plan=plan) for plan in (ALL, "16:float32"))
    np.testing.assert_array_equal(found.ids, exact.ids)
    np.testing.assert_array_equal(found.scores, exact.scores)
    assert found.stages[0].scored == 3 * len(index)


# Coming and going


def test_a_partition_is_a_file_and_one_of_lists_beside_each_large_segment(parted: Path) -> None:
    assert names(parted) == [
        "partition.1.seg", "segments/00000001.1.lists", "segments/00000001.seg", "segments/00000002.seg",
    ]  # fmt: skip
    with Index.open(parted) as index:
        finds_everything(index)
        _, arrays = open_container(parted / "partition.1.seg")
        assert list(arrays) == [
            "codes", "scales", "routes", "mean_order", "mean_ends", "mean_books", "mean_weights",
            "short_order", "short_ends", "short_books", "short_weights",
            "long_order", "long_ends", "long_books", "long_weights",
        ]  # fmt: skip
        _, arrays = open_container(parted / "segments" / "00000001.1.lists")
        assert list(arrays) == ["offsets", "rows", "blocks", "means", "routes", "shorts", "longs"]
        assert (arrays["rows"].shape, arrays["longs"].shape) == ((1100,), (1100, 8))


def test_a_new_partition_replaces_the_old_one_under_a_new_number(parted: Path) -> None:
    with Index.open(parted) as index:
        index.partition(10)
        assert names(parted) == [
            "partition.2.seg", "segments/00000001.2.lists", "segments/00000001.seg", "segments/00000002.seg",
        ]  # fmt: skip
        finds_everything(index)
        index.partition(0)
        assert names(parted) == ["segments/00000001.seg", "segments/00000002.seg"]
        assert index._opened.store.current().partition is None
        index.partition(0)  # nothing to do, no harm
        index.partition(12)
        assert "partition.5.seg" in names(parted)
        finds_everything(index)
    with Index.open(parted, verify=True) as index:
        finds_everything(index)


def test_whatever_is_added_replaced_and_deleted_is_found_at_once(parted: Path, rows: Vectors) -> None:
    with Index.open(parted) as index:
        new = np.eye(DIM, dtype=np.float32)[:4]
        index.add(new, ids=[9001, 9002, 9003, 9004])
        plan = "16:pq4/2@40 > 16:float32"
        assert index.search(new, 1, plan=plan).ids[:, 0].tolist() == [9001, 9002, 9003, 9004]
        index.upsert(-new[:1], ids=[9001])
        assert index.search(new[0], 1, plan=plan).ids[0, 0] != 9001
        assert index.search(-new[0], 1, plan=plan).ids[0, 0] == 9001
        index.delete([9001, *range(40)])
        assert index.search(-new[0], 1, plan=plan).ids[0, 0] != 9001
        assert index.search(rows[:3], 1, plan=plan).ids.min() >= 40
        finds_everything(index)
        index.add(clustered(1024, DIM, seed=2), ids=range(20_000, 21_024))  # large enough for lists
        assert len([name for name in names(parted) if name.endswith(".lists")]) == 2
        finds_everything(index)
        index.compact()
        assert [name for name in names(parted) if name.endswith(".lists")] == [
            name.replace(".seg", ".1.lists")
            for name in names(parted)
            if name.startswith("segments") and name.endswith(".seg")
        ]
        finds_everything(index)
        index.verify()


def test_segments_that_are_merged_take_their_lists_with_them(parted: Path, rows: Vectors) -> None:
    with Index.open(parted) as index:
        for number in range(9):
            index.add(
                clustered(130, DIM, seed=number + 5), ids=range(30_000 + 130 * number, 30_130 + 130 * number)
            )
        finds_everything(index)
        index.delete(range(700))  # more than half of the first segment: it is rewritten
        finds_everything(index)
        listed = {segment.number for segment in index._opened.store.current().segments}
        assert {int(name[9:17]) for name in names(parted) if name.startswith("segments")} == listed
        index.delete(range(1200))
        finds_everything(index)
        index.verify()


def test_another_process_sees_the_partition(parted: Path, spawn: Spawn) -> None:
    code = """
import sys, numpy as np, kukla
with kukla.Index.open(sys.argv[1], read_only=sys.argv[2] == "ro") as index:
    found = index.search(np.ones(16), 3, plan="16:pq4/3@50 > 16:float32")
    print(found.stages[0].scored < len(index), index._opened.store.current().partition.lists)
"""
    with Index.open(parted) as index:
        for mode in ("ro", "rw"):
            assert spawn(code, parted, mode).communicate(timeout=60) == ("True 20\n", "")
        other = "import sys, kukla; kukla.Index.open(sys.argv[1]).partition(7)"
        assert spawn(other, parted).communicate(timeout=60) == ("", "")
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.lists == 7
        finds_everything(index)


def test_of_two_that_partition_the_last_one_stays(parted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes while the other still trains; what was added meanwhile goes into lists too."""
    from kukla.partition import build as build_module

    train = build_module.train_partition
    with Index.open(parted) as index, Index.open(parted) as other:

        def slow(*arguments: object, **options: object) -> object:
            monkeypatch.setattr(build_module, "train_partition", train)
            other.partition(5)
            other.add(clustered(1024, DIM, seed=3), ids=range(50_000, 51_024))
            return train(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(build_module, "train_partition", slow)
        index.partition(9)
        for one in (index, other):
            view = one._opened.store.current()
            assert view.partition is not None
            assert view.partition.lists == 9
            assert [lists is not None for lists in view.lists] == [True, False, True]
            finds_everything(one)
        assert [name for name in names(parted) if name.startswith("partition")] == ["partition.3.seg"]


def test_a_reader_whose_partition_was_replaced_while_it_opened_tries_again(
    parted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(parted) as writer:
        original = store_module.Store._open

        def replaced_first(self: store_module.Store, number: int, rows: int) -> object:
            monkeypatch.setattr(store_module.Store, "_open", original)
            writer.partition(11)
            return original(self, number, rows)

        monkeypatch.setattr(store_module.Store, "_open", replaced_first)
        with Index.open(parted) as index:
            finds_everything(index)
            index.verify()


def test_verify_beside_a_new_partition(parted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that were replaced between the look at the catalog and the look at them are not missing."""
    with Index.open(parted) as index, Index.open(parted) as writer:
        original = store_module.verify_container

        def replaced_first(path: Path) -> int:
            if path.name.startswith("partition"):
                monkeypatch.setattr(store_module, "verify_container", original)
                writer.partition(11)
            return original(path)

        monkeypatch.setattr(store_module, "verify_container", replaced_first)
        index.verify()
        (parted / "segments" / "00000001.2.lists").unlink()
        with pytest.raises(TruncatedFileError, match=r"00000001\.2\.lists is missing"):
            index.verify()


# Versions without partitions


def test_what_a_version_without_partitions_writes_is_scanned(
    parted: Path, rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores the setting: its segments have no lists, and it leaves those of segments that it merged."""
    with Index.open(parted) as index, monkeypatch.context() as patch:
        patch.setattr(store_module.Partitions, "of", lambda *_: None)
        patch.setattr(store_module.Partitions, "all_files", lambda _: [])
        patch.setattr(store_module.Partitions, "files", lambda *_: set((parted / "segments").glob("*.lists")))
        index.add(clustered(1100, DIM, seed=4), ids=range(60_000, 61_100))
        index.compact()
    assert names(parted) == ["partition.1.seg", "segments/00000001.1.lists", "segments/00000004.seg"]
    with Index.open(parted) as index:
        view = index._opened.store.current()
        assert view.lists == (None,)
        finds_everything(index)
        index.verify()
        index.delete(0)  # a change: what nothing needs is removed
        assert names(parted) == ["partition.1.seg", "segments/00000004.seg"]
        index.partition(20)
        assert names(parted) == ["partition.2.seg", "segments/00000004.2.lists", "segments/00000004.seg"]


def test_what_a_version_without_means_writes_is_scanned(parted: Path) -> None:
    """It reads this partition, ignores the means, and writes lists that have none."""
    path = parted / "segments" / "00000001.1.lists"
    header, mapped = open_container(path)
    arrays = {name: np.array(array) for name, array in mapped.items() if name not in ("means", "routes")}
    sections = [
        Section(name, array.dtype.str, array.shape, lambda array=array: (array,))  # type: ignore[misc]
        for name, array in arrays.items()
    ]
    path.unlink()
    write_container(path, sections, {name: header[name] for name in ("rows", "segment", "partition")})
    with Index.open(parted, verify=True) as index:
        assert index._opened.store.current().lists == (None, None)
        finds_everything(index)
        found = index.info().partition
        assert found is not None
        assert found.segments_without_lists == 2
        index.partition(20, code_bytes=8)
        finds_everything(index)
        found = index.info().partition
        assert found is not None
        assert found.segments_without_lists == 1
        index.verify()


# Damage


@pytest.mark.parametrize("name", ["partition.1.seg", "segments/00000001.1.lists"])
@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda data, _: b"", TruncatedFileError, "is empty"),
        (lambda data, _: data[:-64], TruncatedFileError, "its header says"),
        (lambda *_: b"hello, I am a text file", ForeignFileError, "not a Kukla segment"),
        (lambda data, _: b"KUKLASEG\2" + data[9:], NewerFormatError, "version 2"),
        (lambda _, segment: segment, ForeignFileError, "holds no"),
    ],
)
def test_damaged_files_do_not_open(
    parted: Path, name: str, damage: Callable[[bytes, bytes], bytes], error: type[StorageError], message: str
) -> None:
    segment = (parted / "segments" / "00000002.seg").read_bytes()
    (parted / name).write_bytes(damage((parted / name).read_bytes(), segment))
    with pytest.raises(error, match=message) as caught:
        Index.open(parted)
    assert Path(name).name in str(caught.value)


def test_a_missing_partition_is_an_error_and_missing_lists_are_not(parted: Path) -> None:
    """A segment without its lists is scanned; nothing but its file says what the centroids were."""
    (parted / "segments" / "00000001.1.lists").unlink()
    with Index.open(parted, verify=True) as index:
        finds_everything(index)
    (parted / "partition.1.seg").unlink()
    with pytest.raises(TruncatedFileError, match=r"partition\.1\.seg is missing"):
        Index.open(parted)


def test_files_of_another_index_are_foreign(parted: Path, tmp_path: Path) -> None:
    for name, dim, lists, message in (
        ("partition.1.seg", 24, 20, "holds no partition of 16 dims"),
        ("segments/00000001.1.lists", DIM, 21, "holds no lists of this partition"),
    ):
        with Index.create(tmp_path / f"other-{dim}", dim=dim) as other:
            other.add(clustered(1100, dim))
            other.partition(lists, code_bytes=8)
        copy = shutil.copytree(parted, tmp_path / f"copy-{dim}")
        shutil.copy(tmp_path / f"other-{dim}" / name, copy / name)
        with pytest.raises(ForeignFileError, match=message):
            Index.open(copy)


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    """An index with lists of the same shape as those of ``parted``, of other documents."""
    with Index.create(tmp_path / "twin", dim=DIM) as index:
        index.add(-clustered(1100, DIM))
        index.partition(20, code_bytes=8)
    return tmp_path / "twin"


LISTS, MODEL = "segments/00000001.1.lists", "partition.1.seg"


def test_lists_of_the_same_shape_from_another_index_are_foreign(parted: Path, twin: Path) -> None:
    shutil.copy(twin / LISTS, parted / LISTS)
    message = r"00000001\.1\.lists holds the lists of another segment, .* that of .*00000001\.seg is"
    with pytest.raises(ForeignFileError, match=message):
        Index.open(parted)
    (parted / LISTS).unlink()
    with Index.open(parted) as index:  # as the message says
        index.partition(20, code_bytes=8)
        finds_everything(index)


def test_a_partition_of_the_same_shape_is_foreign_to_the_lists(parted: Path, twin: Path) -> None:
    shutil.copy(twin / MODEL, parted / MODEL)
    message = r"00000001\.1\.lists holds the lists of another partition, .* that of .*partition\.1\.seg is"
    with pytest.raises(ForeignFileError, match=message):
        Index.open(parted)


def test_lists_that_do_not_say_what_made_them_are_taken(parted: Path) -> None:
    """As the first version wrote them."""
    path = parted / LISTS
    header, mapped = open_container(path)
    arrays = {name: np.array(array) for name, array in mapped.items()}
    assert header["segment"] == open_container(parted / "segments/00000001.seg")[0]["identity"]
    assert header["partition"] == open_container(parted / MODEL)[0]["identity"]
    sections = [
        Section(name, array.dtype.str, array.shape, lambda array=array: (array,))  # type: ignore[misc]
        for name, array in arrays.items()
    ]
    path.unlink()
    write_container(path, sections, {"rows": header["rows"]})
    with Index.open(parted, verify=True) as index:
        finds_everything(index)


def test_every_flipped_byte_of_a_partition_is_found_when_opened(parted: Path) -> None:
    path = parted / "partition.1.seg"
    data = path.read_bytes()
    for position in range(0, len(data), 61):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :])
        with pytest.raises(StorageError, match=r"partition\.1\.seg"):
            Index.open(parted)


@pytest.mark.parametrize("name", ["partition.1.seg", "segments/00000001.1.lists"])
def test_verify_finds_every_flipped_byte(parted: Path, name: str) -> None:
    """Of an index that is open: its maps see the change, and searches do not check."""
    path = parted / name
    with Index.open(parted) as index:
        size = path.stat().st_size
        assert index.verify() > size
        with path.open("rb+") as file:
            for position in range(0, size, max(1, size // 60)):
                file.seek(position)
                (before,) = file.read(1)
                for value, flipped in ((before ^ 0x41, True), (before, False)):
                    file.seek(position)
                    file.write(bytes([value]))
                    file.flush()
                    if flipped:
                        with pytest.raises(StorageError, match=path.name):
                            index.verify()
        index.verify()


@pytest.mark.parametrize(
    "setting", [[], {}, {"number": "1", "in_use": True}, {"number": 1}, {"number": 1, "in_use": 1}]
)
def test_a_setting_that_names_no_partition(parted: Path, setting: object) -> None:
    with Index.open(parted) as index, index._opened.store.catalog.write() as connection:
        put_setting(connection, "partition", setting)
    with pytest.raises(ForeignFileError, match="the setting 'partition' of the catalog names no partition"):
        Index.open(parted)


def test_a_setting_that_was_changed(parted: Path) -> None:
    with closing(sqlite3.connect(parted / "catalog.sqlite")) as connection:
        connection.execute("UPDATE settings SET value = replace(value, '1', '2') WHERE name = 'partition'")
        connection.commit()
    with pytest.raises(ChecksumError, match="partition"):
        Index.open(parted)


FUZZ = """
import sys
from pathlib import Path
import numpy as np
import kukla
from kukla import kernels
from kukla.errors import ChecksumError, ForeignFileError, StorageError
folder, section = Path(sys.argv[1]), sys.argv[2]
path = folder / "segments" / "00000001.1.lists"
from kukla.storage.container import _opened, _read_header
with _opened(path) as file:
    (entry,) = [one for one in _read_header(path, file)["sections"] if one["name"] == section]
data = path.read_bytes()
rng = np.random.default_rng(5)
queries = rng.normal(size=(12, 16)).astype(np.float32)
outcomes = set()
for round in range(int(sys.argv[3])):
    damaged = bytearray(data)
    for place in entry["offset"] + rng.integers(0, entry["bytes"], 1 + round % 40):
        damaged[place] = (0, 255, 128, int(rng.integers(256)))[int(rng.integers(4))]
    path.write_bytes(damaged)
    try:
        with kukla.Index.open(folder) as index:
            for name in kernels.available()[:: max(1, len(kernels.available()) - 1)]:
                with kernels.use(name):
                    for asked, plan in ((queries[:1], "16:pq4/2@9 > 16:float32"),
                                        (queries, "16:pq4/15@60 > 16:float32"),
                                        (queries[:1], "16:pq4@1200 > 16:int8"), (queries[:2], "16:pq4/3")):
                        try:
                            index.search(asked, 5, plan=plan)
                            outcomes.add("answered")
                        except ChecksumError as error:
                            assert "a file of lists is damaged" in str(error), error
                            outcomes.add("damaged")
    except ForeignFileError:
        outcomes.add("foreign")
path.write_bytes(data)
print(*sorted(outcomes))
"""


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("offsets", {"foreign"}),
        ("blocks", {"foreign"}),
        ("rows", {"answered", "damaged"}),
        ("means", {"answered"}),
        ("routes", {"answered"}),
        ("shorts", {"answered"}),
        ("longs", {"answered"}),
    ],
)
def test_flips_in_lists_never_crash(parted: Path, spawn: Spawn, section: str, expected: set[str]) -> None:
    """In a process of its own: offsets and blocks are compared when opened; rows that there cannot be are
    left out or named; any code is some code."""
    with Index.open(parted) as index:
        index.delete(range(5))  # masks: rows are looked up in them
    process = spawn(FUZZ, parted, section, 25)
    output, errors = process.communicate(timeout=110)
    assert (process.returncode, errors) == (0, "")
    assert set(output.split()) <= expected | {"answered"}
    assert set(output.split()) & expected


@pytest.mark.parametrize("name", kernels.available())
def test_rows_that_there_cannot_be_are_damage(parted: Path, name: str) -> None:
    path = parted / "segments" / "00000001.1.lists"
    with Index.open(parted) as index:
        (lists, _) = index._opened.store.current().lists
        assert lists is not None
    (rows,) = [one for one in open_container(path)[0]["sections"] if one["name"] == "rows"]
    data = bytearray(path.read_bytes())
    data[rows["offset"] : rows["offset"] + rows["bytes"]] = b"\xff" * rows["bytes"]
    path.write_bytes(data)
    with Index.open(parted) as index, kernels.use(name):
        with pytest.raises(ChecksumError, match=r"a file of lists is damaged: .*; verify\(\) says which"):
            index.search(np.ones(DIM), 1150, plan="16:pq4@1200 > 16:float32")
        with pytest.raises(ChecksumError, match=r"00000001\.1\.lists: section rows"):
            index.verify()
        index.compact()  # lists are made of the vectors, which are whole
        finds_everything(index)
        index.verify()


@pytest.mark.parametrize("name", kernels.available())
def test_rows_that_there_cannot_be_and_that_tie_over_segments(tmp_path: Path, name: str) -> None:
    """Ties over segments are settled by id, which must not be looked up outside of the ids."""
    rows = np.tile(clustered(11, DIM), (100, 1))
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(rows, ids=range(1100))
        index.add(rows, ids=range(1100, 2200))
        index.partition(10)
    for path in (tmp_path / "index" / "segments").glob("*.lists"):
        (section,) = [one for one in open_container(path)[0]["sections"] if one["name"] == "rows"]
        data = bytearray(path.read_bytes())
        data[section["offset"] : section["offset"] + section["bytes"]] = b"\xff" * section["bytes"]
        path.write_bytes(data)
    with (
        Index.open(tmp_path / "index") as index,
        kernels.use(name),
        pytest.raises(ChecksumError, match=r"a file of lists is damaged: .*; verify\(\) says which"),
    ):
        index.search(np.ones(DIM), 2, plan="16:pq4@2 > 16:float32")


# Killed, and full disks

STEPS = {
    "the partition half written": ("kukla.storage.container.os.fsync", 1),
    "the partition written, no lists": ("kukla.storage.container.os.fsync", 2),
    "lists half written": ("kukla.storage.partitions.write_lists", 1),
    "lists not yet renamed": ("pathlib.Path.rename", 2),
    "committed, the old ones not yet removed": ("pathlib.Path.unlink", 1, "partition.1.seg"),
}

DIE = """
import os, sys, importlib, numpy as np, kukla
from unittest import mock
import kukla.storage.partitions, kukla.partition.build
index = kukla.Index.open(sys.argv[1])
calls = 0
def die(*given, **options):
    global calls
    calls += given != () and "".join(sys.argv[4:]) in str(given[0])
    if calls >= int(sys.argv[3]):
        os.kill(os.getpid(), 9)
    return original(*given, **options)
module, _, name = sys.argv[2].rpartition(".")
try:
    owner = importlib.import_module(module)
except ImportError:
    module, _, owner = module.rpartition(".")
    owner = getattr(importlib.import_module(module), owner)
original = getattr(owner, name)
with mock.patch.object(owner, name, die):
    index.partition(10, code_bytes=8)
"""


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_partitioning(parted: Path, spawn: Spawn, step: str) -> None:
    """What was there is there, with its partition; and nothing more after the next change."""
    process = spawn(DIE, parted, *STEPS[step])
    process.communicate(timeout=60)
    assert process.returncode == -9
    committed = "committed" in step
    with Index.open(parted, verify=True) as index:
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.lists == (10 if committed else 20)
        finds_everything(index)
        index.delete(-1)  # a change, so that what was left behind goes
        number = 2 if committed else 1
        assert names(parted) == [
            f"partition.{number}.seg", f"segments/00000001.{number}.lists", "segments/00000001.seg",
            "segments/00000002.seg",
        ]  # fmt: skip
        finds_everything(index)
        index.partition(15)
        finds_everything(index)


@pytest.mark.slow
def test_killed_at_any_moment(parted: Path, spawn: Spawn) -> None:
    code = """
import sys, kukla
with kukla.Index.open(sys.argv[1]) as index:
    print("ready", flush=True)
    for lists in range(10, 10_000):
        index.partition(lists % 90 + 10, code_bytes=8)
"""
    rng = np.random.default_rng(3)
    for _ in range(5):
        process = spawn(code, parted)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 0.4))
        process.kill()
        process.communicate()
        with Index.open(parted, verify=True) as index:
            finds_everything(index)
            index.delete(-1)
            assert len(names(parted)) == 4


def test_a_change_that_fails_leaves_the_partition_as_it_was(
    parted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kukla.storage import partitions

    with Index.open(parted) as index:
        with monkeypatch.context() as patch:
            patch.setattr(partitions, "write_lists", lambda *_, **__: (_ for _ in ()).throw(OSError("as if")))
            with pytest.raises(OSError, match="as if"):
                index.partition(10)
            with pytest.raises(OSError, match="as if"):
                index.add(clustered(1100, DIM), ids=range(70_000, 71_100))
        assert len(index) == 1200
        finds_everything(index)
        index.add(clustered(1100, DIM, seed=6), ids=range(70_000, 71_100))  # takes the numbers of both
        finds_everything(index)
        assert [name for name in names(parted) if name.startswith("partition")] == ["partition.1.seg"]
        index.verify()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mounted"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.call(command, stderr=subprocess.DEVNULL):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.check_call(["umount", "-l", str(path)])


def test_a_full_disk_while_partitioning(small_disk: Path) -> None:
    rows = clustered(1500, 32)
    with Index.create(small_disk / "index", dim=32) as index:
        index.add(rows)
        index.partition(20, code_bytes=8)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            file.writelines([bytes(4096)] * 1000)
        with filler.open("rb+") as file:
            file.truncate(filler.stat().st_size - 40_000)  # room for the centroids, not for the lists
        with pytest.raises(WriteError, match=r"could not write .*\.2\.lists"):
            index.partition(150, code_bytes=16)
        assert index.search(rows[:2], 1, plan="32:pq4@1500 > 32:float32").ids[:, 0].tolist() == [0, 1]
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.lists == 20
        filler.unlink()
        index.partition(150, code_bytes=16)
        index.verify()
        assert names(small_disk / "index") == [
            "partition.2.seg",
            "segments/00000001.2.lists",
            "segments/00000001.seg",
        ]
