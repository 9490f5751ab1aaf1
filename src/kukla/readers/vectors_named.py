"""Vectors in files of named arrays: npz and HDF5."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from kukla.document import DocumentId
from kukla.errors import MissingExtraError, ReadError
from kukla.readers.vectors_raw import Floats, Source, check_array, mapped_batches, read_npy_header

__all__ = ["open_hdf5", "open_npz"]

_USUAL_NAMES = ("vectors", "embeddings", "train")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def _choose(path: Path, names: Iterable[str], key: str | None) -> str:
    names = list(names)
    listed = ", ".join(names) or "none"
    if key is not None:
        if key not in names:
            raise ReadError(f"{path}: no array {key!r}; the arrays are {listed}")
        return key
    usual = next((name for name in _USUAL_NAMES if name in names), None)
    if usual is not None:
        return usual
    others = [name for name in names if name != "ids"]
    if len(others) != 1:
        raise ReadError(f"{path}: which array? name one with key; the arrays are {listed}")
    return others[0]


def open_npz(path: Path, key: str | None) -> Source:
    """Open an npz file; rows are streamed out of the archive, compressed or not.

    ``numpy.load`` would read a whole array at once, hence the zip and npy headers are read here.

    Raises
    ------
    ReadError
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            name = _choose(path, names, key)
            where = f"{path}: array {name!r}"
            with archive.open(f"{name}.npy") as stream:
                shape, fortran_order, dtype = read_npy_header(cast("Any", stream), where)
    except _BROKEN as error:
        raise ReadError(f"{path}: not an npz file: {error}") from None
    count, dim = check_array(where, shape, dtype)
    if fortran_order and len(shape) == 2:
        raise ReadError(
            f"{where}: Fortran order, whose rows are scattered; save numpy.ascontiguousarray of it"
        )
    ids = None
    if "ids" in names and name != "ids":
        ids = _npz_ids(path, count)

    def batches(batch_size: int) -> Iterator[Floats]:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
                read_npy_header(cast("Any", stream), where)
                for start in range(0, count, batch_size):
                    rows = min(batch_size, count - start)
                    data = _read_exactly(stream, rows * dim * dtype.itemsize)
                    if len(data) < rows * dim * dtype.itemsize:
                        raise ReadError(f"{where}: truncated in the batch at row {start}; shape says {shape}")
                    yield np.frombuffer(data, dtype=dtype).reshape(rows, dim)
        except _BROKEN as error:
            raise ReadError(f"{where}: broken: {error}") from None

    def iterate_ids() -> Iterator[DocumentId]:
        return iter(cast("list[DocumentId]", ids))

    return Source(count, dim, dtype.newbyteorder("="), batches, None if ids is None else iterate_ids)


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _npz_ids(path: Path, count: int) -> list[DocumentId]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            ids = archive["ids"]
    except (ValueError, *_BROKEN) as error:
        reason = str(error).splitlines()[0]
        raise ReadError(
            f"{path}: array 'ids' cannot be read: {reason}; allowed: integers or strings"
        ) from None
    if ids.dtype.kind not in "iuU" or ids.shape != (count,):
        raise ReadError(
            f"{path}: array 'ids' is {ids.dtype} of shape {ids.shape}; "
            f"allowed: integers or strings of shape ({count},)"
        )
    return cast("list[DocumentId]", ids.tolist())


def open_hdf5(path: Path, key: str | None) -> Source:
    """Open an HDF5 file, such as those of ann-benchmarks.

    Raises
    ------
    MissingExtraError, ReadError
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("reading HDF5", "hdf5") from None
    names: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            name = _choose(path, names, key)
            shape, dtype = file[name].shape, file[name].dtype
    except OSError as error:
        raise ReadError(f"{path}: not an HDF5 file, or truncated: {error}") from None
    where = f"{path}: dataset {name!r}"
    if shape is None:
        raise ReadError(f"{where}: is empty; allowed: (n, dim) or (dim,)")
    count, dim = check_array(where, shape, dtype)

    def batches(batch_size: int) -> Iterator[Floats]:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                yield from mapped_batches(
                    dataset if len(shape) == 2 else dataset[:].reshape(1, dim), batch_size
                )
        except OSError as error:
            raise ReadError(f"{where}: broken: {error}") from None

    return Source(count, dim, dtype.newbyteorder("="), batches)
