"""The segment file: a checksummed header and named arrays, written once and memory-mapped.

Layout (little-endian; ``docs/format.md`` is normative)::

    0   8 bytes   magic "KUKLASEG"
    8   uint32    format version
    12  uint32    length of the header JSON, at most 1 MiB
    16  uint32    CRC-32 of the header JSON
    20  uint32    zero
    24  JSON      {"bytes": file size, "sections": [{name, dtype, shape, offset, bytes, crc32}], ...}
    ..  sections  each at the next multiple of 64 after what precedes it, zero filled between
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from kukla.errors import (
    ChecksumError,
    ForeignFileError,
    NewerFormatError,
    StorageError,
    TruncatedFileError,
    WriteError,
)
from kukla.kernels.checksum import crc32

__all__ = ["FORMAT_VERSION", "Block", "Section", "open_container", "verify_container", "write_container"]

MAGIC = b"KUKLASEG"
FORMAT_VERSION = 1
ALIGNMENT = 64
LARGEST_HEADER = 1 << 20
CHECK_BYTES = 1 << 20
DTYPES = ("<i8", "<u8", "<u4", "<f4", "<f2", "|i1", "|u1")
_PREFIX = struct.Struct("<8sIIII")


@dataclass(frozen=True, slots=True)
class Section:
    """A named array to write: its whole shape, and its rows chunk by chunk (``None``: in ``blocks``)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[NDArray[Any]]] | None

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


Block = Mapping[str, NDArray[Any]]
"""The next rows of several sections, by name."""


