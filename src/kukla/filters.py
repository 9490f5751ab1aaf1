"""Metadata filters: a small JSON language, compiled to SQL and applied exactly.

The operators are the ones that Chroma, Pinecone and MongoDB users know::

    {"lang": "en"}                                equality
    {"year": {"$gte": 2000, "$lt": 2010}}         $eq $ne $gt $gte $lt $lte
    {"lang": {"$in": ["en", "de"]}}               $in $nin
    {"author.name": {"$exists": true}}            dots reach into nested objects
    {"$or": [{"lang": "en"}, {"$not": {"year": {"$lt": 2000}}}]}      $and $or $not

Types never mix: a number matches numbers only, a string strings only, ``true`` is not 1. Strings compare by
code point. A field that is a list matches ``$eq`` and ``$in`` when one of its elements does. Comparisons are
false for a missing field; ``$ne``, ``$nin`` and ``$not`` are the exact negation and so true for it;
``null`` equals null and missing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kukla.errors import FilterError

__all__ = ["Filter", "compile_filter", "parse_filter"]

Filter = Mapping[str, Any]

DEEPEST = 32
MOST_VALUES = 10_000
_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", *_RANGES, "$in", "$nin", "$exists")
_SHORT = re.compile(r"\s*(?P<field>[\w.\-]+)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.*?)\s*", re.DOTALL)
_SHORT_OPERATORS = {"=": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}

Compiled = tuple[str, list[Any]]


def parse_filter(text: str) -> Filter:
    """A filter typed on a command line: JSON, or one comparison such as ``year>=2000`` or ``lang=en``.

    In a comparison the value is read as JSON where it is JSON (``2000``, ``true``, ``"2000"``), else as a
    string.
    """
    if text.lstrip().startswith("{"):
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise FilterError(f"the filter is not valid JSON: {error}") from None
        return _object(parsed)
    match = _SHORT.fullmatch(text)
    if match is None:
        raise FilterError(f"cannot read the filter {text!r}; write JSON, or a comparison such as year>=2000")
    try:
        value = json.loads(match["value"])
    except ValueError:
        value = match["value"]
    return {match["field"]: {_SHORT_OPERATORS[match["operator"]]: value}}


def compile_filter(filter_: Filter) -> Compiled:
    """An SQL condition on the column ``metadata``, with its parameters.

    Raises
    ------
    FilterError
        Naming the part that was not understood and what is allowed there.
    """
    return _compile(_object(filter_), 0)


def _object(value: Any) -> Filter:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise FilterError(f"a filter is a JSON object, got {value!r}")
    return value


def _compile(filter_: Filter, depth: int) -> Compiled:
    if depth > DEEPEST:
        raise FilterError(f"the filter is nested more than {DEEPEST} deep")
    return _join("AND", [_clause(key, value, depth) for key, value in filter_.items()])


def _clause(key: str, value: Any, depth: int) -> Compiled:
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise FilterError(f"{key} takes a list of at least one filter, got {value!r}")
        return _join(key[1:].upper(), [_compile(_object(item), depth + 1) for item in value])
    if key == "$not":
        return _negate(_compile(_object(value), depth + 1))
    if key.startswith("$"):
        raise FilterError(f"unknown operator {key!r}; allowed here: $and, $or, $not or a field name")
    path = _path(key)
    if not isinstance(value, Mapping):
        return _equal(path, value)
    if not value:
        raise FilterError(f"field {key!r}: no operator given; allowed: {', '.join(_OPERATORS)}")
    return _join("AND", [_compare(path, key, operator, operand) for operator, operand in value.items()])


def _compare(path: str, field: str, operator: str, value: Any) -> Compiled:
    if operator == "$eq":
        return _equal(path, value)
    if operator == "$ne":
        return _negate(_equal(path, value))
    if operator in _RANGES:
        types = _types(value)
        if isinstance(value, bool) or types is None:
            raise FilterError(f"field {field!r}: {operator} takes a number or a string, got {value!r}")
        return _typed(path, types, f"json_extract(metadata, ?) {_RANGES[operator]} ?", [path, value])
    if operator in ("$in", "$nin"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise FilterError(f"field {field!r}: {operator} takes a list, got {value!r}")
        if len(value) > MOST_VALUES:
            raise FilterError(
                f"field {field!r}: {operator} takes at most {MOST_VALUES} values, got {len(value)}"
            )
        found = _any(path, value)
        return found if operator == "$in" else _negate(found)
    if operator == "$exists":
        if not isinstance(value, bool):
            raise FilterError(f"field {field!r}: $exists takes true or false, got {value!r}")
        return f"json_type(metadata, ?) IS {'NOT ' if value else ''}NULL", [path]
    raise FilterError(f"field {field!r}: unknown operator {operator!r}; allowed: {', '.join(_OPERATORS)}")


def _path(field: str) -> str:
    parts = field.split(".")
    if '"' in field or "\0" in field or not all(parts):
        raise FilterError(f"field {field!r}: names between dots must not be empty nor hold quotes")
    return "$" + "".join(f'."{part}"' for part in parts)


def _types(value: Any) -> str | None:
    """The SQLite JSON types that compare with a value; ``None`` for values that compare with nothing."""
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    if isinstance(value, int | float):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise FilterError(f"the number {value} does not fit 64 bits")
        if not math.isfinite(value):
            raise FilterError(f"a number must be finite, got {value}")
        return "'integer', 'real'"
    if isinstance(value, str):
        return "'text'"
    return None


def _equal(path: str, value: Any) -> Compiled:
    if value is None:
        return "coalesce(json_type(metadata, ?), 'null') = 'null'", [path]
    return _any(path, [value])


def _any(path: str, values: Sequence[Any]) -> Compiled:
    """The field, or one of its elements if it is a list, equals one of the values."""
    by_types: dict[str, list[Any]] = {}
    clauses: list[Compiled] = []
    for value in values:
        types = _types(value)
        if value is None:
            clauses.append(_equal(path, None))
        elif types is None:
            raise FilterError(f"a value must be a string, a number, true, false or null, got {value!r}")
        else:
            by_types.setdefault(types, []).append(value)
    for types, group in by_types.items():
        # Strings travel as one JSON parameter; numbers are bound, since text would round them.
        marks = "SELECT value FROM json_each(?)" if types == "'text'" else ", ".join("?" * len(group))
        bound = [json.dumps(group)] if types == "'text'" else group
        among = "1" if types in ("'true'", "'false'") else f"{{}} IN ({marks})"
        bound = [] if among == "1" else bound
        scalar = _typed(
            path, types, among.format("json_extract(metadata, ?)"), ([path] if bound else []) + bound
        )
        element = among.format("e.value")
        listed = (
            "json_type(metadata, ?) = 'array' AND EXISTS (SELECT 1 FROM json_each(metadata, ?) AS e "
            f"WHERE e.type IN ({types}) AND {element})",
            [path, path, *bound],
        )
        clauses.append(_join("OR", [scalar, listed]))
    return _join("OR", clauses) if clauses else ("0", [])


def _typed(path: str, types: str, condition: str, parameters: list[Any]) -> Compiled:
    return f"json_type(metadata, ?) IN ({types}) AND {condition}", [path, *parameters]


def _negate(compiled: Compiled) -> Compiled:
    # coalesce: a missing field makes a comparison NULL, and NOT NULL is NULL, not true.
    return f"NOT coalesce(({compiled[0]}), 0)", compiled[1]


def _join(word: str, parts: Sequence[Compiled]) -> Compiled:
    if not parts:
        return "1", []
    return f" {word} ".join(f"({sql})" for sql, _ in parts), [
        value for _, values in parts for value in values
    ]
