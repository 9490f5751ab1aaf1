"""Files of vectors and codes written row by row, and renamed into place when they are whole."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.errors import InputError, WriteError
from kukla.precision import Precision

__all__ = ["RowWriter", "open_writer"]

_SUFFIXES = {
    Precision.FLOAT32: (".npy", ".npz", ".fvecs", ".fbin"),
    Precision.FLOAT16: (".npy", ".npz"),
    Precision.INT8: (".npz",),
    Precision.BINARY: (".npy", ".npz"),
}


class RowWriter(Protocol):
    """Takes rows in order, then ``finish`` once."""

    def write(self, rows: NDArray[Any], scales: NDArray[np.float32] | None) -> None:
        """Append rows."""
        ...

    def finish(self, ids: list[DocumentId] | None) -> None:
        """Write what belongs after the rows; formats without room for ids leave them out."""
        ...


@contextmanager
def open_writer(
    path: Path, precision: Precision, *, count: int, dim: int, signed: bool
) -> Iterator[RowWriter]:
    """A writer of ``count`` rows to ``path``, whose suffix is the format.

    Parameters
    ----------
    path : Path
        Appears when the block ends without an error, and replaces what was there.
    precision : Precision
    count, dim : int
    signed : bool
        Binary codes are int8, sentence-transformers' layout.

    Raises
    ------
    InputError
        The format cannot hold the precision.
    WriteError
    """
    suffix = path.suffix.lower()
    allowed = _SUFFIXES[precision]
    if suffix not in allowed:
        raise InputError(f"{path}: {precision.value} is written to {' or '.join(allowed)}, got {suffix!r}")
    width = -(-dim // 8) if precision is Precision.BINARY else dim
    code_dtype = {Precision.INT8: "|i1", Precision.BINARY: "|i1" if signed else "|u1"}
    dtype = np.dtype(code_dtype.get(precision, f"<f{precision.bits // 8}"))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(partial.open("wb"))
            if suffix == ".npz":
                yield _NpzWriter(
                    stack, stream, (count, width), dtype, "vectors" if precision.is_float else "codes"
                )
            elif suffix == ".npy":
                yield _NpyWriter(stream, (count, width), dtype)
            else:
                yield _RawWriter(stream, (count, width), fvecs=suffix == ".fvecs")
        partial.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)


def _write_header(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


class _NpyWriter:
    def __init__(self, stream: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._stream = stream
        self._dtype = dtype
        _write_header(stream, shape, dtype)

    def write(self, rows: NDArray[Any], scales: NDArray[np.float32] | None) -> None:
        self._stream.write(np.ascontiguousarray(rows, dtype=self._dtype).data)

    def finish(self, ids: list[DocumentId] | None) -> None:
        pass


class _NpzWriter:
    """One entry streamed; scales and ids, which are small, after it."""

    def __init__(
        self, stack: ExitStack, stream: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any], name: str
    ) -> None:
        self._archive = stack.enter_context(zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED))
        self._entry = self._archive.open(f"{name}.npy", "w", force_zip64=True)
        stack.callback(self._entry.close)
        self._rows = _NpyWriter(self._entry, shape, dtype)
        self._scales: list[NDArray[np.float32]] = []

    def write(self, rows: NDArray[Any], scales: NDArray[np.float32] | None) -> None:
        self._rows.write(rows, None)
        if scales is not None:
            self._scales.append(scales)

    def finish(self, ids: list[DocumentId] | None) -> None:
        self._entry.close()
        arrays: dict[str, NDArray[Any]] = {}
        if self._scales:
            arrays["scales"] = np.concatenate(self._scales)
        if ids is not None:
            arrays["ids"] = np.array(ids)
        for name, array in arrays.items():
            with self._archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


class _RawWriter:
    """fvecs: each row after its dim; fbin: all rows after count and dim."""

    def __init__(self, stream: IO[bytes], shape: tuple[int, int], *, fvecs: bool) -> None:
        self._stream = stream
        self._fvecs = fvecs
        if not fvecs:
            stream.write(np.array(shape, dtype="<u4").tobytes())

    def write(self, rows: NDArray[Any], scales: NDArray[np.float32] | None) -> None:
        count, dim = rows.shape
        if not self._fvecs:
            self._stream.write(np.ascontiguousarray(rows, dtype="<f4").data)
            return
        records = np.empty((count, dim + 1), dtype="<i4")
        records[:, 0] = dim
        records[:, 1:].view("<f4")[:] = rows
        self._stream.write(records.data)

    def finish(self, ids: list[DocumentId] | None) -> None:
        pass
