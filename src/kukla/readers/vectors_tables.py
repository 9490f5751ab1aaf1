"""Vectors in tables: a list column of a Parquet file, a field of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.errors import ReadError
from kukla.readers.fields import ID_FIELDS, VECTOR_FIELDS, document_id, json_vector
from kukla.readers.tables import json_rows, open_parquet
from kukla.readers.vectors_raw import Floats, Source

__all__ = ["open_jsonl_vectors", "open_parquet_vectors"]

_ALLOWED = "allowed: a list or fixed-size list of float16, float32 or float64"


def _choose(path: Path, names: Sequence[str], key: str | None) -> str:
    found = key if key is not None else next((name for name in VECTOR_FIELDS if name in names), None)
    if found is None or found not in names:
        wanted = repr(key) if key is not None else " or ".join(map(repr, VECTOR_FIELDS))
        raise ReadError(f"{path}: no field {wanted}; the fields are {', '.join(map(repr, names)) or 'none'}")
    return found


def open_jsonl_vectors(path: Path, key: str | None) -> Source:
    """Open JSON lines with a list of numbers on each; every row is checked and counted here.

    Raises
    ------
    ReadError
    """
    count = 0
    name = id_name = None
    dim = 0
    for row in json_rows(path):
        where = f"{path}:{row.line}"
        if name is None:
            name = _choose(path, list(row.fields), key)
            id_name = next((field for field in ID_FIELDS if field in row.fields), None)
        for needed in filter(None, (name, id_name)):
            if needed not in row.fields:
                raise ReadError(
                    f"{where}: no field {needed!r}; the fields are {', '.join(map(repr, row.fields))}"
                )
        found = len(json_vector(row.fields[name], name, where))
        if id_name is not None:
            document_id(row.fields[id_name], id_name, where)
        dim = dim or found
        if found != dim:
            raise ReadError(f"{where}: field {name!r} has {found} numbers; the rows before have {dim}")
        count += 1
    if name is None:
        raise ReadError(f"{path}: no rows; expected one JSON object on each line")
    field = name

    def batches(batch_size: int) -> Iterator[Floats]:
        batch: list[NDArray[np.float32]] = []
        for row in json_rows(path):
            batch.append(json_vector(row.fields[field], field, f"{path}:{row.line}"))
            if len(batch) == batch_size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    def ids() -> Iterator[DocumentId]:
        for row in json_rows(path):
            yield row.fields[str(id_name)]

    return Source(count, dim, np.dtype(np.float32), batches, ids if id_name is not None else None)


def open_parquet_vectors(path: Path, key: str | None) -> Source:
    """Open a Parquet file with a column of vectors.

    Raises
    ------
    MissingExtraError, ReadError
    """
    with open_parquet(path) as file:
        import pyarrow

        schema = file.schema_arrow
        name = _choose(path, schema.names, key)
        where = f"{path}: column {name!r}"
        column = schema.field(name).type
        kinds = pyarrow.types
        fixed = kinds.is_fixed_size_list(column)
        if not (fixed or kinds.is_list(column) or kinds.is_large_list(column)):
            raise ReadError(f"{where}: type is {column}; {_ALLOWED}")
        if not kinds.is_floating(column.value_type):
            raise ReadError(f"{where}: type is {column}; {_ALLOWED}")
        dtype = np.dtype(column.value_type.to_pandas_dtype())
        count = file.metadata.num_rows
        id_name = next((field for field in ID_FIELDS if field in schema.names), None)
        dim = column.list_size if fixed else 0
        for _, array in () if fixed else _columns(file, path, name, 1):
            dim = len(array[0]) if array[0].is_valid else 0
            break
    if dim < 1:
        raise ReadError(f"{where}: {'no rows' if not count else 'the first row is empty'}; {_ALLOWED}")

    def batches(batch_size: int) -> Iterator[Floats]:
        with open_parquet(path) as file:
            for start, array in _columns(file, path, name, batch_size):
                yield _rows(array, dim, dtype, where, start)

    def ids() -> Iterator[DocumentId]:
        with open_parquet(path) as file:
            for start, array in _columns(file, path, str(id_name), 4096):
                for row, value in enumerate(array.to_pylist(), start=start + 1):
                    yield document_id(value, str(id_name), f"{path}:{row}")

    return Source(count, dim, dtype, batches, ids if id_name is not None else None)


def _columns(file: Any, path: Path, name: str, batch_size: int) -> Iterator[tuple[int, Any]]:
    """One column in batches, each with the index of its first row."""
    import pyarrow

    start = 0
    try:
        for batch in file.iter_batches(batch_size=batch_size, columns=[name]):
            if len(batch):
                yield start, batch.column(0)
            start += len(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(f"{path}: broken after row {start}: {error}") from None


def _rows(array: Any, dim: int, dtype: np.dtype[Any], where: str, start: int) -> Floats:
    values = array.flatten()
    lengths = np.array([-1 if length is None else length for length in array.value_lengths().to_pylist()])
    wrong = np.flatnonzero(lengths != dim)
    if len(wrong):
        row, length = start + int(wrong[0]) + 1, int(lengths[wrong[0]])
        found = "null" if length < 0 else f"{length} numbers"
        raise ReadError(f"{where}: row {row} holds {found}; the rows before have {dim}")
    if values.null_count:
        row = start + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) // dim + 1
        raise ReadError(f"{where}: row {row} holds a null among its numbers")
    rows: Floats = values.to_numpy(zero_copy_only=False).astype(dtype, copy=False).reshape(-1, dim)
    return rows
