"""What can be added: every shape of input becomes the same batches, or a message that names the row."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kukla import Document
from kukla.checks import normalise
from kukla.errors import InputError, VectorError
from kukla.ingest import DEEPEST_METADATA, LONGEST_ID, check_id, encode_metadata, make_batches
from kukla.storage.store import Batch

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

DIM = 3


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """A model whose vectors show the text: its length, its first code point, 1."""
    return np.array([[len(text), ord(text[0]), 1] for text in texts], dtype=np.float32)


def as_is(vectors: NDArray[Any], *, first_row: int = 0) -> NDArray[np.float32]:
    return vectors.astype(np.float32)


def batches(items: Any, *, rows: int = 4, **arguments: Any) -> Iterator[Batch]:
    defaults: dict[str, Any] = {
        "ids": None,
        "texts": None,
        "metadata": None,
        "prepare": as_is,
        "encode": encode,
    }
    return make_batches(items, dim=DIM, rows=rows, **{**defaults, **arguments})


def numbered(n: int, start: int = 0) -> NDArray[np.float32]:
    """Rows that show their number."""
    return np.array([[row, 0.5, 1] for row in range(start, start + n)], dtype=np.float32).reshape(n, DIM)


def vectors_of(found: Sequence[Batch]) -> list[list[float]]:
    return [row for batch in found for row in batch.vectors.tolist()]


# Every shape of input


@pytest.mark.parametrize(
    "items",
    [
        numbered(9),
        np.asfortranarray(numbered(9)),
        numbered(9).astype(np.float16),
        numbered(9).tolist(),
        [tuple(row) for row in numbered(9).tolist()],
        list(numbered(9)),
        [numbered(9)],
        [numbered(2), *numbered(1, 2), numbered(6, 3)],
        [numbered(0), numbered(9)],
        [Document(vector=row) for row in numbered(9)],
        [{"vector": row} for row in numbered(9).tolist()],
        np.array([None, *numbered(9)], dtype=object)[1:],
    ],
    ids=lambda items: type(items).__name__,
)
@pytest.mark.parametrize("rows", [1, 4, 9, 100])
@pytest.mark.parametrize("lazy", [False, True])
def test_vectors_in_every_form_are_the_same_batches(items: Any, rows: int, lazy: bool) -> None:
    if lazy:
        items = (item for item in items)
    found = list(batches(items, rows=rows))
    assert [len(batch.vectors) for batch in found] == [min(rows, 9 - start) for start in range(0, 9, rows)]
    assert vectors_of(found) == numbered(9).tolist()
    for batch in found:
        assert batch.ids is None
        assert all(text is None for text in batch.texts or ())
        assert all(value is None for value in batch.metadata or ())


def test_one_vector_is_one_row() -> None:
    assert vectors_of(list(batches(numbered(1)[0]))) == numbered(1).tolist()


@pytest.mark.parametrize("items", [[], iter([]), np.empty((0, DIM)), np.empty((0, 99)), [np.empty((0, DIM))]])
def test_nothing_is_no_batch(items: Any) -> None:
    assert list(batches(items)) == []


@pytest.mark.parametrize(
    "items",
    [
        ["one", "three"],
        np.array(["one", "three"]),
        np.array(["one", "three"], dtype=object),
        ("one", "three"),
    ],
)
def test_texts_are_embedded_and_kept(items: Any) -> None:
    (batch,) = batches(items)
    assert batch.vectors.tolist() == [[3, ord("o"), 1], [5, ord("t"), 1]]
    assert list(batch.texts) == ["one", "three"]
    assert all(type(text) is str for text in batch.texts)


def test_documents_and_mappings_carry_everything() -> None:
    items = [
        Document("a", "first", {"n": 1}, np.array([1.0, 2.0, 3.0])),
        {"id": "b", "text": "second", "metadata": None},
        {"id": "c", "vector": [4.0, 5.0, 6.0], "text": None},
    ]
    (batch,) = batches(items)
    assert batch.ids == ["a", "b", "c"]
    assert list(batch.texts) == ["first", "second", None]
    assert list(batch.metadata) == ['{"n":1}', None, None]
    assert batch.vectors.tolist() == [[1, 2, 3], [6, ord("s"), 1], [4, 5, 6]]


def test_a_batch_embeds_its_texts_at_once_and_only_those() -> None:
    calls: list[list[str]] = []

    def recording(texts: Sequence[str]) -> NDArray[np.float32]:
        calls.append(list(texts))
        return encode(texts)

    items: list[Any] = ["a", [1.0, 2.0, 3.0], "b", "c", {"text": "not embedded", "vector": [0.0, 0.0, 1.0]}]
    list(batches(items, rows=3, encode=recording))
    assert calls == [["a", "b"], ["c"]]


def test_arguments_beside_the_items() -> None:
    found = list(
        batches(
            numbered(5),
            rows=2,
            ids=(f"d{i}" for i in range(5)),
            texts=["t0", None, "t2", "t3", "t4"],
            metadata=iter([{"i": 0}, None, {}, {"i": 3}, {"i": 4}]),
        )
    )
    assert [batch.ids for batch in found] == [["d0", "d1"], ["d2", "d3"], ["d4"]]
    assert [list(batch.texts) for batch in found] == [["t0", None], ["t2", "t3"], ["t4"]]
    assert [list(batch.metadata) for batch in found] == [['{"i":0}', None], [None, '{"i":3}'], ['{"i":4}']]


def test_arguments_take_the_place_of_what_documents_say() -> None:
    (batch,) = batches([Document(1, "old", {"old": True})], ids=[2], texts=["new"], metadata=[{"new": True}])
    assert (batch.ids, batch.texts, batch.metadata) == ([2], ["new"], ['{"new":true}'])
    assert batch.vectors.tolist() == encode(["new"]).tolist()


def test_arrays_of_ids_and_texts_are_taken() -> None:
    (batch,) = batches(numbered(2), ids=np.array([7, 8]), texts=np.array(["x", "y"]))
    assert batch.ids == [7, 8]
    assert all(type(id_) is int for id_ in batch.ids)
    assert list(batch.texts) == ["x", "y"]


def test_prepare_gets_the_number_of_its_first_row() -> None:
    seen = []

    def recording(vectors: NDArray[Any], *, first_row: int) -> NDArray[np.float32]:
        seen.append((first_row, len(vectors)))
        return as_is(vectors)

    for batch in batches(numbered(9), prepare=recording):
        batch.stored(slice(0, len(batch.vectors)))
    assert seen == [(0, 4), (4, 4), (8, 1)]


# Reading no further than needed


@pytest.mark.parametrize("width", [0, 2])
def test_an_iterable_is_read_one_batch_at_a_time(width: int) -> None:
    read = 0

    def endless() -> Iterator[Any]:
        nonlocal read
        for row in count():
            read += max(width, 1)
            yield numbered(width, row) if width else numbered(1, row)[0]

    stream = batches(endless(), rows=4, ids=count(), texts=(f"t{i}" for i in count()))
    assert read == 0
    for i in range(1, 4):
        assert len(next(stream).vectors) == 4
        assert read == 4 * i


# Lengths that do not match


@pytest.mark.parametrize("name", ["ids", "texts", "metadata"])
@pytest.mark.parametrize("items", [numbered(5), numbered(5).tolist(), [numbered(2), numbered(3)]])
def test_another_length_is_refused_before_anything_is_written(name: str, items: Any) -> None:
    for values in ([None] * 4, [None] * 6, np.full(6, None)):
        with pytest.raises(InputError, match=rf"^there are {len(values)} {name} for 5 items$"):
            next(batches(items, rows=2, **{name: values}))


@pytest.mark.parametrize("name", ["ids", "texts", "metadata"])
def test_another_length_of_a_stream_is_found_where_it_ends(name: str) -> None:
    stream = batches(iter(numbered(5)), rows=2, **{name: iter([None] * 3)})
    next(stream)
    with pytest.raises(InputError, match=f"{name} ended after 3, but there are more items"):
        next(stream)
    with pytest.raises(InputError, match=rf"there are more {name} than items \(5\)"):
        list(batches(iter(numbered(5)), rows=2, **{name: iter([None] * 6)}))


@pytest.mark.parametrize("name", ["ids", "texts", "metadata"])
@pytest.mark.parametrize("value", ["abc", b"abc", {"a": 1}, 5])
def test_a_single_value_is_no_list_of_values(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{name} must be an iterable with one value for each item, got "):
        next(batches(numbered(3), **{name: value}))


# Items that cannot be added: rows are counted over all batches


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "row 5 is no text, document or vector: None"),
        (3.5, r"row 5 is no text, document or vector: 3\.5"),
        (b"text", "row 5 is no text, document or vector: b'text'"),
        (object, "row 5 is no text, document or vector: "),
        ([1.0, 2.0], r"row 5: a vector must have shape \(3,\), got \(2,\)"),
        ([[1.0, 2.0, 3.0]], r"row 5: a vector must have shape \(3,\), got \(1, 3\)"),
        (np.ones((1, 1, 3)), r"row 5: a vector must have shape \(3,\), got \(1, 1, 3\)"),
        ([[1.0], [1.0, 2.0]], "row 5: the vector is ragged"),
        ([1, 2, 3], "row 5: a vector must be floats, got dtype int64; decode quantised codes first"),
        (np.ones(3, dtype=np.int8), "row 5: a vector must be floats, got dtype int8"),
        (["a", "b", "c"], "row 5: a vector must be floats, got dtype <U1"),
        ([1.0, None, 2.0], "row 5: a vector must be floats, got dtype object"),
        ([1.0, np.nan, 2.0], "row 5 holds nan at coordinate 1"),
        ({"vector": [1.0, np.inf, 2.0]}, "row 5 holds inf at coordinate 1"),
        ({"vector": "text"}, "row 5 is no text, document or vector: 'text'"),
        ({"vector": [[1.0], [1.0, 2.0]]}, "row 5: the vector is ragged"),
        ({"title": "x"}, "row 5 has the field 'title'; allowed: id, text, metadata, vector"),
        ({}, "row 5 has neither a text nor a vector"),
        (Document("a"), "row 5 has neither a text nor a vector"),
        ({"text": 5}, "row 5: a text must be a string, got int"),
        ({"text": "\udfff"}, "row 5: the text holds a lone surrogate at character 0: it is not Unicode"),
        (Document(1, "x", [1]), r"row 5: metadata must be a mapping with string keys, got \[1\]"),  # type: ignore[arg-type]
        (Document("i", "x"), "row 5: ids must be all integers or all strings, got 'i' after 4"),
        (Document(True, "x"), "row 5: an id must be an integer or a string, got True"),
        (Document(None, "x"), "row 5: an id must be an integer or a string, got None"),
    ],
)
def test_items_that_cannot_be_added(item: Any, message: str) -> None:
    items = [*numbered(4), Document(4, vector=numbered(1)[0]), item]
    for same in (items, iter(items)):
        stream = batches(same)
        next(stream)
        with pytest.raises(InputError, match=message):
            next(stream)


@pytest.mark.parametrize("items", ["text", b"text", {"text": "x"}, Document(text="x")])
def test_one_item_is_not_many(items: Any) -> None:
    with pytest.raises(
        InputError, match=f"add takes many items; put the one {type(items).__name__} into a list"
    ):
        next(batches(items, ids=[1]))


@pytest.mark.parametrize("items", [None, 5, 2.5])
def test_what_is_not_iterable(items: Any) -> None:
    with pytest.raises(InputError, match="add takes an array or an iterable of items, got "):
        next(batches(items))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.ones((3, 2)), "vectors must have 3 dims, got 2"),
        (np.ones((3, 3), dtype=np.int8), "vectors must be floats .* got dtype int8"),
        (np.ones((2, 3, 3)), r"vectors must be one vector \(dim,\) or a batch"),
        (np.array(1.0), "vectors must have 3 dims, got 1"),
        (np.ones(3, dtype=int), "vectors must be floats"),
    ],
)
def test_arrays_that_cannot_be_added(items: Any, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        next(batches(items))


def test_rows_of_arrays_are_counted_over_batches() -> None:
    rows = numbered(9)
    rows[6, 2] = np.nan
    with pytest.raises(VectorError, match="row 6 holds nan at coordinate 2"):
        list(batches(rows))
    rows[6] = 0
    first, second, _ = batches([rows[:5], rows[5:]], prepare=normalise)
    first.stored(slice(0, 4))
    for which in (slice(1, 4), np.array([3, 2, 0])):  # the order of ids may be another
        with pytest.raises(VectorError, match="vector of row 6 is all zeros"):
            second.stored(which)


@pytest.mark.parametrize("made", [np.ones((1, DIM)), np.ones((2, 5)), np.ones(DIM), np.ones((3, DIM))])
@pytest.mark.parametrize("items", [["a", "b"], ["a", [1.0, 2.0, 3.0], "b"]])
def test_an_embedder_that_breaks_its_word(made: NDArray[Any], items: Any) -> None:
    with pytest.raises(
        VectorError, match=r"the embedder made vectors of shape .* of 2 texts; allowed: \(2, 3\)"
    ):
        next(batches(items, encode=lambda texts: made))


# Ids


@pytest.mark.parametrize("id_", [0, -(2**63), 2**63 - 1, "a", "é", "😀", " ", "x" * LONGEST_ID, "\0"])
def test_ids_that_are_kept_as_they_are(id_: Any) -> None:
    assert check_id(id_) == id_


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("id_", "kept"),
    [
        (np.int8(5), 5),
        (np.uint64(5), 5),
        (Number.ONE, 1),
        (np.str_("a"), "a"),
        (enum.StrEnum("E", "A").A, "a"),
    ],  # type: ignore[attr-defined]
)
def test_ids_become_plain_ones(id_: Any, kept: Any) -> None:
    assert check_id(id_) == kept
    assert type(check_id(id_)) is type(kept)


@pytest.mark.parametrize(
    ("id_", "message"),
    [
        (True, "an id must be an integer or a string, got True"),
        (np.True_, "an id must be an integer or a string"),
        (1.0, r"an id must be an integer or a string, got 1\.0"),
        (None, "an id must be an integer or a string, got None"),
        (b"a", "an id must be an integer or a string, got b'a'"),
        (2**63, "an integer id must fit 64 bits, got one of 65"),
        (-(2**63) - 1, "an integer id must fit 64 bits, got one of 65"),
        (np.uint64(2**64 - 1), "an integer id must fit 64 bits, got one of 65"),
        ("", f"an id must have 1 to {LONGEST_ID} characters, got 0"),
        ("x" * (LONGEST_ID + 1), f"an id must have 1 to {LONGEST_ID} characters, got {LONGEST_ID + 1}"),
        ("a\ud800", "the id holds a lone surrogate at character 1: it is not Unicode"),
    ],
)
def test_ids_that_are_refused(id_: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        check_id(id_)
    with pytest.raises(InputError, match=f"^row 6: {message}"):
        list(batches(numbered(7), ids=[*range(6), id_]))


def test_an_id_too_long_to_print_is_refused_too() -> None:
    with pytest.raises(InputError, match="an integer id must fit 64 bits, got one of 16611"):
        check_id(10**5000)


def test_strings_of_every_kind_are_one_kind_of_id() -> None:
    (batch,) = batches(numbered(2), ids=["a", np.str_("b")])
    assert batch.ids == ["a", "b"]


def test_ids_of_two_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="row 2: ids must be all integers or all strings, got 'c' after 1"):
        list(batches(numbered(3), ids=[1, 2, "c"]))


# Metadata

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc. é'\"\\"), inner, max_size=3),
    max_leaves=8,
)


@FIXED
@given(st.dictionaries(st.text("abc. é'\"\\"), json_values, max_size=4))
def test_metadata_comes_back_as_it_was(metadata: dict[str, Any]) -> None:
    encoded = encode_metadata(metadata, 0)
    assert (json.loads(encoded) if encoded is not None else {}) == metadata


def test_metadata_is_short_and_readable() -> None:
    assert encode_metadata({"lang": "ру", "n": [1, 2.5]}, 0) == '{"lang":"ру","n":[1,2.5]}'
    assert encode_metadata({"path": r"C:\u0000"}, 0) == r'{"path":"C:\\u0000"}'
    assert encode_metadata({}, 0) is None
    assert encode_metadata(None, 0) is None


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"x": float("nan")}, r"metadata must be JSON \(Out of range float"),
        ({"x": [float("inf")]}, "metadata must be JSON"),
        ({"x": {1, 2}}, "metadata must be JSON .*set"),
        ({"x": np.float32(1)}, "metadata must be JSON .*float32"),
        ({"x": b"y"}, "metadata must be JSON .*bytes"),
        ({"x": 10**5000}, "metadata must be JSON"),
        ({1: "x"}, "metadata must be a mapping with string keys, got 1"),
        ({"x": {1: "x"}}, "metadata must be a mapping with string keys, got 1"),  # json would make it "1"
        ({"x": [{None: "x"}]}, "metadata must be a mapping with string keys, got None"),
        ("text", "metadata must be a mapping with string keys, got 'text'"),
        ([], r"metadata must be a mapping with string keys, got \[\]"),
        (0, "metadata must be a mapping with string keys, got 0"),
        ({"x": "a\0b"}, "metadata must not hold NUL characters"),
        ({"x": {"a\0b": 1}}, "metadata must not hold NUL characters"),
        ({"x": "\ud800"}, "the metadata holds a lone surrogate at character 6"),
        ({"x": deep(DEEPEST_METADATA)}, f"metadata is nested more than {DEEPEST_METADATA} deep"),
        ({"x": deep(100_000)}, f"metadata is nested more than {DEEPEST_METADATA} deep"),
    ],
)
def test_metadata_that_json_cannot_hold(metadata: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^row 5: {message}"):
        list(
            batches(
                numbered(6), metadata=[{}, None, {}, None, {"fine": deep(DEEPEST_METADATA - 1)}, metadata]
            )
        )


def test_metadata_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(InputError, match="row 0: metadata is nested more than"):
        encode_metadata(loop, 0)
