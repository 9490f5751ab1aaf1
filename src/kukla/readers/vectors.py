"""Files of vectors: one interface over every format, in batches, never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kukla.document import DocumentId
from kukla.errors import InputError, ReadError
from kukla.readers import vectors_named, vectors_raw, vectors_tables
from kukla.readers.vectors_raw import Floats, Source, write_vectors

__all__ = ["VECTOR_SUFFIXES", "VectorFile", "read_vectors", "write_vectors"]

_OPENERS: dict[str, Callable[[Path, str | None], Source]] = {
    ".npy": vectors_raw.open_npy,
    ".npz": vectors_named.open_npz,
    ".fvecs": vectors_raw.open_fvecs,
    ".fbin": vectors_raw.open_fbin,
    ".hdf5": vectors_named.open_hdf5,
    ".h5": vectors_named.open_hdf5,
    ".parquet": vectors_tables.open_parquet_vectors,
    ".jsonl": vectors_tables.open_jsonl_vectors,
    ".jsonl.gz": vectors_tables.open_jsonl_vectors,
}
VECTOR_SUFFIXES = tuple(_OPENERS)


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Vectors in a file; nothing but the header is held.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        (n, dim), after ``limit``.
    dtype : dtype
        float16, float32 or float64, in the byte order of this machine.
    has_ids : bool
        Whether :meth:`ids` has anything to give.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[np.floating[Any]]
    has_ids: bool
    _source: Source = field(repr=False, compare=False)

    def batches(self, batch_size: int) -> Iterator[Floats]:
        """Read the vectors in file order.

        Parameters
        ----------
        batch_size : int
            Rows of each batch; the last may have fewer.

        Yields
        ------
        ndarray of ``dtype``, shape (rows, dim)
            As stored: not normalised, not checked for NaN; a writable C-contiguous copy.

        Raises
        ------
        ReadError
            A row that differs in dim, holds null, or can no longer be read.
        InputError
            ``batch_size`` is not positive.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; expected at least 1")
        return self._batches(batch_size)

    def _batches(self, batch_size: int) -> Iterator[Floats]:
        left = self.shape[0]
        if not left:
            return
        for batch in self._source.batches(batch_size):
            yield np.array(batch[:left], dtype=self.dtype, order="C")
            left -= len(batch)
            if left <= 0:
                return

    def ids(self) -> Iterator[DocumentId]:
        """Read the ids, one for each vector, in the same order.

        Raises
        ------
        ReadError
            The file has no ids, or a row holds none.
        """
        if self._source.ids is None:
            raise ReadError(f"{self.path}: has no ids")
        return islice(self._source.ids(), self.shape[0])


def read_vectors(path: Path | str, *, key: str | None = None, limit: int | None = None) -> VectorFile:
    """Open a file of vectors.

    ==================  ==================================================================================
    ``.npy``            2-D; a 1-D array is one vector, shape (1, dim)
    ``.npz``            the array ``key``, else ``vectors``, ``embeddings``, ``train`` or the only one;
                        ``ids`` are ids
    ``.fvecs``          for each vector: int32 dim, then dim float32, little-endian
    ``.fbin``           uint32 n, uint32 dim, then n x dim float32, little-endian
    ``.hdf5 .h5``       the dataset ``key``, chosen as for npz (ann-benchmarks has ``train`` and ``test``)
    ``.parquet``        a list or fixed-size-list column: ``key``, else ``vector``, ``embedding``,
                        ``vectors`` or ``embeddings``; ids from ``_id`` or ``id``
    ``.jsonl[.gz]``     a field with a list of numbers, named as for parquet; read once to count
    ==================  ==================================================================================

    Parameters
    ----------
    path : path
    key : str, optional
        Which array, dataset, column or field.
    limit : int, optional
        Use only the first ``limit`` vectors.

    Returns
    -------
    VectorFile

    Raises
    ------
    ReadError
        Not there, an unknown suffix, truncated, too long, pickled, integers, more than two axes, no
        such key; the message names the file, what was found and what is allowed.
    MissingExtraError
        Parquet without pyarrow, HDF5 without h5py.
    InputError
        ``limit`` is negative.
    """
    path = Path(path)
    if limit is not None and limit < 0:
        raise InputError(f"limit is {limit}; expected at least 0")
    if not path.is_file():
        raise ReadError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    name = path.name.lower()
    opener = next((opener for suffix, opener in _OPENERS.items() if name.endswith(suffix)), None)
    if opener is None:
        raise ReadError(
            f"{path}: suffix {path.suffix!r} holds no vectors; allowed: {' '.join(VECTOR_SUFFIXES)}"
        )
    try:
        source = opener(path, key)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error
    count = source.count if limit is None else min(limit, source.count)
    return VectorFile(path, (count, source.dim), source.dtype, source.ids is not None, source)
