"""The identity of an embedding space: validation, round trip, mismatches, canaries."""

from __future__ import annotations

import dataclasses
import doctest
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import kukla.space
from kukla.errors import InputError, SpaceError
from kukla.space import CANARY_TOLERANCE, DEFAULT_CANARIES, Space

BASE = Space(
    provider="acme",
    model="embed-1",
    revision="r1",
    dim=8,
    trained_dims=(2, 4, 8),
    query_prompt="q: ",
    document_prompt="d: ",
    pooling="mean",
)


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """A model that never moves: each text seeds its own direction."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=8) for text in texts]
    return np.stack(rows).astype(np.float32)


def turned(texts: Sequence[str], cosine: float) -> NDArray[np.float64]:
    """Vectors whose cosine with those of :func:`encode` is exactly ``cosine``."""
    unit = encode(texts).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    other = np.roll(unit, 1, axis=1)
    other -= (other * unit).sum(axis=1, keepdims=True) * unit
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    result: NDArray[np.float64] = cosine * unit + np.sqrt(1 - cosine**2) * other
    return result


finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    dim = draw(st.integers(1, 6))
    name = st.text(min_size=1).filter(str.strip)
    texts = draw(st.lists(st.text(), max_size=3, unique=True))
    vector = st.lists(finite, min_size=dim, max_size=dim).filter(any).map(tuple)
    return Space(
        provider=draw(name),
        model=draw(name),
        revision=draw(st.text()),
        dim=dim,
        trained_dims=tuple(sorted(draw(st.sets(st.integers(1, dim))))),
        query_prompt=draw(st.text()),
        document_prompt=draw(st.text()),
        pooling=draw(st.text()),
        layer_norm=draw(st.booleans()),
        normalised=draw(st.booleans()),
        canary_texts=tuple(texts),
        canary_vectors=tuple(draw(vector) for _ in texts),
    )


@given(spaces())
def test_from_dict_is_the_inverse_of_to_dict_through_json(space: Space) -> None:
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)
    again.check_same(space, doing="reopening")


def test_from_dict_accepts_whole_numbers_in_canaries() -> None:
    space = Space(provider="a", model="b", dim=2, canary_texts=("x",), canary_vectors=((1.0, 0.0),))
    assert Space.from_dict({**space.to_dict(), "canary_vectors": [[1, 0]]}) == space


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dim": 0}, "dim"),
        ({"dim": True}, "dim"),
        ({"dim": 8.0}, "dim"),
        ({"provider": ""}, "provider"),
        ({"model": " "}, "model"),
        ({"pooling": None}, "pooling"),
        ({"layer_norm": 1}, "layer_norm"),
        ({"trained_dims": (4, 2)}, "trained_dims"),
        ({"trained_dims": (4, 4)}, "trained_dims"),
        ({"trained_dims": (0, 4)}, "trained_dims"),
        ({"trained_dims": (4, 9)}, "trained_dims"),
        ({"trained_dims": [4, 8]}, "trained_dims"),
        ({"canary_texts": ("x",)}, "1 canary_texts and 0 canary_vectors"),
        ({"canary_texts": ("x", "x"), "canary_vectors": ((1.0,) * 8,) * 2}, "unique"),
        ({"canary_texts": ("x",), "canary_vectors": ((1.0,) * 7,)}, "7 coordinates"),
        ({"canary_texts": ("x",), "canary_vectors": ((1.0,) * 7 + (float("nan"),),)}, "finite"),
        ({"canary_texts": ("x",), "canary_vectors": ((0.0,) * 8,)}, "all zeros"),
        ({"canary_texts": ("x",), "canary_vectors": ([1.0] * 8,)}, "canary_vectors"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        dataclasses.replace(BASE, **change)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "red"}, r"unknown keys \['colour'\]"),
        ({"trained_dims": 8}, "trained_dims"),
        ({"canary_vectors": [3.0], "canary_texts": ["x"]}, "canary_vectors"),
        ({"canary_vectors": [[10**400]], "canary_texts": ["x"]}, "too large"),
        ({"canary_vectors": [[True] * 8], "canary_texts": ["x"]}, "finite floats"),
    ],
)
def test_from_dict_names_what_is_wrong(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Space.from_dict({**BASE.to_dict(), **change})


def test_from_dict_names_missing_keys_and_other_types() -> None:
    values = BASE.to_dict()
    del values["revision"]
    with pytest.raises(InputError, match=r"missing keys \['revision'\]"):
        Space.from_dict(values)
    with pytest.raises(InputError, match="received list"):
        Space.from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "other"),
        ("model", "embed-2"),
        ("revision", "r2"),
        ("dim", 16),
        ("query_prompt", ""),
        ("document_prompt", "doc: "),
        ("pooling", "cls"),
        ("layer_norm", True),
        ("normalised", False),
    ],
)
def test_each_difference_is_named_with_both_values(field: str, value: object) -> None:
    other = dataclasses.replace(BASE, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(SpaceError) as caught:
        BASE.check_same(other, doing="adding documents")
    message = str(caught.value)
    assert message.startswith("adding documents: ")
    assert f"{field}: mine {getattr(BASE, field)!r}, theirs {value!r}; allowed: equal" in message
    assert message.count("mine") == 2  # the headline and this one field


def test_every_difference_is_listed_at_once() -> None:
    other = dataclasses.replace(BASE, model="embed-2", pooling="cls")
    with pytest.raises(SpaceError, match=r"(?s)model: .*pooling: "):
        BASE.check_same(other, doing="searching")


def test_trained_dims_are_a_claim_and_not_an_identity() -> None:
    BASE.check_same(dataclasses.replace(BASE, trained_dims=()), doing="adding documents")


def test_unknown_matches_on_dim_only() -> None:
    BASE.check_same(Space.unknown(8), doing="adding documents")
    Space.unknown(8).check_same(BASE, doing="adding documents")
    with pytest.raises(SpaceError, match="dim: mine 8, theirs 9"):
        BASE.check_same(Space.unknown(9), doing="adding documents")
    assert str(Space.unknown(8)) == "unknown (8 dims)"


def test_canaries_of_two_spaces_are_compared_by_cosine() -> None:
    mine = BASE.with_canaries(encode)
    mine.check_same(BASE.with_canaries(lambda texts: 3 * turned(texts, 0.9995)), doing="merging")
    with pytest.raises(SpaceError, match=r"canary 'The library.*cosine 0\.99.*allowed: at least 0\.999"):
        mine.check_same(BASE.with_canaries(lambda texts: turned(texts, 0.99)), doing="merging")


def test_canary_texts_that_only_one_side_has_are_no_mismatch() -> None:
    mine = BASE.with_canaries(encode, ["one", "shared"])
    mine.check_same(BASE.with_canaries(encode, ["shared", "two"]), doing="merging")
    mine.check_same(BASE, doing="merging")
    with pytest.raises(SpaceError, match="'shared'") as caught:
        mine.check_same(BASE.with_canaries(lambda t: turned(t, 0.5), ["shared", "two"]), doing="merging")
    assert "'two'" not in str(caught.value)


def test_check_canaries_says_whether_anything_was_checked() -> None:
    assert BASE.check_canaries(encode) is False
    assert BASE.with_canaries(encode).check_canaries(encode) is True


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_noise_passes(dtype: type[np.floating[Any]]) -> None:
    space = BASE.with_canaries(encode)
    assert space.check_canaries(lambda texts: encode(texts).astype(dtype))


def test_a_moved_model_fails_and_the_text_is_named() -> None:
    space = BASE.with_canaries(encode)

    def moved(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = encode(texts)
        vectors[2] = vectors[2, ::-1]
        return vectors

    with pytest.raises(SpaceError) as caught:
        space.check_canaries(moved)
    assert DEFAULT_CANARIES[2][:30] in str(caught.value)
    assert DEFAULT_CANARIES[0][:30] not in str(caught.value)
    with pytest.raises(SpaceError, match=r"cosine 0\.000000"):
        space.check_canaries(lambda texts: np.zeros((len(texts), 8)))


def test_the_tolerance_is_the_limit() -> None:
    space = BASE.with_canaries(encode)
    inside, outside = 1 - CANARY_TOLERANCE * 0.99, 1 - CANARY_TOLERANCE * 1.01
    assert space.check_canaries(lambda texts: turned(texts, inside))
    with pytest.raises(SpaceError):
        space.check_canaries(lambda texts: turned(texts, outside))
    assert space.check_canaries(lambda texts: turned(texts, outside), tolerance=0.1)
    with pytest.raises(InputError, match="tolerance"):
        space.check_canaries(encode, tolerance=-1)


def test_cosine_survives_huge_and_tiny_vectors() -> None:
    space = BASE.with_canaries(lambda texts: encode(texts).astype(np.float64) * 1e200)
    assert space.check_canaries(lambda texts: encode(texts).astype(np.float64) * 1e-200)


@pytest.mark.parametrize(
    ("vectors", "named"),
    [
        (np.ones((2, 9)), "shape"),
        (np.ones(8), "shape"),
        (np.full((2, 8), np.nan), "NaN"),
        (np.ones((2, 8), dtype=complex), "dtype"),
        (np.zeros((2, 8)), "all zeros"),
    ],
)
def test_an_encoder_that_returns_nonsense_is_refused(vectors: NDArray[Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        BASE.with_canaries(lambda _: vectors, ["a", "b"])


def test_repr_is_short_and_leaves_out_defaults() -> None:
    assert repr(Space(provider="a", model="b", dim=8)) == "Space(provider='a', model='b', dim=8)"
    assert repr(BASE.with_canaries(encode)).endswith("pooling='mean', <5 canaries>)")
    assert str(BASE) == "acme/embed-1@r1 (8 dims)"


def test_default_canaries_are_diverse() -> None:
    assert len(set(DEFAULT_CANARIES)) == len(DEFAULT_CANARIES) == 5
    assert sum(not text.isascii() for text in DEFAULT_CANARIES) == 2


def test_the_examples_run() -> None:
    assert doctest.testmod(kukla.space).failed == 0