def write_container(
    path: Path, sections: Sequence[Section], attributes: Mapping[str, Any], blocks: Iterable[Block] = ()
) -> int:
    """Write a file beside ``path``, sync it to disk and rename it into place.

    Parameters
    ----------
    path : Path
        Must not exist yet: segments are immutable.
    sections : sequence of Section
    attributes : mapping
        JSON-able, stored in the header.
    blocks : iterable of Block
        The rows of sections without chunks, for who makes them together: they go to their places in the
        file as they come. Chunks are asked for after the last block.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    WriteError
        Disk full, no permission. Nothing is left behind at ``path`` or beside it.
    """
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb", buffering=0) as file:
            size = _write(file.fileno(), sections, attributes, blocks)
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise WriteError(f"could not write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return size


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Writer:
    """Appends rows to one section, and keeps their checksum."""

    def __init__(self, descriptor: int, section: Section, offset: int) -> None:
        self.section = section
        self.written = self.crc = 0
        self._descriptor, self._offset = descriptor, offset

    def write(self, rows: NDArray[Any]) -> None:
        data = np.ascontiguousarray(rows, dtype=self.section.dtype).reshape(-1).view(np.uint8)
        if self.written + len(data) > self.section.size:  # before it runs into the next section
            self._complain(self.written + len(data))
        self.crc = crc32(data, self.crc)
        _write_at(self._descriptor, data.data, self._offset + self.written)
        self.written += len(data)

    def finish(self) -> str:
        if self.written != self.section.size:
            self._complain(self.written)
        return f"{self.crc:08x}"

    def _complain(self, size: int) -> NoReturn:
        raise WriteError(f"section {self.section.name} wrote {size} bytes, expected {self.section.size}")


def _write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _write(
    descriptor: int, sections: Sequence[Section], attributes: Mapping[str, Any], blocks: Iterable[Block]
) -> int:
    # The header's length must be known before the checksums are: they are written with fixed width.
    entries = [
        {
            "name": s.name,
            "dtype": s.dtype,
            "shape": list(s.shape),
            "offset": 0,
            "bytes": s.size,
            "crc32": "0" * 8,
        }
        for s in sections
    ]

    def header(offset_of_sections: int) -> tuple[bytes, int]:
        offset = offset_of_sections
        for entry, section in zip(entries, sections, strict=True):
            offset = _aligned(offset)
            entry["offset"] = offset
            offset += section.size
        size = _aligned(offset)
        return json.dumps(
            {"bytes": size, **attributes, "sections": entries}, separators=(",", ":")
        ).encode(), size

    room = ALIGNMENT
    while True:
        text, size = header(room)
        needed = _aligned(_PREFIX.size + len(text))
        if needed <= room:
            break
        room = needed
    if len(text) > LARGEST_HEADER:
        raise WriteError(f"a segment header of {len(text)} bytes is above the limit of {LARGEST_HEADER}")
    writers = {
        section.name: _Writer(descriptor, section, cast("int", entry["offset"]))
        for entry, section in zip(entries, sections, strict=True)
    }
    for block in blocks:
        for name, rows in block.items():
            writers[name].write(rows)
    for entry, (section, writer) in zip(entries, zip(sections, writers.values(), strict=True), strict=True):
        for chunk in section.chunks() if section.chunks is not None else ():
            writer.write(chunk)
        entry["crc32"] = writer.finish()
    os.ftruncate(descriptor, size)
    text, _ = header(room)
    _write_at(descriptor, _PREFIX.pack(MAGIC, FORMAT_VERSION, len(text), zlib.crc32(text), 0) + text, 0)
    return size


def open_container(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Map a segment file: its header and its arrays, read-only, without reading the arrays.

    ``header["identity"]`` is the checksum of the header, eight hex digits. It covers those of all sections,
    so files of one identity hold the same arrays.

    Raises
    ------
    ForeignFileError
        No Kukla segment: the magic differs, or the header describes impossible arrays.
    NewerFormatError
    TruncatedFileError
        The file is missing, or its size is not the one in the header.
    ChecksumError
        The header's bytes changed. The arrays' bytes are checked by :func:`verify_container`.
    """
    with _opened(path) as file:
        header = _read_header(path, file)
        # One map for the whole file, of the file whose header was read even if the name is gone by now;
        # unmapping happens when the last array is gone.
        whole = np.asarray(np.memmap(file, dtype=np.uint8, mode="r", shape=(header["bytes"],)))
    arrays = {}
    for entry in header["sections"]:
        raw = whole[entry["offset"] : entry["offset"] + entry["bytes"]]
        arrays[entry["name"]] = raw.view(entry["dtype"]).reshape(entry["shape"])
    return header, arrays


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise TruncatedFileError(f"{path} is missing, but the catalog names it") from None
    except IsADirectoryError:
        raise ForeignFileError(f"{path} is a folder, not a Kukla segment") from None
    except OSError as error:
        raise StorageError(f"could not read {path}: {error.strerror or error}") from error


def _read_header(path: Path, file: BufferedReader) -> dict[str, Any]:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(_PREFIX.size)
    if not prefix:
        raise TruncatedFileError(f"{path} is empty")
    if prefix[: len(MAGIC)] != MAGIC[: len(prefix)]:
        raise ForeignFileError(f"{path} is not a Kukla segment: it starts with {prefix[:8]!r}")
    if len(prefix) < _PREFIX.size:
        raise TruncatedFileError(f"{path} has {size} bytes, too few for a segment")
    _, version, length, crc, zero = _PREFIX.unpack(prefix)
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format version {version}; this Kukla reads up to {FORMAT_VERSION}: upgrade it"
        )
    if version < 1 or length > LARGEST_HEADER or zero != 0:
        raise ChecksumError(
            f"{path} is damaged: bytes 8 to 24 claim version {version}, a header of {length} bytes (at most "
            f"{LARGEST_HEADER}), and {zero} where 0 belongs"
        )
    text = file.read(length)
    if len(text) < length:
        raise TruncatedFileError(f"{path} has {size} bytes and ends inside its header")
    if zlib.crc32(text) != crc:
        raise ChecksumError(f"{path}: the header (offset {_PREFIX.size}) does not match its checksum")
    try:
        header: dict[str, Any] = {**json.loads(text), "identity": f"{crc:08x}"}
        expected = header["bytes"]
        _check_sections(header["sections"], _PREFIX.size + length, expected)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ForeignFileError(f"{path}: the header describes no valid sections ({error})") from None
    if size != expected:
        raise TruncatedFileError(f"{path} has {size} bytes; its header says {expected}")
    return header


def _check_sections(entries: Any, end: int, size: int) -> None:
    """No holes, no overlap, nothing outside the file: each section starts at the next aligned offset."""
    names = set()
    for entry in entries:
        name, shape, start, length = (entry[key] for key in ("name", "shape", "offset", "bytes"))
        if entry["dtype"] not in DTYPES or not isinstance(entry["crc32"], str):
            raise ValueError(f"dtype {entry['dtype']!r}")
        if name in names:
            raise ValueError(f"two sections named {name!r}")
        names.add(name)
        if any(type(number) is not int or number < 0 for number in (*shape, start, length)):
            raise ValueError(f"section {name}: sizes must be integers, at least 0")
        if length != prod(shape) * np.dtype(entry["dtype"]).itemsize:
            raise ValueError(f"section {name}: shape and bytes disagree")
        if start != _aligned(end):
            raise ValueError(f"section {name}: a hole or an overlap at offset {start}")
        end = start + length
    if type(size) is not int or _aligned(end) != size:
        raise ValueError(f"sections end at {end}, the file at {size}")


def verify_container(path: Path) -> int:
    """Read every byte of a segment and compare checksums; returns the bytes read.

    Raises
    ------
    ChecksumError
        Naming the file, the section and its offset. Also everything that :func:`open_container` raises.
    """
    room = np.empty(CHECK_BYTES, dtype=np.uint8)
    with _opened(path) as file:
        header = _read_header(path, file)
        file.seek(0)
        _, _, length, _, _ = _PREFIX.unpack(file.read(_PREFIX.size))
        end = file.seek(_PREFIX.size + length)
        for entry in header["sections"]:
            _check_zeros(path, file, end, entry["offset"])
            crc, left = 0, entry["bytes"]
            while left and (read := file.readinto(room[:left].data)):
                crc = crc32(room[:read], crc)
                left -= read
            if f"{crc:08x}" != entry["crc32"]:
                raise ChecksumError(
                    f"{path}: section {entry['name']} (offset {entry['offset']}, {entry['bytes']} bytes) has "
                    f"checksum {crc:08x}, written was {entry['crc32']}"
                )
            end = entry["offset"] + entry["bytes"]
        _check_zeros(path, file, end, header["bytes"])
    return int(header["bytes"])


def _check_zeros(path: Path, file: BufferedReader, start: int, end: int) -> None:
    if any(file.read(end - start)):
        raise ChecksumError(f"{path}: the filling from offset {start} to {end} is not zero")
