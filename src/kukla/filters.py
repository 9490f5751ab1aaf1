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
``null`` equals null and missing. A field whose name holds a dot, a quote, a backslash or a control character
cannot be named.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kukla.errors import FilterError

__all__ = ["Filter", "compile_filter", "parse_filter"]

Filter = Mapping[str, Any]

# SQLite's limits, kept at a distance: the parser's stack has 100 places, an expression tree 1000 levels.
DEEPEST = 16
MOST_TESTS = 800
MOST_VALUES = 10_000
_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", *_RANGES, "$in", "$nin", "$exists")
_SHORT = re.compile(r"\s*(?P<field>[\w.\-]+)\s*(?P<operator>!=|>=|<=|==?|>|<)\s*(?P<value>.*?)\s*", re.DOTALL)
_SHORT_OPERATORS = {"=": "$eq", "==": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}

Compiled = tuple[str, list[Any]]


def parse_filter(text: str) -> Filter:
    """A filter typed on a command line: JSON, or one comparison such as ``year>=2000`` or ``lang=en``.

    In a comparison the value is read as JSON where it is JSON (``2000``, ``true``, ``"2000"``), else as a
    string.
    """
    if text.lstrip().startswith("{"):
        try:
            parsed = _loads(text)
        except ValueError as error:
            raise FilterError(f"the filter is not valid JSON: {error}") from None
        except RecursionError:
            raise FilterError(f"the filter is nested more than {DEEPEST} deep") from None
        return _object(parsed)
    match = _SHORT.fullmatch(text)
    if match is None:
        raise FilterError(f"cannot read the filter {text!r}; write JSON, or a comparison such as year>=2000")
    try:
        value = _loads(match["value"])
    except (ValueError, RecursionError):
        value = match["value"]
    return {match["field"]: {_SHORT_OPERATORS[match["operator"]]: value}}


def _loads(text: str) -> Any:
    """Strict JSON: no NaN, and no key twice, of which Python would silently keep the last."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
        return result

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


def compile_filter(filter_: Filter) -> Compiled:
    """An SQL condition on the column ``metadata``, with its parameters.

    Raises
    ------
    FilterError
        Naming the part that was not understood and what is allowed there.
    """
    condition, parameters = _compile(_object(filter_), 0)
    if condition.count("json_type(") > MOST_TESTS:  # values are bound, so this counts our own words
        raise FilterError(
            f"the filter needs more than {MOST_TESTS} tests of a field (an equality needs two); "
            "$in takes many values at once"
        )
    return condition, parameters


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
        value = _plain(value)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise FilterError(f"field {field!r}: {operator} takes a number or a string, got {value!r}")
        return (
            f"json_type(metadata, ?) IN ({_types(value)}) "
            f"AND json_extract(metadata, ?) {_RANGES[operator]} json_extract(?, '$')",
            [path, path, json.dumps(value)],
        )
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
    # JSON escapes these, and SQLite compares names as they are written.
    if not all(parts) or any(character in '"\\' or character < " " for character in field):
        raise FilterError(
            f"field {field!r}: names between dots must not be empty nor hold quotes, backslashes or control "
            "characters"
        )
    _check_unicode(field)
    return "$" + "".join(f'."{part}"' for part in parts)


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FilterError(f"{text!r} holds a lone surrogate: it is not Unicode") from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _types(value: Any) -> str:
    """The SQLite JSON types that compare with a value."""
    if value is None:
        return "'null'"
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    if isinstance(value, int | float):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise FilterError(f"an integer must fit 64 bits, got one of {value.bit_length() + 1}")
        if not math.isfinite(value):
            raise FilterError(f"a number must be finite, got {value}")
        return "'integer', 'real'"
    if isinstance(value, str):
        _check_unicode(value)
        if "\0" in value:
            raise FilterError(f"a string must not hold NUL characters, got {value!r}")
        return "'text'"
    raise FilterError(f"a value must be a string, a number, true, false or null, got {value!r}")


def _equal(path: str, value: Any) -> Compiled:
    return _any(path, [value])


def _any(path: str, values: Sequence[Any]) -> Compiled:
    """The field, or one of its elements if it is a list, equals one of the values."""
    by_types: dict[str, list[Any]] = {}
    for value in map(_plain, values):
        by_types.setdefault(_types(value), []).append(value)
    if not by_types:
        return "0", []
    return _join("OR", [_one_of(path, types, group) for types, group in by_types.items()])


def _one_of(path: str, types: str, values: Sequence[Any]) -> Compiled:
    """As :func:`_any`, for values that compare with the same types."""
    # Values travel as JSON: as many as there are take one parameter, and numbers are read from text by the
    # same code as those in the metadata, so that equal ones stay equal however it rounds.
    among, bound = " AND {} IN (SELECT value FROM json_each(?))", [json.dumps(values)]
    if types in ("'null'", "'true'", "'false'"):
        among, bound = "", []
    found = "coalesce(json_type(metadata, ?), 'null')" if types == "'null'" else "json_type(metadata, ?)"
    scalar = f"{found} IN ({types}){among.format('json_extract(metadata, ?)')}"
    listed = (
        "json_type(metadata, ?) = 'array' AND EXISTS (SELECT 1 FROM json_each(metadata, ?) AS e "
        f"WHERE e.type IN ({types}){among.format('e.value')})"
    )
    return _join("OR", [(scalar, [path, *([path] if bound else []), *bound]), (listed, [path, path, *bound])])


def _negate(compiled: Compiled) -> Compiled:
    # A missing field makes a comparison NULL, and NOT NULL is NULL; IS NOT TRUE is true.
    return f"({compiled[0]}) IS NOT TRUE", compiled[1]


def _join(word: str, parts: Sequence[Compiled]) -> Compiled:
    if len(parts) < 2:
        return parts[0] if parts else ("1", [])
    return f" {word} ".join(f"({sql})" for sql, _ in parts), [
        value for _, values in parts for value in values
    ]
