"""Segment files: what is written is what is read, and every damage has its error."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    NewerFormatError,
    StorageError,
    TruncatedFileError,
    WriteError,
)
from kukla.storage.container import (
    DTYPES,
    LARGEST_HEADER,
    Section,
    open_container,
    verify_container,
    write_container,
)

PREFIX = struct.Struct("<8sIIII")

ARRAYS = {
    "ids": np.arange(7, dtype="<i8"),
    "codes": np.arange(21, dtype="|u1").reshape(7, 3),
    "empty": np.empty((0, 4), dtype="<f4"),
    "vectors": np.linspace(0, 1, 35, dtype="<f4").reshape(7, 5),
}


def whole(name: str, array: np.ndarray[Any, Any]) -> Section:
    return Section(name, array.dtype.str, array.shape, lambda: (array,))


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "00000001.seg"
    write_container(path, [whole(name, array) for name, array in ARRAYS.items()], {"rows": 7})
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the header of a segment and give it a valid checksum, as an attacker would."""
    data = path.read_bytes()
    _, version, length, _, _ = PREFIX.unpack(data[: PREFIX.size])
    header = json.loads(data[PREFIX.size : PREFIX.size + length])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (length - len(text))
    prefix = PREFIX.pack(b"KUKLASEG", version, len(text), zlib.crc32(text), 0)
    path.write_bytes(prefix + text + data[PREFIX.size + len(text) :])


def test_arrays_come_back_as_they_were(segment: Path) -> None:
    header, arrays = open_container(segment)
    assert header["rows"] == 7
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
        assert not arrays[name].flags.writeable
    assert verify_container(segment) == segment.stat().st_size


def test_the_layout_is_the_one_in_the_docs(segment: Path) -> None:
    data = segment.read_bytes()
    magic, version, length, crc, zero = PREFIX.unpack(data[:24])
    text = data[24 : 24 + length]
    assert (magic, version, zero) == (b"KUKLASEG", 1, 0)
    assert crc == zlib.crc32(text)
    header = json.loads(text)
    end = 24 + length
    for entry in header["sections"]:
        assert entry["offset"] == -(-end // 64) * 64
        assert not any(data[end : entry["offset"]])
        end = entry["offset"] + entry["bytes"]
        assert entry["crc32"] == f"{zlib.crc32(data[entry['offset'] : end]):08x}"
    assert header["bytes"] == len(data) == -(-end // 64) * 64


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.integers(0, 70), st.integers(1, 3)), max_size=6),
    st.integers(1, 9),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_shapes_and_any_chunks(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[str, int, int]], step: int
) -> None:
    path = tmp_path_factory.mktemp("seg") / "a.seg"
    arrays = {
        f"s{i}": np.arange(rows * width).reshape(rows, width).astype(dtype)
        for i, (dtype, rows, width) in enumerate(shapes)
    }

    def chunked(name: str, array: np.ndarray[Any, Any]) -> Section:
        chunks = [array[start : start + step] for start in range(0, len(array), step)]
        return Section(name, array.dtype.str, array.shape, lambda: chunks)

    write_container(path, [chunked(name, array) for name, array in arrays.items()], {})
    verify_container(path)
    _, found = open_container(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_every_flipped_byte_is_found(segment: Path) -> None:
    data = segment.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        segment.write_bytes(damaged)
        with pytest.raises(StorageError, match=r"00000001\.seg"):
            verify_container(segment)


def test_every_truncation_is_found_when_opened(segment: Path) -> None:
    data = segment.read_bytes()
    for length in range(len(data)):
        segment.write_bytes(data[:length])
        with pytest.raises(TruncatedFileError, match=r"00000001\.seg"):
            open_container(segment)
    segment.write_bytes(data + b"\0")
    with pytest.raises(TruncatedFileError, match="its header says"):
        open_container(segment)


def test_a_flip_in_the_header_names_the_offset(segment: Path) -> None:
    data = bytearray(segment.read_bytes())
    data[30] ^= 1
    segment.write_bytes(data)
    with pytest.raises(ChecksumError, match="header \\(offset 24\\)"):
        open_container(segment)


def test_a_flip_in_a_section_is_found_by_verify_only(segment: Path) -> None:
    header, _ = open_container(segment)
    entry = header["sections"][-1]
    data = bytearray(segment.read_bytes())
    data[entry["offset"] + 5] ^= 1
    segment.write_bytes(data)
    open_container(segment)
    with pytest.raises(ChecksumError, match=f"section vectors \\(offset {entry['offset']}, 140 bytes\\)"):
        verify_container(segment)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", TruncatedFileError),
        (b"KUK", TruncatedFileError),
        (b"PK\x03\x04 a zip file of some length", ForeignFileError),
        (bytes(4096), ForeignFileError),
        (PREFIX.pack(b"KUKLASEG", 2, 0, 0, 0), NewerFormatError),
        (PREFIX.pack(b"KUKLASEG", 0, 0, 0, 0), ChecksumError),
        (PREFIX.pack(b"KUKLASEG", 1, LARGEST_HEADER + 1, 0, 0), ChecksumError),
        (PREFIX.pack(b"KUKLASEG", 1, 0, 0, 7), ChecksumError),
        (PREFIX.pack(b"KUKLASEG", 1, 0, 0, 0), ForeignFileError),
        (PREFIX.pack(b"KUKLASEG", 1, 90_000, 0, 0), TruncatedFileError),
    ],
)
def test_files_that_are_no_segments(tmp_path: Path, content: bytes, error: type[StorageError]) -> None:
    path = tmp_path / "00000009.seg"
    path.write_bytes(content)
    with pytest.raises(error, match=r"00000009\.seg"):
        open_container(path)


