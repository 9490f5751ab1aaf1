"""Filters: SQL against a small evaluator in Python, on real SQLite; limits; hostile names and values."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kukla.errors import FilterError
from kukla.filters import DEEPEST, MOST_TESTS, MOST_VALUES, compile_filter, parse_filter
from kukla.ingest import encode_metadata

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

MISSING = object()


# The specification: what a filter means, said a second time


def kind(value: Any) -> str:
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "string"}.get(type(value), "other")


def look_up(metadata: Any, field: str) -> Any:
    for name in field.split("."):
        if not isinstance(metadata, Mapping) or name not in metadata:
            return MISSING
        metadata = metadata[name]
    return metadata


def equal(found: Any, value: Any) -> bool:
    candidates = [found, *(found if isinstance(found, list) else [])]
    return any(
        kind(one) == kind(value) != "other" and (kind(value) == "null" or one == value) for one in candidates
    )


def compare(found: Any, operator: str, value: Any) -> bool:
    match operator:
        case "$eq":
            return equal(found, value)
        case "$ne":
            return not equal(found, value)
        case "$in":
            return any(equal(found, one) for one in value)
        case "$nin":
            return not any(equal(found, one) for one in value)
        case "$exists":
            return (found is not MISSING) == value
    if kind(found) != kind(value):
        return False
    return {"$gt": found > value, "$gte": found >= value, "$lt": found < value, "$lte": found <= value}[
        operator
    ]


def matches(metadata: Any, filter_: Mapping[str, Any]) -> bool:
    def clause(key: str, value: Any) -> bool:
        if key == "$and":
            return all(matches(metadata, one) for one in value)
        if key == "$or":
            return any(matches(metadata, one) for one in value)
        if key == "$not":
            return not matches(metadata, value)
        found = look_up(metadata, key)
        if not isinstance(value, Mapping):
            return equal(found, value)
        return all(compare(found, operator, operand) for operator, operand in value.items())

    return all(clause(key, value) for key, value in filter_.items())


def select(rows: Sequence[Mapping[str, Any] | None], filter_: Mapping[str, Any]) -> list[int]:
    """The positions of the rows that SQLite finds, stored as an index stores them."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE documents (key INTEGER PRIMARY KEY, metadata TEXT)")
        encoded = [(i, encode_metadata(row, i)) for i, row in enumerate(rows)]
        connection.executemany("INSERT INTO documents VALUES (?, ?)", encoded)
        condition, parameters = compile_filter(filter_)
        json.dumps([condition, parameters])  # masks are cached under this
        found = connection.execute(f"SELECT key FROM documents WHERE {condition} ORDER BY key", parameters)
        return [key for (key,) in found]
    finally:
        connection.close()


# Names and values are few, so that they meet; among them those that are easily confused.
names = st.sampled_from(["a", "b", "c d", "é", "0", "a$", "a[0]", "#-1", "'; --"])
strings = st.sampled_from(
    ["", "1", "1.0", "true", "null", "a", "A", "é", "e\u0301", "\uffff", "😀", "'", '"', "\\", "%"]
)
numbers = (
    st.sampled_from([0, -0.0, 1, 1.0, -1, 2, 0.1, 0.1 + 0.2, 0.3, 1e300, 5e-324, 2**53, 2**53 + 1, 2.0**53])
    | st.sampled_from([2**63 - 1, -(2**63), float(2**62), 1 / 3])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
)
scalars = st.none() | st.booleans() | strings | numbers
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
metadatas = st.none() | st.dictionaries(names, values, max_size=4)
fields = st.lists(names, min_size=1, max_size=2).map(".".join)
conditions = st.dictionaries(st.sampled_from(["$eq", "$ne"]), scalars, min_size=1)
conditions |= st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), strings | numbers, min_size=1)
conditions |= st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(scalars, max_size=4), min_size=1)
conditions |= st.fixed_dictionaries({"$exists": st.booleans()})
filters = st.recursive(
    st.dictionaries(fields, scalars | conditions, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$not": inner}),
        st.dictionaries(
            st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1
        ),
    ),
    max_leaves=5,
)


@FIXED
@given(st.lists(metadatas, max_size=6), filters)
def test_sqlite_finds_what_the_specification_says(
    rows: list[Mapping[str, Any] | None], filter_: Mapping[str, Any]
) -> None:
    assert select(rows, filter_) == [i for i, row in enumerate(rows) if matches(row or {}, filter_)]


