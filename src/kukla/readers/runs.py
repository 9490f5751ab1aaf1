"""Runs: what a search returned for each query, as TREC writes it, or as ``kukla search --json`` prints it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError, ReadError, WriteError
from kukla.readers.tables import json_rows, text_lines

__all__ = ["read_run", "write_run"]

_FORM = "query Q0 document rank score tag"
_QUERY_ID_FIELDS = ("query_id", "_id", "id")


def read_run(
    path: Path | str, *, query_ids: Mapping[str, Sequence[str]] | None = None
) -> dict[str, dict[str, float]]:
    """The score of each retrieved document of each query.

    Parameters
    ----------
    path : path
        TREC: six columns, blanks between; the order is that of the scores, as for trec_eval, and ranks are
        not looked at. JSON lines of ``kukla search --json``: the order is that of the results. May be
        gzipped (``.gz``).
    query_ids : mapping, optional
        The ids of a query's text (white space aside): JSON lines name queries by text.

    Raises
    ------
    ReadError
        Naming the line: wrong columns, a score that is no number, a document twice for one query.
    """
    path = Path(path)
    first = next((line for _, line in text_lines(path) if line.strip()), None)
    if first is None:
        raise ReadError(f"{path}: is empty; a line is {_FORM}")
    if first.lstrip().startswith("{"):
        return _read_json(path, query_ids)
    found: dict[str, dict[str, float]] = {}
    for number, line in text_lines(path):
        if not line.strip():
            continue
        parts = line.split()
        try:
            if len(parts) != 6:
                raise ValueError
            query, document, score = parts[0], parts[2], float(parts[4])
            if not math.isfinite(score):
                raise ValueError
        except ValueError:
            raise ReadError(
                f"{path}:{number}: {line.strip()[:80]!r}, {len(parts)} columns, is no result; "
                f"a line is {_FORM}"
            ) from None
        _add(found.setdefault(query, {}), document, score, f"{path}:{number}", query)
    return found


def _add(documents: dict[str, float], document: str, score: float, where: str, query: str) -> None:
    if document in documents:
        raise ReadError(
            f"{where}: document {document!r} is there twice for query {query!r}; once is expected"
        )
    documents[document] = score


def _read_json(path: Path, query_ids: Mapping[str, Sequence[str]] | None) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in json_rows(path):
        where = f"{path}:{row.line}"
        results = row.fields.get("results")
        if not isinstance(results, list) or not all(isinstance(r, dict) and "id" in r for r in results):
            raise ReadError(
                f"{where}: no list 'results' of objects with an id; kukla search --json prints it"
            )
        for query in _queries_of(row.fields, query_ids, where):
            if query in found:
                raise ReadError(f"{where}: query {query!r} is there twice; once is expected")
            documents = found.setdefault(query, {})
            for rank, result in enumerate(results):
                _add(documents, str(result["id"]), float(len(results) - rank), where, query)
    return found


def _queries_of(
    fields: Mapping[str, Any], query_ids: Mapping[str, Sequence[str]] | None, where: str
) -> Sequence[str]:
    for name in _QUERY_ID_FIELDS:
        if isinstance(fields.get(name), str | int):
            return [str(fields[name])]
    text = fields.get("query")
    if not isinstance(text, str):
        raise ReadError(f"{where}: neither an id ({', '.join(_QUERY_ID_FIELDS)}) nor the text of a query")
    if query_ids is None:
        raise ReadError(f"{where}: names its query by text: give the queries and their ids too (--queries)")
    ids = query_ids.get(" ".join(text.split()))
    if not ids:
        raise ReadError(f"{where}: the query {text[:60]!r} is not among the queries that were given")
    return ids


def write_run(
    path: Path | str,
    query_ids: Sequence[str],
    ids: Iterable[NDArray[Any]],
    scores: Iterable[NDArray[np.float32]],
    *,
    tag: str,
) -> None:
    """Write rankings for trec_eval, which ranks by score, compared in float32, and not by rank.

    So that it sees the ranking as it is, a score that is not below the one before it is written as the next
    float32 below.

    Parameters
    ----------
    path : path
        An existing file is replaced.
    query_ids : sequence of str, length n
    ids, scores : arrays, shape (n, m)
        Best first.
    tag : str
        The name of the run; blanks are left out.

    Raises
    ------
    InputError
        An id with white space in it: TREC's columns cannot hold it.
    WriteError
    """
    path = Path(path)
    lines = []
    name = "".join(tag.split()) or "kukla"
    for query, documents, values in zip(query_ids, ids, scores, strict=True):
        below = np.float32(np.inf)
        for rank, (document, value) in enumerate(zip(documents, values, strict=True), start=1):
            for id_ in (query, str(document)):
                if not id_ or id_.split() != [id_]:
                    raise InputError(f"{path}: the id {id_!r} has white space, which a TREC run cannot hold")
            below = min(np.float32(value), np.nextafter(below, np.float32(-np.inf)))
            lines.append(f"{query} Q0 {document} {rank} {below!s} {name}\n")
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
