"""Names of models: what they load, and what is said of those that load nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import kukla.embed
from kukla import Space, load_embedder
from kukla.embed import DEFAULT_MODEL, find_embedder
from kukla.errors import InputError, MissingExtraError

FOLDER = Path(kukla.embed.__file__).parent / "models" / DEFAULT_MODEL


def test_a_folder_of_the_built_in_kind(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    assert load_embedder(f"static:{tmp_path / 'mine'}").space == load_embedder().space


@pytest.mark.parametrize("name", ["bert", "st", "openai", "st:", "openai:", "static:", ":x", "hub:x", ""])
def test_other_names_list_what_is_allowed(name: str) -> None:
    with pytest.raises(
        InputError, match=r"embedding model: received .*; allowed: .*static:FOLDER, st:FOLDER"
    ):
        load_embedder(name)


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("sentence_transformers", "st:org/model", "models"), ("httpx2", "openai:any", "openai")],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    with pytest.raises(MissingExtraError, match=rf"pip install 'kukla\[{extra}\]'"):
        load_embedder(name)


def test_an_index_of_a_prefix_of_the_built_in_model_finds_it() -> None:
    space = load_embedder(truncate_dim=64).space
    found = find_embedder(space)
    assert found.space == space
    assert found.encode_queries(["a"]).shape == (1, 64)


def test_an_index_of_another_space_needs_a_name() -> None:
    space = Space(provider="maker", model="one", dim=64)
    with pytest.raises(InputError, match=r"maker/one .*--model or KUKLA_MODEL"):
        find_embedder(space)
