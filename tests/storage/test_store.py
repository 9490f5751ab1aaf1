"""The store: damaged segments, the merge policy, full disks, readers beside writers."""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import Index
from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    InputError,
    NewerFormatError,
    NotFoundError,
    StorageError,
    TruncatedFileError,
    VectorError,
    WriteError,
)
from kukla.storage import store as store_module
from kukla.storage.container import open_container

Spawn = Callable[..., "subprocess.Popen[str]"]
Vectors = NDArray[np.float32]


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "segments").iterdir())


# Damage


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda path: path.unlink(), TruncatedFileError, "is missing"),
        (lambda path: path.write_bytes(b""), TruncatedFileError, "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:-64]), TruncatedFileError, "its header says"),
        (lambda path: path.write_bytes(b"hello, I am a text file"), ForeignFileError, "not a Kukla segment"),
        (
            lambda path: path.write_bytes(b"KUKLASEG\2" + path.read_bytes()[9:]),
            NewerFormatError,
            "format version 2",
        ),
        (lambda path: (path.unlink(), path.mkdir()), ForeignFileError, "is a folder"),
    ],
)
def test_a_damaged_segment_does_not_open(
    folder: Path, damage: Callable[[Path], object], error: type[StorageError], message: str
) -> None:
    path = segments(folder)[1]
    damage(path)
    with pytest.raises(error, match=message) as raised:
        Index.open(folder)
    assert str(path) in str(raised.value)


def test_the_segment_of_another_index_is_foreign(folder: Path, tmp_path: Path) -> None:
    with Index.create(tmp_path / "other", dim=12, nesting=(4, 12)) as other:
        other.add(np.ones((25, 12), dtype=np.float32))
    shutil.copy(segments(tmp_path / "other")[0], segments(folder)[0])
    with pytest.raises(ForeignFileError, match=r"00000001\.seg: section norms\.5 should be"):
        Index.open(folder)


def search_and_verify(folder: Path) -> None:
    with Index.open(folder) as index:
        with contextlib.suppress(StorageError):
            index.search(np.ones((2, 12)), 5)
            index.search(np.ones(12), 5, plan="5:int8@8 > 12:float32", filter={"even": True})
        index.verify()


def test_flips_in_a_segment_are_found_and_never_crash(folder: Path) -> None:
    """Every 97th byte: found when opened or by verify; a search that did not verify still returns."""
    path = segments(folder)[0]
    data = path.read_bytes()
    for position in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[position] ^= 0x80
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=path.name):
            search_and_verify(folder)


def test_opening_reads_no_vectors(folder: Path, vectors: Vectors) -> None:
    path = segments(folder)[0]
    data = bytearray(path.read_bytes())
    data[-70] ^= 1  # inside the float32 vectors, the last section
    path.write_bytes(data)
    with Index.open(folder) as index:
        with pytest.raises(ChecksumError, match=r"section float32 \(offset \d+"):
            index.verify()
        with pytest.raises(ChecksumError, match="section float32"):
            index.compact()  # damage is not given a new, valid checksum
        assert len(index) == 39
        assert index.get("d30")[0].text == "text 30"
    with pytest.raises(ChecksumError, match="section float32"):
        Index.open(folder, verify=True)


def test_orphans_go_with_the_next_change(folder: Path) -> None:
    for name in ("00000099.seg", "00000098.tmp"):
        (folder / "segments" / name).write_bytes(b"left by a killed writer")
    (folder / "segments" / "notes.txt").write_text("not ours")
    with Index.open(folder) as index:
        assert len(segments(folder)) == 5
        index.delete("nothing")
        assert [path.name for path in segments(folder)] == ["00000001.seg", "00000002.seg", "notes.txt"]


def test_a_segments_folder_that_is_gone(folder: Path) -> None:
    with Index.open(folder) as index:
        shutil.rmtree(folder / "segments")
        with pytest.raises(WriteError, match="segments"):
            index.delete("d01")
        assert index.search(np.ones(12), 3).ids.shape == (1, 3)  # the maps are still there


