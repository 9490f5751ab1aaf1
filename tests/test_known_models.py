"""The table of known models: its promises, its lookups, and that its page is in step."""

from __future__ import annotations

import dataclasses
import doctest
from itertools import pairwise
from pathlib import Path

import pytest

import kukla.known_models
from kukla.errors import InputError
from kukla.known_models import KnownModel, find_known_model, known_models, markdown
from kukla.space import Space

MODELS = known_models()
FIELDS = {field.name for field in dataclasses.fields(KnownModel)}
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


@each_model
def test_every_fact_has_a_source_and_every_doubt_a_field(model: KnownModel) -> None:
    assert model.sources
    assert all(url.startswith("https://") for url in model.sources)
    assert set(model.unconfirmed) <= FIELDS
    for field in ("normalised", "pooling"):
        assert getattr(model, field) or field in model.unconfirmed, f"{field}: a value or a doubt"
    assert model.normalised in {"all", "full", "none", ""}
    assert model.pooling in {"mean", "cls", "last", ""}


@each_model
def test_dims_are_ascending_and_end_at_the_whole_vector(model: KnownModel) -> None:
    assert all(a < b for a, b in pairwise(model.trained_dims))
    assert not model.trained_dims or model.trained_dims[-1] == model.dim
    assert model.any_dim_from is None or 1 <= model.any_dim_from < model.dim
    if model.matryoshka:
        assert model.trained_dims or model.any_dim_from


@each_model
def test_every_offered_length_has_a_space(model: KnownModel) -> None:
    assert model.space() == model.space(model.dim)
    for dim in {*model.trained_dims, model.any_dim_from or model.dim}:
        space = model.space(dim)
        assert (space.provider, space.model, space.dim) == (model.provider, model.model, dim)
        assert space.trained_dims == tuple(d for d in model.trained_dims if d <= dim)
        assert Space.from_dict(space.to_dict()) == space
    with pytest.raises(InputError, match=f"received {model.dim + 1}; allowed"):
        model.space(model.dim + 1)


def test_no_name_means_two_models() -> None:
    names = [name.casefold() for model in MODELS for name in {model.name, model.model, *model.aliases}]
    assert len(names) == len(set(names))


@each_model
def test_a_model_is_found_by_each_of_its_names(model: KnownModel) -> None:
    for name in (model.model, *model.aliases):
        for spelled in (name, f"{model.provider}/{name}", name.upper(), f" {name} "):
            assert find_known_model(spelled) is model


def test_a_wrong_name_gets_the_closest_ones() -> None:
    with pytest.raises(InputError, match="openai/text-embedding-3-small"):
        find_known_model("text-embeding-3-smal")
    with pytest.raises(InputError, match=r"docs/known-models\.md"):
        find_known_model("@@@@")


def test_a_copy_under_another_organisation_is_not_the_model() -> None:
    with pytest.raises(InputError, match=r"nomic-ai/nomic-embed-text-v1\.5"):
        find_known_model("someone/nomic-embed-text-v1.5")


def test_a_length_that_was_not_trained_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(InputError, match="received 300; allowed: 64, 128, 256, 512, 768"):
        find_known_model("nomic-embed-text-v1.5").space(300)
    with pytest.raises(InputError, match="received 64; allowed: 128 to 3072"):
        find_known_model("gemini-embedding-001").space(64)
    with pytest.raises(InputError, match=r"received 256; allowed: 1536 .*fit a projection"):
        find_known_model("text-embedding-ada-002").space(256)
    with pytest.raises(InputError, match="received '256'"):
        find_known_model("text-embedding-3-small").space("256")  # type: ignore[arg-type]


def test_normalised_depends_on_the_length() -> None:
    gemini = find_known_model("gemini-embedding-001")
    assert gemini.space().normalised
    assert not gemini.space(768).normalised
    assert find_known_model("text-embedding-3-large").space(256).normalised
    assert not find_known_model("static-retrieval-mrl-en-v1").space().normalised
    assert not find_known_model("embed-v4.0").space().normalised  # not confirmed: the safe side


def test_two_lengths_of_one_model_are_two_spaces() -> None:
    model = find_known_model("nomic-embed-text-v1.5")
    with pytest.raises(InputError, match="dim: mine 768, theirs 256"):
        model.space().check_same(model.space(256), doing="adding documents")


def test_the_examples_run() -> None:
    assert doctest.testmod(kukla.known_models).failed == 0


def test_the_page_is_what_the_table_generates() -> None:
    page = Path(__file__).parents[1] / "docs" / "known-models.md"
    assert page.read_text(encoding="utf-8") == markdown(), (
        "run: python -m kukla.known_models > docs/known-models.md"
    )
