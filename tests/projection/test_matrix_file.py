"""Projections in files: round trips, matrices of models, and everything that is no projection."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla.errors import InputError, NewerFormatError, ReadError, WriteError
from kukla.projection import Identity, Linear, Projection, Rotation, random_rotation

TURN = random_rotation(8, seed=2)
WIDE = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)


@pytest.mark.parametrize("projection", [Identity(8), TURN, Linear(WIDE, about={"fit": "head", "x": [1.5]})])
def test_what_is_saved_is_loaded(tmp_path: Path, projection: Projection) -> None:
    path = tmp_path / "projection.npz"
    projection.save(path)
    projection.save(path)  # replaced
    assert Projection.load(path) == projection
    assert Projection.load(str(path)) == projection
    assert [file.name for file in tmp_path.iterdir()] == ["projection.npz"]


def test_saving_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.npz, got .*projection\.npy"):
        TURN.save(tmp_path / "projection.npy")
    with pytest.raises(WriteError, match="cannot be written: No such file"):
        TURN.save(tmp_path / "nowhere" / "projection.npz")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_npy_is_applied_from_the_right(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "turn.npy", TURN.matrix.astype(dtype))
    loaded = Projection.load(tmp_path / "turn.npy")
    assert isinstance(loaded, Rotation)
    assert np.array_equal(loaded.matrix, TURN.matrix)
    np.save(tmp_path / "wide.npy", WIDE.astype(dtype))
    wide = Projection.load(tmp_path / "wide.npy")
    assert type(wide) is Linear
    assert (wide.dim_in, wide.dim_out) == (8, 3)


def safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]], **changes: Any) -> Path:
    """Write the format by hand: it is eight bytes, JSON and the tensors."""
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        end = len(data) + array.nbytes
        entry = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), end]}
        header[name], data = entry | changes, data + array.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_safetensors_of_a_dense_module(tmp_path: Path) -> None:
    weight = np.ascontiguousarray(WIDE.T)  # torch: (out, in)
    path = safetensors(
        tmp_path / "model.safetensors",
        {"linear.bias": ("F32", np.zeros(3, np.float32)), "linear.weight": ("F32", weight)},
    )
    assert np.array_equal(Projection.load(path).arrays()["matrix"], WIDE)
    path = safetensors(tmp_path / "m.safetensors", {"matrix": ("F16", WIDE.astype(np.float16))})
    assert np.array_equal(Projection.load(path).arrays()["matrix"], WIDE.astype(np.float16))
    upper = (WIDE.view(np.uint32) >> 16).astype(np.uint16)
    path = safetensors(tmp_path / "b.safetensors", {"matrix": ("BF16", upper)})
    np.testing.assert_allclose(Projection.load(path).arrays()["matrix"], WIDE, rtol=0.01)


F4 = "F32"


@pytest.mark.parametrize(
    ("tensors", "changes", "message"),
    [
        ({"w": (F4, WIDE), "bias": (F4, np.ones(3, np.float32))}, {}, "bias is an offset that is not zero"),
        ({"a": (F4, WIDE), "b": (F4, WIDE)}, {}, "expected one matrix, got a, b"),
        ({}, {}, "expected one matrix, got none"),
        ({"a": ("I8", np.ones((2, 2), np.int8))}, {}, "a has dtype I8; allowed: F64, F32, F16, BF16"),
        ({"a": (F4, WIDE)}, {"shape": [9, 3]}, r"a \[9, 3\] needs 108 bytes"),
        ({"a": (F4, WIDE)}, {"data_offsets": [0, 5000]}, "bytes 0 to 5000 of 96"),
        ({"a": (F4, WIDE)}, {"data_offsets": "x"}, "holds no matrix that can be read"),
        ({"a": (F4, WIDE)}, {"shape": [-8, -3]}, "holds no matrix|needs|cannot"),
        ({"a": (F4, np.full((2, 2), np.nan, np.float32))}, {}, "row 0 holds nan"),
    ],
)
def test_safetensors_that_are_no_projection(
    tmp_path: Path, tensors: Any, changes: dict[str, Any], message: str
) -> None:
    path = safetensors(tmp_path / "model.safetensors", tensors, **changes)
    with pytest.raises(ReadError, match=message) as caught:
        Projection.load(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_projections(tmp_path: Path) -> None:
    cases: dict[str, bytes | Any] = {
        "empty.npz": b"",
        "text.npz": b"hello, this is a text",
        "empty.npy": b"",
        "text.npy": b"hello, this is a text",
        "short.safetensors": b"abc",
        "long.safetensors": struct.pack("<Q", 10**12) + b"{}",
        "list.safetensors": struct.pack("<Q", 2) + b"[]",
        "cut.safetensors": struct.pack("<Q", 3) + b'{"a',
        "vectors.txt": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=name):
            Projection.load(tmp_path / name)
    np.savez(tmp_path / "vectors.npz", vectors=WIDE)
    with pytest.raises(ReadError, match=r"is no saved projection: it holds vectors"):
        Projection.load(tmp_path / "vectors.npz")
    np.savez(tmp_path / "list.npz", projection=np.array("[1]"))
    with pytest.raises(ReadError, match="is no projection that can be read"):
        Projection.load(tmp_path / "list.npz")
    np.savez(tmp_path / "later.npz", projection=np.array('{"kind": "quantum"}'))
    with pytest.raises(NewerFormatError, match=r"later\.npz: unknown projection 'quantum'"):
        Projection.load(tmp_path / "later.npz")
    for array in (np.arange(4), np.ones(4), np.ones((2, 2, 2)), np.array([object()])):
        np.save(tmp_path / "array.npy", array, allow_pickle=True)
        with pytest.raises(ReadError, match=r"array\.npy"):
            Projection.load(tmp_path / "array.npy")
    with pytest.raises(ReadError, match="no such file"):
        Projection.load(tmp_path / "missing.npz")
    with pytest.raises(ReadError, match="is a folder"):
        Projection.load(tmp_path)


def test_every_truncation_and_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "projection.npz"
    TURN.save(path)
    good = path.read_bytes()
    for size in range(0, len(good), 23):
        path.write_bytes(good[:size])
        with pytest.raises(ReadError, match=r"projection\.npz"):
            Projection.load(path)
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x21]) + good[at + 1 :])
        try:  # zip has bytes that nobody reads: dates, for instance
            loaded = Projection.load(path)
        except (ReadError, NewerFormatError):
            continue
        assert loaded == TURN