def test_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFileError, match="is missing"):
        open_container(tmp_path / "none.seg")
    with pytest.raises(ForeignFileError, match="is a folder"):
        open_container(tmp_path)


def first(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda header: header["sections"][0].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        first("dtype", "|O"),
        first("dtype", "<i4"),
        first("dtype", ["<i8"]),
        first("offset", 64),  # overlaps the header
        first("offset", 10**9),
        first("offset", -64),
        first("shape", [8]),
        first("shape", [-7]),
        first("shape", [7.0]),
        first("shape", "7"),
        first("shape", [True] * 7),
        first("bytes", 1e300),
        first("name", "codes"),
        first("crc32", 7),
        lambda header: header["sections"].pop(),
        lambda header: header["sections"].pop(0),
        lambda header: header.update(sections=None),
        lambda header: header.update(sections=[7]),
        lambda header: header.pop("bytes"),
        lambda header: header.update(bytes=float(header["bytes"])),
    ],
)
def test_a_header_that_lies_is_foreign(segment: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewritten(segment, change)
    with pytest.raises(ForeignFileError, match="no valid sections"):
        open_container(segment)


def test_a_replaced_name_does_not_disturb_an_open_map(segment: Path) -> None:
    _, arrays = open_container(segment)
    segment.unlink()
    np.testing.assert_array_equal(arrays["vectors"], ARRAYS["vectors"])


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield np.zeros(3, dtype="<i8")
        raise ChecksumError("the source is damaged")

    path = tmp_path / "00000001.seg"
    with pytest.raises(ChecksumError, match="the source"):
        write_container(path, [Section("ids", "<i8", (6,), broken)], {})
    with pytest.raises(WriteError, match="wrote 24 bytes, expected 48"):
        write_container(path, [Section("ids", "<i8", (6,), lambda: (np.zeros(3, dtype="<i8"),))], {})
    with pytest.raises(WriteError, match="above the limit"):
        write_container(path, [], {"padding": "x" * LARGEST_HEADER})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WriteError, match="No such file"):
        write_container(tmp_path / "none" / "1.seg", [], {})


def test_a_copy_is_as_good(segment: Path, tmp_path: Path) -> None:
    shutil.copy(segment, tmp_path / "copy.seg")
    assert verify_container(tmp_path / "copy.seg") == segment.stat().st_size