@FIXED
@given(st.lists(metadatas, max_size=6), fields, st.sampled_from([("$eq", "$ne"), ("$in", "$nin")]), scalars)
def test_negations_are_exact(
    rows: list[Mapping[str, Any] | None], field: str, operators: tuple[str, str], value: Any
) -> None:
    operand = value if operators[0] == "$eq" else [value]
    positive, negative = ({field: {operator: operand}} for operator in operators)
    assert select(rows, negative) == select(rows, {"$not": positive})
    assert sorted(select(rows, positive) + select(rows, negative)) == list(range(len(rows)))


@FIXED
@given(numbers)
def test_every_number_equals_itself_and_no_other(number: float) -> None:
    bigger = number + 1 if isinstance(number, int) else math.nextafter(number, math.inf)
    if bigger in (2**63, math.inf):
        return
    rows = [{"x": number}, {"x": bigger}]
    assert select(rows, {"x": number}) == [0]
    assert select(rows, {"x": {"$gt": number}}) == [1]
    assert select(rows, {"x": {"$lt": bigger}}) == [0]
    assert select(rows, {"x": {"$lte": number}}) == [0]


# The same, by example

ROWS: list[Mapping[str, Any] | None] = [
    {"lang": "en", "year": 1999, "ok": True, "tags": ["a", "b"], "author": {"name": "Ada"}},
    {"lang": "de", "year": 2005.5, "ok": 1, "tags": "a", "author": "Ada"},
    {"lang": None, "year": "2005", "ok": "true", "tags": [], "author": {"name": None}},
    {"tags": [1, None, True], "author": {}},
    None,
]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"lang": "en"}, [0]),
        ({"lang": "EN"}, []),
        ({"lang": None}, [2, 3, 4]),
        ({"lang": {"$exists": True}}, [0, 1, 2]),
        ({"lang": {"$exists": False}}, [3, 4]),
        ({"lang": {"$ne": "en"}}, [1, 2, 3, 4]),
        ({"lang": {"$ne": None}}, [0, 1]),
        ({"lang": {"$in": ["en", None]}}, [0, 2, 3, 4]),
        ({"lang": {"$in": []}}, []),
        ({"lang": {"$nin": []}}, [0, 1, 2, 3, 4]),
        ({"lang": {"$gt": "de"}}, [0]),
        ({"year": {"$gte": 1999, "$lt": 2006}}, [0, 1]),
        ({"year": {"$lt": 1e18}}, [0, 1]),
        ({"year": {"$lt": "3"}}, [2]),
        ({"year": 1999.0}, [0]),
        ({"ok": True}, [0]),
        ({"ok": 1}, [1]),
        ({"ok": {"$in": [True, "true"]}}, [0, 2]),
        ({"tags": "a"}, [0, 1]),
        ({"tags": {"$nin": ["a", 1]}}, [2, 4]),
        ({"tags": 1}, [3]),
        ({"tags": True}, [3]),
        ({"tags": None}, [3, 4]),
        ({"tags": {"$gt": ""}}, [1]),
        ({"author.name": "Ada"}, [0]),
        ({"author": "Ada"}, [1]),
        ({"author.name": {"$exists": True}}, [0, 2]),
        ({"author.name": None}, [1, 2, 3, 4]),
        ({"tags.0": "a"}, []),
        ({"lang": "en", "year": 1999}, [0]),
        ({"lang": "en", "year": 2000}, []),
        ({"$or": [{"lang": "en"}, {"$not": {"year": {"$lt": 2000}}}]}, [0, 1, 2, 3, 4]),
        ({"$not": {"lang": "en", "year": 1999}}, [1, 2, 3, 4]),
        ({"$not": {"$not": {"lang": "en"}}}, [0]),
        ({"$not": {}}, []),
        ({"$and": ({"ok": {"$ne": True}}, {"ok": {"$exists": True}})}, [1, 2]),
        ({"year": np.int64(1999)}, [0]),
        ({"year": {"$gt": np.float32(2005)}}, [1]),
        ({"ok": np.True_}, [0]),
    ],
)
def test_examples(filter_: Mapping[str, Any], expected: list[int]) -> None:
    assert select(ROWS, filter_) == expected


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE documents; --", "' OR '1'='1", "?", "{}", "%", "x) OR (1", "$[0]", "*", "∀ 😀", "a']"],
)
def test_names_and_values_are_never_sql(text: str) -> None:
    for field, rows in (
        (f"x{text}", [{f"x{text}": text}, {"x": text}]),
        ("x", [{"x": text}, {"x": f"{text} "}]),
    ):
        for condition in (text, {"$eq": text}, {"$in": [text]}, {"$lte": text}, {"$nin": [f"{text} ", None]}):
            assert select(rows, {field: condition}) == [0]
    condition, _ = compile_filter({f"x{text}": {"$ne": f"{text}{text}", "$gt": "", "$exists": True}})
    assert condition.replace("?", "") == compile_filter({"x": {"$ne": "y", "$gt": "", "$exists": True}})[
        0
    ].replace("?", "")


