"""Files of vectors: every format gives the same batches; every bad file is named."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kukla.errors import InputError, MissingExtraError, ReadError, WriteError
from kukla.readers import VectorFile, read_vectors, write_vectors

X = np.random.default_rng(7).standard_normal((23, 5)).astype(np.float32)
NAMES = [f"doc-{i}" for i in range(len(X))]


def _npz(path: Path) -> None:
    np.savez_compressed(path, other=np.zeros(3), embeddings=X, ids=np.array(NAMES))


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["train"] = X
        file["test"] = X[:2]
        file["neighbors"] = np.zeros((2, 3), dtype=np.int32)


def _parquet(path: Path, kind: Any = None) -> None:
    kind = kind or pa.list_(pa.float32(), X.shape[1])
    table = pa.table({"id": NAMES, "embedding": pa.array(X.tolist(), type=kind)})
    pq.write_table(table, path, row_group_size=7)


def _json_lines() -> bytes:
    rows = ({"_id": name, "vector": row} for name, row in zip(NAMES, X.tolist(), strict=True))
    return "\n".join(map(json.dumps, rows)).encode()


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: write_vectors(path, X),
    "big.npy": lambda path: np.save(path, X.astype(">f4")),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(X)),
    "a.npz": _npz,
    "a.NPZ": lambda path: write_vectors(path, X),
    "a.fvecs": lambda path: write_vectors(path, X),
    "a.fbin": lambda path: write_vectors(path, X),
    "a.hdf5": _hdf5,
    "a.h5": _hdf5,
    "a.parquet": _parquet,
    "list.parquet": lambda path: _parquet(path, pa.list_(pa.float32())),
    "large.parquet": lambda path: _parquet(path, pa.large_list(pa.float32())),
    "a.jsonl": lambda path: path.write_bytes(_json_lines()),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(_json_lines())),
}


def _all(file: VectorFile, batch_size: int = 4) -> NDArray[Any]:
    return np.concatenate(list(file.batches(batch_size)))


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_vectors(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    file = read_vectors(path)
    assert file.shape == X.shape
    assert file.dtype == np.float32
    for batch_size in (1, 4, 23, 100):
        batches = list(file.batches(batch_size))
        np.testing.assert_array_equal(np.concatenate(batches), X)
        assert all(len(batch) <= batch_size for batch in batches)
        assert all(b.dtype == np.float32 and b.flags.c_contiguous and b.flags.writeable for b in batches)
    for limit in (0, 6, 99):
        first = read_vectors(path, limit=limit)
        assert first.shape == (min(limit, len(X)), X.shape[1])
        np.testing.assert_array_equal(np.concatenate([X[:0], *first.batches(4)]), X[:limit])
    if file.has_ids:
        assert list(file.ids()) == NAMES
        assert list(read_vectors(path, limit=3).ids()) == NAMES[:3]
    else:
        with pytest.raises(ReadError, match="has no ids"):
            file.ids()
    assert file.has_ids == (name in {"a.npz", "a.jsonl", "a.jsonl.gz"} or name.endswith(".parquet"))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_wider_and_narrower_floats_keep_their_dtype(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    x = X.astype(dtype)
    for name in ("a.npy", "a.npz"):
        write_vectors(tmp_path / name, x)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["only"] = x
    pq.write_table(pa.table({"vectors": pa.array(list(x))}), tmp_path / "a.parquet")
    for name in ("a.npy", "a.npz", "a.hdf5", "a.parquet"):
        opened = read_vectors(tmp_path / name)
        assert opened.dtype == dtype
        np.testing.assert_array_equal(_all(opened), x)
    write_vectors(tmp_path / "a.fbin", x)
    np.testing.assert_array_equal(_all(read_vectors(tmp_path / "a.fbin")), x.astype(np.float32))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_one_axis_is_one_vector(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, X[0])
    elif name == "a.npz":
        np.savez(path, X[0])
    else:
        with h5py.File(path, "w") as file:
            file["v"] = X[0]
    file = read_vectors(path)
    assert file.shape == (1, 5)
    np.testing.assert_array_equal(_all(file), X[:1])


def test_no_vectors_are_no_batches(tmp_path: Path) -> None:
    for name in ("a.npy", "a.npz", "a.fbin"):
        write_vectors(tmp_path / name, X[:0])
        file = read_vectors(tmp_path / name)
        assert file.shape == (0, 5)
        assert list(file.batches(3)) == []


def test_a_key_chooses(tmp_path: Path) -> None:
    _hdf5(tmp_path / "a.hdf5")
    assert read_vectors(tmp_path / "a.hdf5", key="test").shape == (2, 5)
    write_vectors(tmp_path / "a.npz", {"x": X, "y": X[:3]})
    assert read_vectors(tmp_path / "a.npz", key="y").shape == (3, 5)
    (tmp_path / "a.jsonl").write_text('{"v": [1, 2], "vector": [1]}\n')
    assert read_vectors(tmp_path / "a.jsonl", key="v").shape == (1, 2)


def _bytes_of(array: NDArray[Any], allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def _npz_bytes(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _zip(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def _int(*values: int) -> bytes:
    return np.array(values, dtype="<i4").tobytes()


OBJECTS = np.array([[1, "a"]], dtype=object)
ROWS = _bytes_of(X)
ALLOWED = "allowed: float16, float32, float64"

BAD = [
    ("a.npy", b"", "not an npy array"),
    ("a.npy", b"garbage garbage", "not an npy array"),
    ("a.npy", ROWS[:9], "not an npy array"),
    ("a.npy", ROWS[:-1], r"truncated: \d+ bytes; the header says \(23, 5\) of float32, which needs \d+"),
    ("a.npy", ROWS + b"x", "too long"),
    ("a.npy", _bytes_of(OBJECTS, allow_pickle=True), "pickled Python objects, which are never loaded"),
    ("a.npy", _bytes_of(X.astype(np.int64)), f"dtype is int64; {ALLOWED}"),
    ("a.npy", _bytes_of(np.array(["a"])), f"dtype is <U1; {ALLOWED}"),
    ("a.npy", _bytes_of(X.astype(np.longdouble)), f"dtype is .*; {ALLOWED}"),
    ("a.npy", _bytes_of(X[None]), r"shape is \(1, 23, 5\); allowed: \(n, dim\) or \(dim,\)"),
    ("a.npy", _bytes_of(np.float32(3)), r"shape is \(\)"),
    ("a.npy", _bytes_of(X[:, :0]), r"shape is \(23, 0\); a vector has at least one dim"),
    ("a.npy", _npz_bytes(x=X), "not an npy array"),
    ("a.npz", ROWS, "not an npz file"),
    ("a.npz", _npz_bytes(x=X)[:200], "not an npz file"),
    ("a.npz", _npz_bytes(x=X, y=X), "which array.*the arrays are x, y"),
    ("a.npz", _npz_bytes(), "which array.*the arrays are none"),
    ("a.npz", _npz_bytes(x=np.asfortranarray(X)), "array 'x': Fortran order"),
    ("a.npz", _npz_bytes(x=X.astype(int)), f"array 'x': dtype is int64; {ALLOWED}"),
    ("a.npz", _npz_bytes(x=OBJECTS), "array 'x': holds pickled"),
    ("a.npz", _npz_bytes(x=X, ids=OBJECTS[0]), "array 'ids' cannot be read"),
    ("a.npz", _npz_bytes(x=X, ids=np.arange(3)), r"array 'ids' is int64 of shape \(3,\)"),
    ("a.npz", _npz_bytes(x=X, ids=X[:, 0]), "array 'ids' is float32"),
    ("a.npz", _zip("x.npy", ROWS[:-8]), "array 'x': truncated in the batch at row 20"),
    ("a.npz", _zip("x.npy", b"nothing"), "array 'x': not an npy array"),
    ("a.fvecs", b"", "0 bytes; expected at least one vector"),
    ("a.fvecs", _int(0), "the header says dim 0; allowed: 1 to 1000000"),
    ("a.fvecs", _int(-1, 1), "the header says dim -1"),
    ("a.fvecs", b"garbage garbage", "the header says dim 1651663207"),
    ("a.fvecs", _int(2, 0, 0, 2, 0), "20 bytes, 8 after the last whole vector; dim 2 needs a multiple of 12"),
    ("a.fvecs", _int(1, 0, 3, 0), "vector 1 says dim 3; the first says 1"),
    ("a.fbin", b"1234567", "7 bytes; expected a header of 8"),
    ("a.fbin", _int(1, 0), "dim 0"),
    ("a.fbin", _int(2, 1, 0), r"truncated: 12 bytes; the header says \(2, 1\) of float32, which needs 16"),
    ("a.fbin", _int(1, 1, 0, 0), "too long"),
    ("a.hdf5", b"garbage", "not an HDF5 file"),
    ("a.parquet", b"garbage", "not a Parquet file"),
    ("a.jsonl", b"", "no rows"),
    ("a.jsonl", b'{"text": "x"}', "no field 'vector' or 'embedding' .*; the fields are 'text'"),
    (
        "a.jsonl",
        b'{"vector": [1, 2]}\n{"vector": [1]}',
        ":2: field 'vector' has 1 numbers; the rows before have 2",
    ),
    ("a.jsonl", b'{"vector": [1]}\n{"v": [1]}', ":2: no field 'vector'; the fields are 'v'"),
    ("a.jsonl", b'{"vector": [[1]]}', ":1: field 'vector' holds list; expected only numbers"),
    ("a.jsonl", b'{"vector": [1], "id": 1}\n{"vector": [1], "id": 1.5}', ":2: field 'id' holds 1.5"),
    ("a.jsonl", b'{"vector": [1], "id": 1}\n{"vector": [1]}', ":2: no field 'id'"),
    ("a.txt", b"1 2 3", r"suffix '\.txt' holds no vectors; allowed: \.npy"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ReadError, match=message) as caught:
        list(read_vectors(path).batches(4))
    assert str(path) in str(caught.value)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Bomb()], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ReadError, match="pickled"):
            read_vectors(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32())),
            "row 2 holds 1 numbers; the rows before have 2",
        ),
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float32())), "row 2 holds null; the rows before have 2"),
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)), "row 2 holds null"),
        (
            pa.array([[1.0, 2.0], [None, 1.0]], pa.list_(pa.float32(), 2)),
            "row 2 holds a null among its numbers",
        ),
        (pa.array([[], [1.0]], pa.list_(pa.float32())), "the first row is empty"),
        (pa.array([None, [1.0]], pa.list_(pa.float32())), "the first row is empty"),
        (pa.array([], pa.list_(pa.float32())), "no rows"),
        (pa.array([[1, 2]], pa.list_(pa.int64())), "type is list.*int64.*; allowed: a list"),
        (pa.array([[[1.0]]], pa.list_(pa.list_(pa.float32()))), "type is list"),
        (pa.array(["text"]), "type is string; allowed: a list"),
    ],
)
def test_a_bad_parquet_column_is_named(tmp_path: Path, column: Any, message: str) -> None:
    pq.write_table(pa.table({"vector": column}), tmp_path / "a.parquet")
    with pytest.raises(ReadError, match=rf"a\.parquet: column 'vector': .*{message}"):
        list(read_vectors(tmp_path / "a.parquet").batches(1))


def test_a_null_id_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"vector": [[1.0], [2.0]], "id": ["a", None]}), tmp_path / "a.parquet")
    with pytest.raises(ReadError, match=r"a\.parquet:2: field 'id' holds None"):
        list(read_vectors(tmp_path / "a.parquet").ids())


def test_a_bad_hdf5_dataset_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["train"] = np.zeros((2, 3), dtype=np.int32)
        file["group/deep"] = X
        file["none"] = h5py.Empty("f4")
    with pytest.raises(ReadError, match="dataset 'train': dtype is int32"):
        read_vectors(path)
    with pytest.raises(ReadError, match="dataset 'none': is empty"):
        read_vectors(path, key="none")
    with pytest.raises(ReadError, match="no array 'test'; the arrays are group/deep, none, train"):
        read_vectors(path, key="test")
    np.testing.assert_array_equal(_all(read_vectors(path, key="group/deep")), X)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ReadError, match="not an HDF5 file, or truncated"):
        read_vectors(path)


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.jsonl"])
def test_a_key_that_is_not_there_lists_those_that_are(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    with pytest.raises(ReadError, match=r"no (array|field) 'missing'; the (arrays|fields) are .*id"):
        read_vectors(tmp_path / name, key="missing")


@pytest.mark.parametrize("name", ["a.npy", "a.fvecs", "a.fbin"])
def test_a_key_for_one_array_is_refused(tmp_path: Path, name: str) -> None:
    write_vectors(tmp_path / name, X)
    with pytest.raises(ReadError, match="holds one array without a name; key 'x'"):
        read_vectors(tmp_path / name, key="x")


def test_bad_arguments(tmp_path: Path) -> None:
    write_vectors(tmp_path / "a.npy", X)
    with pytest.raises(InputError, match="limit is -1"):
        read_vectors(tmp_path / "a.npy", limit=-1)
    with pytest.raises(InputError, match="batch_size is 0"):
        read_vectors(tmp_path / "a.npy").batches(0)
    with pytest.raises(ReadError, match="no such file"):
        read_vectors(tmp_path / "b.npy")
    with pytest.raises(ReadError, match="is a folder"):
        read_vectors(tmp_path)


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("a.parquet", "pyarrow", "parquet"), ("a.hdf5", "h5py", "hdf5")]
)
def test_missing_extras_name_their_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    WRITERS[name](tmp_path / name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"reading .*kukla\[{extra}\]"):
        read_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "vectors", "message"),
    [
        ("a.hdf5", X, r"suffix '\.hdf5' cannot be written; allowed: \.npy \.npz \.fvecs \.fbin"),
        ("a.npy", {"x": X}, r"only \.npz holds 1 named ones"),
        ("a.npy", X[0], r"cannot write float32 of shape \(5,\)"),
        ("a.npy", X.astype(int), "cannot write int64"),
        ("a.npz", {"x": OBJECTS}, "array 'x' holds Python objects"),
        ("a.fvecs", X[:0], "would not say its dim"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, vectors: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_vectors(tmp_path / name, vectors)
    assert list(tmp_path.iterdir()) == []


def test_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    write_vectors(tmp_path / "a.npz", {"vectors": np.asfortranarray(X), "ids": np.array(NAMES)})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert list(read_vectors(tmp_path / "a.npz").ids()) == NAMES
    with pytest.raises(WriteError, match="cannot be written"):
        write_vectors(tmp_path / "absent" / "a.npy", X)


def test_fvecs_bytes_are_what_others_read(tmp_path: Path) -> None:
    write_vectors(tmp_path / "a.fvecs", np.array([[1, 2], [3, 4]], dtype=np.float64))
    rows = np.fromfile(tmp_path / "a.fvecs", dtype="<i4").reshape(2, 3)
    assert rows[:, 0].tolist() == [2, 2]
    assert rows[:, 1:].copy().view("<f4").tolist() == [[1, 2], [3, 4]]
