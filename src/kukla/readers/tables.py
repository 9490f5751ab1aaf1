"""Tables of texts: the rows of JSON lines, CSV, TSV and Parquet files, one at a time."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kukla.errors import MissingExtraError, ReadError

__all__ = ["MAX_LINE_BYTES", "TABLE_SUFFIXES", "Row", "json_rows", "open_parquet", "table_rows", "text_lines"]

TABLE_SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
MAX_LINE_BYTES = 64 * 2**20
"""A longer line is no row: most often a JSON array in a file named ``.jsonl``."""

_PARQUET_ROWS = 1024
_PARQUET_BUFFER_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Parameters
    ----------
    number : int
        1-based among the rows; blank lines and the header are none.
    line : int
        1-based line of the file at which it starts or, in CSV, ends; for Parquet, ``number``.
    fields : dict
        Name to value.
    bytes_read : int
        Of the file, up to here, roughly.
    """

    number: int
    line: int
    fields: dict[str, Any]
    bytes_read: int


def table_rows(path: Path) -> Iterator[Row]:
    """Read the rows of a table in bounded memory.

    CSV follows RFC 4180 with a header line. TSV has a header line and no quoting (a quotation mark
    is a character like any other), as IANA defines it.

    Raises
    ------
    MissingExtraError
        Parquet without pyarrow.
    ReadError
        The file is not what its suffix says; the message names the file and the line.
    """
    try:
        suffix = path.suffix.lower()
        if suffix in {".csv", ".tsv"}:
            yield from _delimited_rows(path)
        elif suffix == ".parquet":
            yield from _parquet_rows(path)
        else:
            yield from json_rows(path)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error


def json_rows(path: Path) -> Iterator[Row]:
    """Read the objects of a ``.jsonl`` or ``.jsonl.gz`` file, one on each line; blank lines are skipped."""
    number = 0
    with path.open("rb") as raw:
        for line, data in enumerate(_lines(path, raw), start=1):
            text = _decode(path, line, data.removeprefix(b"\xef\xbb\xbf") if line == 1 else data)
            if not text.strip():
                continue
            try:
                fields = json.loads(text)
                if "\\u" in text:
                    json.dumps(fields, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise ReadError(f"{path}:{line}: an escape holds half of a surrogate pair") from None
            except (ValueError, RecursionError) as error:
                raise ReadError(
                    f"{path}:{line}: not JSON: {error}; expected one object on each line"
                ) from None
            if not isinstance(fields, dict):
                raise ReadError(
                    f"{path}:{line}: holds {type(fields).__name__}; expected one JSON object on each line"
                )
            number += 1
            yield Row(number, line, fields, raw.tell())


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text, also of a ``.gz``, each with its number from 1.

    Raises
    ------
    ReadError
    """
    try:
        with path.open("rb") as raw:
            for line, data in enumerate(_lines(path, raw), start=1):
                yield line, _decode(path, line, data.removeprefix(b"\xef\xbb\xbf") if line == 1 else data)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    stream: Any = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
    line = 0
    while True:
        line += 1
        try:
            data: bytes = stream.readline(MAX_LINE_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ReadError(f"{path}:{line}: broken gzip data: {error}") from None
        if not data:
            return
        if len(data) > MAX_LINE_BYTES:
            raise ReadError(
                f"{path}:{line}: longer than {MAX_LINE_BYTES} bytes; expected one JSON object on each line"
            )
        yield data


def _decode(path: Path, line: int, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ReadError(
            f"{path}:{line}: not UTF-8: byte 0x{byte:02x} at offset {error.start} of the line"
        ) from None


class _CountedLines:
    """Decoded lines for the csv module, which reads on when a quoted field spans lines."""

    def __init__(self, path: Path, raw: io.BufferedReader) -> None:
        self._path = path
        self._raw = raw
        self._line = 0

    def __iter__(self) -> _CountedLines:
        return self

    def __next__(self) -> str:
        data = self._raw.readline(MAX_LINE_BYTES + 1)
        self._line += 1
        if not data:
            raise StopIteration
        if len(data) > MAX_LINE_BYTES:
            raise ReadError(f"{self._path}:{self._line}: longer than {MAX_LINE_BYTES} bytes")
        return _decode(
            self._path, self._line, data.removeprefix(b"\xef\xbb\xbf") if self._line == 1 else data
        )


def _delimited_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as raw:
        lines = _CountedLines(path, raw)
        if path.suffix.lower() == ".tsv":
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(lines, strict=True)
        number = 0
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise ReadError(f"{path}:1: the header names a field twice: {', '.join(header)}")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ReadError(
                        f"{path}:{reader.line_num}: {len(cells)} fields; the header has {len(header)}: "
                        + ", ".join(header)
                    )
                number += 1
                yield Row(number, reader.line_num, dict(zip(header, cells, strict=True)), raw.tell())
        except csv.Error as error:
            raise ReadError(
                f"{path}:{reader.line_num}: not a {path.suffix[1:].upper()} row: {error}"
            ) from None


def open_parquet(path: Path) -> Any:
    """Open a Parquet file as a ``pyarrow.parquet.ParquetFile``.

    Raises
    ------
    MissingExtraError, ReadError
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("reading Parquet", "parquet") from None
    try:
        # Arrow's own choice, pre_buffer=True, would hold every row group of the file in memory.
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_PARQUET_BUFFER_BYTES)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(f"{path}: not a Parquet file: {error}") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    size = path.stat().st_size
    with open_parquet(path) as file:
        import pyarrow

        total = max(1, file.metadata.num_rows)
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, number, fields, size * number // total)
        except (pyarrow.ArrowException, ValueError, OSError) as error:
            if isinstance(error, ReadError):
                raise
            raise ReadError(f"{path}: broken after row {number}: {error}") from None