def test_strings_compare_by_code_point() -> None:
    rows = [{"x": text} for text in ("Z", "a", "é", "\uffff", "😀")]
    for i, row in enumerate(rows):
        assert select(rows, {"x": {"$lt": row["x"]}}) == list(range(i))


# What is refused


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ([], r"a filter is a JSON object, got \[\]"),
        ("lang=en", "a filter is a JSON object, got 'lang=en'"),
        ({1: 2}, "a filter is a JSON object"),
        ({"$and": []}, r"\$and takes a list of at least one filter, got \[\]"),
        ({"$or": {"a": 1}}, r"\$or takes a list of at least one filter"),
        ({"$or": "ab"}, r"\$or takes a list of at least one filter, got 'ab'"),
        ({"$or": ["a"]}, "a filter is a JSON object, got 'a'"),
        ({"$not": [{"a": 1}]}, "a filter is a JSON object"),
        ({"$nor": []}, r"unknown operator '\$nor'; allowed here: \$and, \$or, \$not or a field name"),
        ({"a": {}}, r"field 'a': no operator given; allowed: \$eq, \$ne, \$gt"),
        ({"a": {"$regex": "x"}}, r"field 'a': unknown operator '\$regex'; allowed: \$eq, \$ne, \$gt"),
        ({"a": {"b": 1}}, "field 'a': unknown operator 'b'"),
        ({"a": {1: 1}}, "field 'a': unknown operator 1"),
        ({"a": [1]}, r"a value must be a string, a number, true, false or null, got \[1\]"),
        ({"a": {"$eq": {"b": 1}}}, "a value must be a string"),
        ({"a": {"$in": [[1]]}}, "a value must be a string"),
        ({"a": object}, "a value must be a string"),
        ({"a": {"$gt": True}}, r"field 'a': \$gt takes a number or a string, got True"),
        ({"a": {"$lt": None}}, r"\$lt takes a number or a string, got None"),
        ({"a": {"$in": "abc"}}, r"field 'a': \$in takes a list, got 'abc'"),
        ({"a": {"$nin": 1}}, r"\$nin takes a list, got 1"),
        (
            {"a": {"$in": [0] * (MOST_VALUES + 1)}},
            rf"\$in takes at most {MOST_VALUES} values, got {MOST_VALUES + 1}",
        ),
        ({"a": {"$exists": 1}}, r"\$exists takes true or false, got 1"),
        ({"a": float("nan")}, "a number must be finite, got nan"),
        ({"a": {"$lt": float("inf")}}, "a number must be finite, got inf"),
        ({"a": 2**63}, "an integer must fit 64 bits, got one of 65"),
        ({"a": {"$gt": -(2**63) - 1}}, "an integer must fit 64 bits"),
        ({"a": 10**5000}, "an integer must fit 64 bits"),
        ({"": 1}, "field '': names between dots must not be empty"),
        ({"a..b": 1}, r"field 'a\.\.b': names"),
        ({".a": 1}, "names between dots"),
        ({'a"b': 1}, "quotes, backslashes or control characters"),
        ({"a\\b": 1}, "quotes, backslashes or control characters"),
        ({"a\0b": 1}, "quotes, backslashes or control characters"),
        ({"a\nb": 1}, "quotes, backslashes or control characters"),
        ({"\ud800": 1}, "lone surrogate"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"a": {"$gt": "\ud800"}}, "lone surrogate"),
        ({"a": {"$in": ["x\0"]}}, "must not hold NUL"),
        ({"a": {"$gt": "x\0"}}, "must not hold NUL"),
    ],
)
def test_mistakes_are_named(filter_: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        compile_filter(filter_)


# Limits: what is accepted also runs in SQLite


def nested(depth: int, word: str, innermost: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(depth):
        innermost = {"$not": innermost} if word == "$not" else {word: [{"b": {"$exists": False}}, innermost]}
    return innermost


@pytest.mark.parametrize("word", ["$not", "$and", "$or"])
def test_the_deepest_filter_runs_and_a_deeper_one_is_refused(word: str) -> None:
    innermost = {"x": {"$nin": [1, "a", True, None]}}
    expected = [i for i, row in enumerate(ROWS) if matches(row or {}, nested(DEEPEST, word, innermost))]
    assert select(ROWS, nested(DEEPEST, word, innermost)) == expected
    with pytest.raises(FilterError, match=f"the filter is nested more than {DEEPEST} deep"):
        compile_filter(nested(DEEPEST + 1, word, innermost))


def test_the_widest_filter_runs_and_a_wider_one_is_refused() -> None:
    equalities = [{"year": year} for year in range(1999, 1999 + MOST_TESTS // 2)]
    assert select(ROWS, {"$or": equalities}) == [0]
    deep_and_wide = nested(DEEPEST - 1, "$not", {"$or": equalities})
    assert select(ROWS, deep_and_wide) == [1, 2, 3, 4]
    assert select(ROWS, {"$and": [{"x": {"$exists": False}}] * MOST_TESTS}) == [0, 1, 2, 3, 4]
    with pytest.raises(FilterError, match=f"more than {MOST_TESTS} tests of a field"):
        compile_filter({"$or": [*equalities, {"year": 1}]})


def test_long_lists_run() -> None:
    many = {"$in": [*range(MOST_VALUES - 4), "a", None, True, 0.5]}
    assert select(ROWS, {"year": many, "ok": many, "x": many}) == [0, 3, 4]
    assert select(ROWS, {"lang": {"$in": [None] * MOST_VALUES}}) == [2, 3, 4]


# Typed on a command line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year>=2000", {"year": {"$gte": 2000}}),
        ("year<=2000", {"year": {"$lte": 2000}}),
        ("year>2000.5", {"year": {"$gt": 2000.5}}),
        ("year<-1", {"year": {"$lt": -1}}),
        ("lang=en", {"lang": {"$eq": "en"}}),
        ("lang==en", {"lang": {"$eq": "en"}}),
        ("lang!=en", {"lang": {"$ne": "en"}}),
        ("  lang  =  en us  ", {"lang": {"$eq": "en us"}}),
        ('year="2000"', {"year": {"$eq": "2000"}}),
        ("ok=true", {"ok": {"$eq": True}}),
        ("ok=null", {"ok": {"$eq": None}}),
        ("lang=", {"lang": {"$eq": ""}}),
        ("note=a=b", {"note": {"$eq": "a=b"}}),
        ("note=a\nb", {"note": {"$eq": "a\nb"}}),
        ("author.first-name=Ada", {"author.first-name": {"$eq": "Ada"}}),
        ("имя=Ада", {"имя": {"$eq": "Ада"}}),
        ("name=NaN", {"name": {"$eq": "NaN"}}),
        ("name=Infinity", {"name": {"$eq": "Infinity"}}),
        ("name=" + "1" * 5000, {"name": {"$eq": "1" * 5000}}),
        ('{"lang": "en"}', {"lang": "en"}),
        (' {"a": {"$in": [1, null]}} ', {"a": {"$in": [1, None]}}),
        ("{}", {}),
    ],
)
def test_short_forms(text: str, expected: Mapping[str, Any]) -> None:
    assert parse_filter(text) == expected
    compile_filter(parse_filter(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"cannot read the filter ''; write JSON, or a comparison such as year>=2000"),
        ("year", "cannot read the filter 'year'"),
        (">=2000", "cannot read the filter '>=2000'"),
        ("a b=2", "cannot read the filter 'a b=2'"),
        ("[1]", "cannot read the filter"),
        ('{"a": 1', "the filter is not valid JSON: "),
        ("{'a': 1}", "the filter is not valid JSON: "),
        ('{"a": NaN}', "the filter is not valid JSON: NaN is not a JSON number"),
        ('{"year": {"$gt": 1}, "year": {"$lt": 9}}', "not valid JSON: the key 'year' is given twice"),
        ('{"a":' * 100_000, "nested more than"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        parse_filter(text)


@pytest.fixture(autouse=True)
def _no_change_to_arguments() -> Iterator[None]:
    before = json.dumps(ROWS)
    yield
    assert json.dumps(ROWS) == before
