"""Tables of texts: every format gives the same documents; every bad row is named."""

from __future__ import annotations

import datetime
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kukla.document import Document
from kukla.errors import MissingExtraError, ReadError
from kukla.readers import Skipped, read_documents, tables


def _jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _read(path: Path, **fields: str) -> tuple[list[Document], list[str]]:
    skipped: list[Skipped] = []
    found = list(read_documents([path], on_skip=skipped.append, **fields))
    return found, [f"{skip.line}: {skip.reason}" for skip in skipped]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet", ".JSONL"])
def test_every_format_gives_the_same_documents(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"_id": "a", "title": "Dolls", "text": 'Nested, "painted"', "lang": "en"},
        {"_id": "b", "title": "", "text": "Матрёшка", "lang": "ru"},
        {"_id": "c", "title": "", "text": "  ", "lang": "ru"},
    ]
    path = tmp_path / f"corpus{suffix}"
    lines = "".join(json.dumps(row) + "\n\n" for row in rows)
    if suffix.lower() == ".jsonl":
        path.write_text("\ufeff" + lines, encoding="utf-8")
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif suffix == ".csv":
        cells = [list(rows[0]), ["a", "Dolls", '"Nested, ""painted"""', "en"]]
        cells += [list(row.values()) for row in rows[1:]]
        path.write_text("\ufeff" + "\r\n".join(",".join(row) for row in cells), encoding="utf-8")
    elif suffix == ".tsv":
        path.write_text("\n".join("\t".join(row) for row in [list(rows[0]), *(r.values() for r in rows)]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    found, skipped = _read(path)
    assert found == [
        Document("a", 'Dolls\nNested, "painted"', {"title": "Dolls", "lang": "en"}),
        Document("b", "Матрёшка", {"title": "", "lang": "ru"}),
    ]
    assert len(skipped) == 1
    assert skipped[0].endswith(": blank text in field 'text'")


def test_a_document_may_be_a_title_and_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        '{"_id": "a", "title": "An old abstract", "text": ""}\n{"_id": "b", "title": "Older", "text": null}\n'
        '{"_id": "c", "title": " ", "text": ""}\n'
    )
    found, skipped = _read(path)
    assert [(document.id, document.text) for document in found] == [("a", "An old abstract"), ("b", "Older")]
    assert len(skipped) == 1


def test_named_fields_and_a_vector(tmp_path: Path) -> None:
    rows = (
        {"key": 7, "words": "hello", "v": [1, 0.5], "id": "kept"},
        {"key": 8, "words": "x", "v": [0, 1], "id": 1},
    )
    found, _ = _read(
        _jsonl(tmp_path / "a.jsonl", *rows), text_field="words", id_field="key", vector_field="v"
    )
    assert [document.id for document in found] == [7, 8]
    assert found[0].metadata == {"id": "kept"}
    assert found[0].vector is not None
    assert found[0].vector.dtype == np.float32
    assert found[0].vector.tolist() == [1.0, 0.5]


def test_vectors_without_text_and_vectors_in_csv(tmp_path: Path) -> None:
    found, _ = _read(_jsonl(tmp_path / "a.jsonl", {"id": 1, "v": [1.0]}), vector_field="v")
    assert found[0].text is None
    (tmp_path / "a.csv").write_text('id,v\n1,"[1.5, 2]"\n')
    found, _ = _read(tmp_path / "a.csv", vector_field="v")
    assert found[0].vector is not None
    assert found[0].vector.tolist() == [1.5, 2.0]


def test_vectors_nobody_asked_for_are_left_out_and_said(tmp_path: Path) -> None:
    found, skipped = _read(_jsonl(tmp_path / "a.jsonl", {"id": 1, "text": "x", "embedding": [1.0, 2.0]}))
    assert found == [Document(1, "x", {})]
    assert skipped == ["1: field 'embedding' is left out; name it with vector_field to read it"]


def test_rows_without_ids_are_numbered_and_empty_tables_reported(tmp_path: Path) -> None:
    found, _ = _read(_jsonl(tmp_path / "a.jsonl", {"content": "x"}, {"content": "y"}))
    assert [document.id for document in found] == ["a.jsonl#1", "a.jsonl#2"]
    for name in ("e.jsonl", "e.csv", "e.tsv"):
        (tmp_path / name).touch()
        assert _read(tmp_path / name) == ([], ["None: no rows"])


def test_metadata_becomes_json(tmp_path: Path) -> None:
    when = datetime.datetime(2026, 11, 21, 3, 40)
    row = {
        "text": "x",
        "day": when.date(),
        "when": when,
        "score": float("nan"),
        "tags": ["a", None],
        "nested": {"n": 1, "t": when.time()},
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    found, _ = _read(tmp_path / "a.parquet")
    expected = {
        "day": "2026-11-21",
        "when": "2026-11-21T03:40:00",
        "score": None,
        "tags": ["a", None],
        "nested": {"n": 1, "t": "03:40:00"},
    }
    assert found[0].metadata == expected
    json.dumps(found[0].metadata, allow_nan=False)


@pytest.mark.parametrize("value", [b"bytes", datetime.timedelta(1), float("inf")])
def test_metadata_that_is_no_json_is_refused(tmp_path: Path, value: object) -> None:
    pq.write_table(pa.Table.from_pylist([{"text": "x", "odd": value}]), tmp_path / "a.parquet")
    with pytest.raises(ReadError, match=r"a\.parquet:1: field 'odd' holds"):
        _read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        (
            "a.jsonl",
            '{"id": 1, "name": "x"}\n',
            {},
            r"a\.jsonl:1: no text field .*the fields are 'id', 'name'",
        ),
        ("a.jsonl", '{"text": "x"}\n{"body": "y"}\n', {}, r":2: no field 'text'; the fields are 'body'"),
        (
            "a.jsonl",
            '{"text": "x"}\n',
            {"text_field": "words"},
            r":1: no field 'words'; the fields are 'text'",
        ),
        ("a.jsonl", '{"text": "x"}\n', {"id_field": "key"}, r":1: no field 'key'"),
        ("a.jsonl", '{"text": "x", "id": 1}\n\n{"text": "y"}\n', {}, r":3: no field 'id'"),
        ("a.jsonl", '{"text": 5}\n', {}, r":1: field 'text' holds int; expected a string"),
        ("a.jsonl", '{"text": "x", "id": true}\n', {}, r":1: field 'id' holds True; an id is"),
        ("a.jsonl", '{"text": "x", "id": ""}\n', {}, r":1: field 'id' holds ''; an id is"),
        ("a.jsonl", '{"text": "x", "id": null}\n', {}, r":1: field 'id' holds None; an id is"),
        ("a.jsonl", '{"text": "x"}\n{"text"\n', {}, r":2: not JSON"),
        ("a.jsonl", "[1, 2]\n", {}, r":1: holds list; expected one JSON object"),
        ("a.jsonl", '{"text": "\\ud800"}\n', {}, r":1: an escape holds half of a surrogate pair"),
        ("a.jsonl", "[" * 100_000 + "\n", {}, r":1: not JSON"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', {}, r":1: not UTF-8: byte 0xe9 at offset 13"),
        (
            "a.jsonl",
            '{"text": "x", "v": [1, "2"]}\n',
            {"vector_field": "v"},
            r"holds str; expected only numbers",
        ),
        (
            "a.jsonl",
            '{"text": "x", "v": [true]}\n',
            {"vector_field": "v"},
            r"holds bool; expected only numbers",
        ),
        ("a.jsonl", '{"text": "x", "v": []}\n', {"vector_field": "v"}, r"holds an empty list"),
        ("a.jsonl", '{"text": "x", "v": null}\n', {"vector_field": "v"}, r"holds NoneType"),
        ("a.jsonl", '{"text": "x", "v": [1' + "0" * 400 + "]}\n", {"vector_field": "v"}, r"is no float32"),
        (
            "a.jsonl",
            '{"text": "x", "v": [1]}\n{"text": "x", "v": [1, 2]}\n',
            {"vector_field": "v"},
            r":2: field 'v' has 2 numbers; the rows before have 1",
        ),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999)[:-20], {}, r"broken gzip data"),
        ("a.jsonl.gz", b'{"text": "x"}\n', {}, r":1: broken gzip data"),
        ("a.csv", "id,text\n1,a,extra\n", {}, r":2: 3 fields; the header has 2: id, text"),
        ("a.csv", 'id,text\n1,"open\n', {}, r":2: not a CSV row"),
        ("a.csv", "text,text\na,b\n", {}, r":1: the header names a field twice"),
        ("a.csv", b"id,text\n1,caf\xe9\n", {}, r":2: not UTF-8"),
        ("a.csv", "text,v\na,[1\n", {"vector_field": "v"}, r":2: field 'v' is not a JSON list"),
        ("a.csv", "text\n" + "x" * 140_000 + "\n", {}, r":2: not a CSV row: field larger"),
        ("a.tsv", "id\ttext\n1\n", {}, r":2: 1 fields; the header has 2"),
        ("a.parquet", b"PAR1 garbage", {}, r"a\.parquet: not a Parquet file"),
        ("a.parquet", b"", {}, r"a\.parquet: not a Parquet file"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, name: str, content: str | bytes, fields: dict[str, str], message: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ReadError, match=message):
        _read(tmp_path / name, **fields)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_without_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 10)
    (tmp_path / name).write_text('{"text": "longer than ten"}')
    with pytest.raises(ReadError, match=":1: longer than 10 bytes"):
        _read(tmp_path / name)


def test_parquet_that_loses_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(5000)]}), path, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = b"\xff" * (len(data) // 2 - 100)
    path.write_bytes(bytes(data))
    with pytest.raises(ReadError, match=r"a\.parquet: (broken after row|not UTF-8)"):
        _read(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"reading Parquet .*kukla\[parquet\]"):
        _read(path)


def test_tables_stream_and_report_progress(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", *({"text": f"text {i}"} for i in range(2500)))
    calls: list[Any] = []
    stream = read_documents([path], progress=lambda done, total: calls.append((done, total)))
    next(stream)
    assert calls == []
    assert sum(1 for _ in stream) == 2499
    size = path.stat().st_size
    assert [total for _, total in calls] == [size] * 3
    assert calls == sorted(calls)
    assert calls[-1][0] == size
