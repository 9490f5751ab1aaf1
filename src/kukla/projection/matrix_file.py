"""Projections in files: our own npz, and matrices that come with a model.

==================  ==================================================================================
``.npz``            what :func:`save_projection` writes: ``projection`` (JSON text) and its arrays. Plain
                    NumPy, a CRC-32 for each array, nothing pickled
``.npy``            a matrix ``(dim_in, dim_out)``, applied as ``x @ matrix``
``.safetensors``    a file with one matrix. A name that ends in ``weight`` is torch's ``(dim_out, dim_in)``,
                    applied as ``x @ weight.T``: a Dense module of sentence-transformers
==================  ==================================================================================
"""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError, KuklaError, ReadError, VectorError, WriteError
from kukla.projection.base import Projection
from kukla.projection.rotation import TOLERANCE, Linear, Rotation, orthonormal_error

__all__ = ["load_projection", "read_matrix", "save_projection"]

_DESCRIPTION = "projection"
_LARGEST_HEADER = 1 << 20
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_SUFFIXES = ".npz .npy .safetensors"


def save_projection(projection: Projection, path: Path) -> None:
    """Write a projection to ``path`` (``.npz``), whole or not at all; an existing file is replaced.

    Raises
    ------
    InputError
        Another suffix.
    WriteError
        Disk full, no permission.
    """
    if path.suffix.lower() != ".npz":
        raise InputError(f"a projection is saved as .npz, got {path}")
    text = json.dumps(projection.to_dict())
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = {_DESCRIPTION: np.array(text), **projection.arrays()}
            np.savez(file, **arrays)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_projection(path: Path) -> Projection:
    """Read a saved projection, or a matrix: orthonormal ones become a Rotation, others Linear.

    Raises
    ------
    ReadError
        Missing, foreign, truncated, changed bytes, NaN; the message names the file.
    NewerFormatError
        A kind that this version does not know.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if path.suffix.lower() != ".npz":
        try:
            return _from_matrix(read_matrix(path), path)
        except VectorError as error:
            raise ReadError(f"{path}: {error}") from None
    try:
        # Opened here: given a path, np.load leaves damaged files open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        description = arrays.pop(_DESCRIPTION, None)
        if description is None:
            raise ReadError(
                f"{path}: is no saved projection: it holds {', '.join(sorted(arrays)) or 'nothing'}"
            )
        return Projection.from_dict({**json.loads(str(description)), **arrays})
    except (OSError, EOFError, ValueError, TypeError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        # KuklaErrors about bad input are ValueErrors too: the file is what must be named.
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: is no projection that can be read: {error}") from None
    except NotImplementedError as error:  # zipfile's word for flags and methods it does not know
        raise ReadError(f"{path}: is no projection that can be read: {error}") from None
    except KuklaError as error:
        raise type(error)(f"{path}: {error}") from None


def _from_matrix(matrix: NDArray[np.floating[Any]], path: Path) -> Projection:
    about = {"fit": "given", "file": path.name}
    linear = Linear(matrix, about=about)
    if linear.dim_in == linear.dim_out and orthonormal_error(linear.matrix) <= TOLERANCE:
        return Rotation(matrix, about=about)
    return linear


def read_matrix(path: Path) -> NDArray[np.floating[Any]]:
    """The matrix of an ``.npy`` or ``.safetensors`` file, float ``(dim_in, dim_out)``, for ``x @ matrix``.

    Raises
    ------
    ReadError
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES.split()[1:]:
        raise ReadError(f"{path}: suffix {path.suffix!r} holds no projection; allowed: {_SUFFIXES}")
    try:
        with path.open("rb") as file:
            matrix = np.load(file, allow_pickle=False) if suffix == ".npy" else _read_safetensors(path, file)
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: holds no matrix that can be read: {error}") from None
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        found = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise ReadError(f"{path}: a projection is a matrix of floats (dim_in, dim_out), got {found}")
    return matrix


def _read_safetensors(path: Path, file: BinaryIO) -> NDArray[np.floating[Any]]:
    """The one matrix of a safetensors file; https://github.com/huggingface/safetensors, section Format."""
    raw = file.read()
    if len(raw) < 8:
        raise ReadError(f"{path}: has {len(raw)} bytes, too few for safetensors")
    (length,) = struct.unpack_from("<Q", raw)
    if length > _LARGEST_HEADER or 8 + length > len(raw):
        raise ReadError(f"{path}: is no safetensors file: a header of {length:,} bytes in {len(raw):,}")
    entries = {
        name: _tensor(path, name, entry, raw[8 + length :])
        for name, entry in json.loads(raw[8 : 8 + length]).items()
        if name != "__metadata__"
    }
    for name, tensor in entries.items():
        if tensor.ndim == 1 and tensor.any():
            raise ReadError(f"{path}: {name} is an offset that is not zero; a projection is a matrix alone")
    matrices = {name: tensor for name, tensor in entries.items() if tensor.ndim == 2}
    if len(matrices) != 1:
        raise ReadError(f"{path}: expected one matrix, got {', '.join(matrices) or 'none'}")
    ((name, matrix),) = matrices.items()
    return matrix.T if name.endswith("weight") else matrix


def _tensor(path: Path, name: str, entry: Any, data: bytes) -> NDArray[np.floating[Any]]:
    dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _DTYPES:
        raise ReadError(f"{path}: {name} has dtype {dtype}; allowed: {', '.join(_DTYPES)}")
    size = prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
    if not 0 <= start <= end <= len(data) or end - start != size:
        raise ReadError(
            f"{path}: {name} {shape} needs {size} bytes, bytes {start} to {end} of {len(data)} are named"
        )
    values = np.frombuffer(data[start:end], dtype=_DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values