def test_values_that_a_precision_cannot_hold(tmp_path: Path) -> None:
    with Index.create(tmp_path / "ip", dim=2, metric="ip", nesting=[2], precisions=["float16"]) as index:
        index.add(np.array([[65_504.0, -65_519.0]]), ids=["fits"])
        with pytest.raises(VectorError, match=r"document 'big' holds a value of magnitude 65520.*float16"):
            index.add(np.array([[1.0, 1.0], [0.0, -65_520.0]]), ids=["a", "big"])
        assert len(index) == 1
        assert np.isfinite(index.search(np.array([1.0, 1.0])).scores).all()


# Changes


def test_many_single_adds_keep_the_segments_few(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    with Index.create(tmp_path / "index", dim=4, nesting=[4]) as index:
        most = 0
        for row in vectors:
            index.add(row)
            most = max(most, len(segments(tmp_path / "index")))
        assert most <= 7 + 1
        assert len(index) == 300
        index.verify()
        expected = np.argsort(-vectors @ vectors[9] / np.linalg.norm(vectors, axis=1))[:10]
        np.testing.assert_array_equal(index.search(vectors[9], plan="4:float32").ids[0], expected)


def test_large_segments_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(1).normal(size=(90, 4)).astype(np.float32)
    with Index.create(tmp_path / "index", dim=4, nesting=[4]) as index:
        index.add(vectors[:10])
        monkeypatch.setattr(
            store_module, "LARGEST_MERGE_BYTES", segments(tmp_path / "index")[0].stat().st_size
        )
        for start in range(10, 90, 10):
            index.add(vectors[start : start + 10])
        assert len(segments(tmp_path / "index")) == 9
        index.delete(range(6))  # but a thin one is rewritten
        assert "00000001.seg" not in [path.name for path in segments(tmp_path / "index")]
        index.compact()
        assert len(segments(tmp_path / "index")) == 1


def test_batches_in_any_order_are_the_same_index(tmp_path: Path) -> None:
    """Rows are gathered by blocks, of one or of many; with and without texts, by one or by two hundred."""
    vectors = np.random.default_rng(1).normal(size=(250, 12)).astype(np.float32)
    numbers = np.random.default_rng(2).permutation(250)
    ids = [f"d{i:03d}" for i in numbers]
    with Index.create(tmp_path / "a", dim=12) as a, Index.create(tmp_path / "b", dim=12) as b:
        a.add(vectors, ids=ids)
        order = np.argsort(numbers)
        b.add(vectors[order], ids=sorted(ids), texts=[None] * 249 + ["last"], batch_rows=101)
        b.compact()
        a.verify()
        b.verify()
        _, of_a = open_container(segments(tmp_path / "a")[0])
        _, of_b = open_container(segments(tmp_path / "b")[0])
        assert of_a.keys() == of_b.keys()
        for name in of_a.keys() - {"keys"}:
            assert of_a[name].tobytes() == of_b[name].tobytes(), name
        assert b.get("d249")[0].text == "last"


def test_deleted_rows_do_not_pile_up(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)
    with Index.create(tmp_path / "index", dim=4, nesting=[4]) as index:
        index.add(vectors)
        for _ in range(12):
            index.upsert(vectors[:60], ids=range(60))
            info = index.info()
            assert info.documents == 100
            assert info.deleted_rows <= 100
        index.delete(range(90))
        assert index.info().deleted_rows <= 10
        index.delete(range(100))
        assert index.info().segments == 0
        assert segments(tmp_path / "index") == []
        index.verify()


def test_compact_leaves_one_segment(folder: Path, vectors: Vectors) -> None:
    with Index.open(folder) as index:
        index.upsert(vectors[:3] + 1, ids=["d00", "d39", "e"])
        before = index.search(vectors, 39, plan="12:float32")
        index.compact()
        after = index.search(vectors, 39, plan="12:float32")
        np.testing.assert_array_equal(before.ids, after.ids)
        np.testing.assert_array_equal(before.scores, after.scores)
        info = index.info()
        assert (info.segments, info.deleted_rows, info.documents) == (1, 0, 40)
        index.verify()
        name = segments(folder)[0].name
        index.compact()
        assert segments(folder)[0].name == name  # nothing to do


def test_a_merge_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kukla.storage.segment.MERGE_BYTES", 100)  # many chunks, some of one row
    vectors = np.random.default_rng(1).normal(size=(60, 9)).astype(np.float32)
    ids = [f"{i * 37 % 60}" for i in range(60)]
    with Index.create(tmp_path / "index", dim=9, nesting=(3, 9)) as index:
        for start in range(0, 60, 20):
            index.add(vectors[start : start + 20], ids=ids[start : start + 20])
        index.compact()
        for vector, document in zip(vectors, index.get(ids), strict=True):
            assert document.vector is not None
            np.testing.assert_allclose(document.vector, vector / np.linalg.norm(vector), rtol=1e-6)
        index.verify()


def test_a_change_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the new segment is written, before the commit: it is an orphan, and nothing else happened."""
    with Index.open(folder) as index:

        def fail(*_: object) -> None:
            raise RuntimeError("as if killed")

        with monkeypatch.context() as patch:
            patch.setattr(store_module.Store, "_merge_some", fail)
            with pytest.raises(RuntimeError, match="as if killed"):
                index.upsert(np.ones((2, 12)), ids=["d00", "new"])
        assert len(segments(folder)) == 3
        assert (len(index), "new" in index, index.get("d00")[0].text) == (39, False, "text 0")
        index.add(-np.ones((1, 12)), ids=["other"])  # takes the number of the orphan
        assert len(segments(folder)) == 3
        assert index.search(-np.ones(12), 1).ids[0, 0] == "other"
        index.verify()


# Full disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mounted"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    quiet = subprocess.DEVNULL
    if sys.platform != "linux" or shutil.which("mount") is None or subprocess.call(command, stderr=quiet):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.check_call(["umount", "-l", str(path)])


def test_a_full_disk(small_disk: Path) -> None:
    rng = np.random.default_rng(5)
    folder = small_disk / "index"
    with Index.create(folder, dim=64) as index:
        index.add(rng.normal(size=(200, 64)))
        counts = [200]
        batches = (rng.normal(size=(200, 64)) for _ in range(100))
        with pytest.raises(WriteError, match="could not write"):
            index.add(batches, batch_rows=200, progress=lambda done, _: counts.append(200 + done))
        added = counts[-1]
        assert len(index) == added
        assert index.search(np.ones(64), 5).ids.shape == (1, 5)
        index.delete(-1)  # clears away the file of the failed change
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            file.writelines([bytes(4096)] * 1000)
        for _ in range(3):  # not a byte left: the catalog cannot be written either
            with pytest.raises(WriteError, match="could not write"):
                index.add(rng.normal(size=(1, 64)), texts=["x" * 50_000])
        assert len(index) == added
    with Index.open(folder, verify=True) as index:
        assert len(index) == added
        filler.unlink()
        index.delete(range(added - 100))
        index.compact()
        index.add(rng.normal(size=(200, 64)))
        assert len(index) == 300
        index.verify()


LIMITED = """
import resource, sys, numpy as np, kukla
from kukla.errors import WriteError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
index = kukla.Index.open(sys.argv[1])
try:
    index.add(np.random.default_rng(1).normal(size=(20_000, 12)), ids=map(str, range(20_000)))
except WriteError as error:
    print("WriteError", len(index))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limits here")
def test_a_file_that_may_not_grow(folder: Path, spawn: Spawn) -> None:
    output, errors = spawn(LIMITED, folder).communicate(timeout=60)
    assert (output, errors) == ("WriteError 39\n", "")
    with Index.open(folder, verify=True) as index:
        assert len(index) == 39
        index.add(np.ones((1, 12)), ids=["new"])


# Readers beside writers

READ = """
import sys, numpy as np, kukla
with kukla.Index.open(sys.argv[1], read_only=sys.argv[2] == "read-only") as index:
    print("ready")
    queries = np.random.default_rng(3).normal(size=(3, 12))
    count, seen = 0, set()
    while "stop" not in index:
        result = index.search(queries, 7, threads=2)
        assert result.ids.shape == (3, 7), result.ids.shape
        assert len(index) % 10 == 0, len(index)
        assert index.get("keep")[0].text == "kept"
        seen.add(len(index))
        count += 1
    print(count, len(seen))
"""


@pytest.mark.slow
def test_readers_see_whole_commits_only(tmp_path: Path, spawn: Spawn) -> None:
    """Documents come and go by tens, segments are merged and compacted; nobody sees a part of it."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "index"
    with Index.create(folder, dim=12, nesting=(4, 12)) as index:
        index.add(rng.normal(size=(10, 12)), ids=["keep", *map(str, range(9))], texts=["kept"] * 10)
        readers = [spawn(READ, folder, mode) for mode in ("read-only", "writable")]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        odd: list[object] = []

        def search() -> None:
            try:
                while "stop" not in index:
                    assert len(index) % 10 == 0
                    index.search(rng.normal(size=12), 5, filter={"n": {"$gte": 0}})
                    assert index.get("keep")[0].text == "kept"
            except BaseException as error:
                odd.append(error)

        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 4
        batch = 0
        while time.monotonic() < end:
            ids = [f"{batch}-{i}" for i in range(10)]
            index.add(rng.normal(size=(10, 12)), ids=ids, metadata=[{"n": batch}] * 10)
            if batch % 3 == 2:
                index.delete([f"{batch - 1}-{i}" for i in range(10)])
            if batch % 7 == 6:
                index.compact()
            batch += 1
        index.add(np.ones((10, 12)), ids=["stop", *(f"last-{i}" for i in range(9))])
        for thread in threads:
            thread.join()
        assert odd == []
        for reader in readers:
            output, errors = reader.communicate(timeout=30)
            assert (reader.returncode, errors) == (0, "")
            searched, states = map(int, output.split())
            assert searched > 5
            assert states > 3
        index.verify()


def test_verify_beside_a_merge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that was merged away between the list and the look at it is not missing."""
    with Index.open(folder) as index, Index.open(folder) as writer:
        original = store_module.verify_container

        def merged_first(path: Path) -> int:
            monkeypatch.setattr(store_module, "verify_container", original)
            writer.compact()
            return original(path)

        monkeypatch.setattr(store_module, "verify_container", merged_first)
        index.verify()
        segments(folder)[0].unlink()
        with pytest.raises(TruncatedFileError, match="is missing"):
            index.verify()


def test_a_reader_tries_again_when_a_file_was_merged_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(folder) as writer, Index.open(folder) as index:
        writer.add(np.ones((1, 12)), ids=["new"])
        original = store_module.Store._open

        def merged_first(self: Any, number: int, rows: int) -> Any:
            monkeypatch.setattr(store_module.Store, "_open", original)
            writer.compact()
            return original(self, number, rows)

        monkeypatch.setattr(store_module.Store, "_open", merged_first)
        assert len(index) == 40


def test_many_threads_search_at_once(folder: Path, vectors: Vectors) -> None:
    with Index.open(folder) as index:
        expected = index.search(vectors, 10)
        odd: list[object] = []

        def search(seed: int) -> None:
            try:
                for i in np.random.default_rng(seed).integers(0, 40, size=30):
                    found = index.search(vectors[i], 10, filter={"even": True} if i % 2 else None)
                    if i % 2 == 0:
                        np.testing.assert_array_equal(found.ids[0], expected.ids[i])
                    assert index.get("d05")[0].text == "text 5"
            except BaseException as error:
                odd.append(error)

        threads = [threading.Thread(target=search, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert odd == []


def test_find_is_exact(folder: Path) -> None:
    with Index.open(folder) as index:
        for id_ in ("", "d", "d0", "d03", "d40", "zzz", "d00\0"):
            if id_:
                assert id_ not in index
                with pytest.raises(NotFoundError, match="no document with the id"):
                    index.get(id_)
        with pytest.raises(InputError, match="1 to 1024 characters"):
            index.get("")


def test_a_segment_cut_off_while_it_is_mapped(folder: Path) -> None:
    """Touching the lost pages would end the process; ``verify`` reads the file and can tell."""
    with Index.open(folder) as index:
        path = segments(folder)[0]
        with path.open("rb+") as file:
            file.truncate(4096)
        with pytest.raises(TruncatedFileError, match=r"has 4096 bytes; its header says \d+"):
            index.verify()


def test_the_abuse_log_names_tests_that_exist() -> None:
    tests = Path(__file__).parents[1]
    log = (tests.parent / "docs" / "format.md").read_text(encoding="utf-8").split("## The abuse log")[1]
    code = "".join(path.read_text(encoding="utf-8") for path in tests.rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", log))
    assert len(named) > 40
    assert sorted(name for name in named if f"def {name}(" not in code) == []
