"""Vectors as raw arrays: npy, fvecs and fbin, memory-mapped; and writing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.document import DocumentId
from kukla.errors import InputError, ReadError, WriteError

__all__ = [
    "Floats",
    "Source",
    "check_array",
    "mapped_batches",
    "open_fbin",
    "open_fvecs",
    "open_npy",
    "read_npy_header",
    "write_vectors",
]

Floats = NDArray[np.floating[Any]]

_ALLOWED = "allowed: float16, float32, float64"
_MAX_DIM = 1_000_000  # a larger one is a file of another kind, read as if it were this one


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a format knows after reading a header: the size, and how to read the rest.

    ``batches(batch_size)`` yields arrays of shape (rows, dim) that may be views of the file.
    """

    count: int
    dim: int
    dtype: np.dtype[np.floating[Any]]
    batches: Callable[[int], Iterator[Floats]]
    ids: Callable[[], Iterator[DocumentId]] | None = None


def check_array(where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    """Check that an array holds vectors and return (n, dim); one axis is one vector.

    Raises
    ------
    ReadError
    """
    if dtype.hasobject:
        raise ReadError(f"{where}: holds pickled Python objects, which are never loaded; {_ALLOWED}")
    if dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}:
        raise ReadError(f"{where}: dtype is {dtype}; {_ALLOWED}")
    if len(shape) not in {1, 2}:
        raise ReadError(f"{where}: shape is {shape}; allowed: (n, dim) or (dim,)")
    if shape[-1] == 0:
        raise ReadError(f"{where}: shape is {shape}; a vector has at least one dim")
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def read_npy_header(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an npy stream: shape, Fortran order, dtype.

    Raises
    ------
    ReadError
    """
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(stream)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ReadError(f"{where}: not an npy array: {reason}") from None
    return shape, fortran_order, dtype


def open_npy(path: Path, key: str | None) -> Source:
    """Open an npy file.

    Raises
    ------
    ReadError
    """
    _refuse_key(path, key)
    with path.open("rb") as stream:
        shape, _, dtype = read_npy_header(stream, str(path))
        offset = stream.tell()
    count, dim = check_array(str(path), shape, dtype)
    _check_size(path, offset + count * dim * dtype.itemsize, f"{shape} of {dtype}")

    def batches(batch_size: int) -> Iterator[Floats]:
        array = np.load(path, mmap_mode="r", allow_pickle=False).reshape(count, dim)
        return mapped_batches(array, batch_size)

    return Source(count, dim, dtype.newbyteorder("="), batches)


def open_fvecs(path: Path, key: str | None) -> Source:
    """Open an fvecs file: each vector is preceded by its dim.

    Raises
    ------
    ReadError
    """
    _refuse_key(path, key)
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(4)
    if len(head) < 4:
        raise ReadError(f"{path}: {size} bytes; expected at least one vector")
    dim = int.from_bytes(head, "little", signed=True)
    _check_dim(path, dim)
    record = 4 + 4 * dim
    if size % record:
        raise ReadError(
            f"{path}: {size} bytes, {size % record} after the last whole vector; "
            f"dim {dim} needs a multiple of {record}: truncated, or not an fvecs file"
        )

    def batches(batch_size: int) -> Iterator[Floats]:
        rows = np.memmap(path, dtype="<i4", mode="r", shape=(size // record, dim + 1))
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            wrong = np.flatnonzero(batch[:, 0] != dim)
            if len(wrong):
                raise ReadError(
                    f"{path}: vector {start + wrong[0]} says dim {batch[wrong[0], 0]}; the first says {dim}"
                )
            yield np.ascontiguousarray(batch[:, 1:]).view("<f4")

    return Source(size // record, dim, np.dtype(np.float32), batches)


def open_fbin(path: Path, key: str | None) -> Source:
    """Open an fbin file (big-ann-benchmarks).

    Raises
    ------
    ReadError
    """
    _refuse_key(path, key)
    with path.open("rb") as stream:
        head = stream.read(8)
    if len(head) < 8:
        raise ReadError(f"{path}: {len(head)} bytes; expected a header of 8")
    count, dim = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
    _check_dim(path, dim)
    _check_size(path, 8 + 4 * count * dim, f"({count}, {dim}) of float32")

    def batches(batch_size: int) -> Iterator[Floats]:
        return mapped_batches(
            np.memmap(path, dtype="<f4", mode="r", offset=8, shape=(count, dim)), batch_size
        )

    return Source(count, dim, np.dtype(np.float32), batches)


def mapped_batches(array: Any, batch_size: int) -> Iterator[Floats]:
    """Slice anything that gives rows by slice: a memory map, an HDF5 dataset."""
    for start in range(0, len(array), batch_size):
        yield array[start : start + batch_size]


def _refuse_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise ReadError(
            f"{path}: holds one array without a name; key {key!r} is for npz, hdf5, parquet and jsonl"
        )


def _check_dim(path: Path, dim: int) -> None:
    if not 0 < dim <= _MAX_DIM:
        raise ReadError(f"{path}: the header says dim {dim}; allowed: 1 to {_MAX_DIM}")


def _check_size(path: Path, expected: int, what: str) -> None:
    size = path.stat().st_size
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise ReadError(f"{path}: {state}: {size} bytes; the header says {what}, which needs {expected}")


def write_vectors(path: Path | str, vectors: ArrayLike | Mapping[str, ArrayLike]) -> None:
    """Write vectors to npy, npz, fvecs or fbin, chosen by the suffix.

    A sibling temporary file is renamed onto the path at the end, so a reader never sees half of it.

    Parameters
    ----------
    path : path
    vectors : array of float, shape (n, dim), or mapping of str to array
        Named arrays of any shape and dtype without objects are for npz alone; there, a single array
        is named ``vectors``. npy and npz keep the dtype; fvecs and fbin are float32 by definition and
        round wider numbers.

    Raises
    ------
    InputError
        An unknown suffix, not (n, dim) floats, or an fvecs file without vectors.
    WriteError
        The file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(f"{path}: suffix {path.suffix!r} cannot be written; allowed: {' '.join(_WRITERS)}")
    if isinstance(vectors, Mapping):
        if suffix != ".npz":
            raise InputError(f"{path}: holds one array; only .npz holds {len(vectors)} named ones")
        arrays = {name: np.asarray(array) for name, array in vectors.items()}
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise InputError(f"{path}: array {name!r} holds Python objects; they are never pickled")
    else:
        array = np.asarray(vectors)
        if array.ndim != 2 or array.shape[1] == 0 or array.dtype not in (np.float16, np.float32, np.float64):
            raise InputError(
                f"{path}: cannot write {array.dtype} of shape {array.shape}; {_ALLOWED}, shape (n, dim)"
            )
        if suffix == ".fvecs" and not len(array):
            raise InputError(f"{path}: an fvecs file without vectors would not say its dim")
        arrays = {"vectors": array}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            _WRITERS[suffix](stream, arrays)
        partial.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_npy(stream: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    np.save(stream, np.ascontiguousarray(arrays["vectors"]), allow_pickle=False)


def _write_npz(stream: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    # Our own npz reader streams rows, which Fortran order would scatter.
    contiguous: dict[str, Any] = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    np.savez(stream, **contiguous)


def _write_fvecs(stream: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    count, dim = arrays["vectors"].shape
    rows = np.empty((count, dim + 1), dtype="<i4")
    rows[:, 0] = dim
    rows[:, 1:].view("<f4")[:] = arrays["vectors"]
    stream.write(rows.data)


def _write_fbin(stream: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    array = np.ascontiguousarray(arrays["vectors"], dtype="<f4")
    stream.write(np.array(array.shape, dtype="<u4").tobytes())
    stream.write(array.data if array.size else b"")


_WRITERS: dict[str, Callable[[BinaryIO, Mapping[str, NDArray[Any]]], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".fvecs": _write_fvecs,
    ".fbin": _write_fbin,
}
