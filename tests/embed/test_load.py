"""Names of models: what they load, and what is said of those that load nothing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import kukla.embed
from kukla import Index, Space, load_embedder
from kukla.embed import DEFAULT_MODEL, find_embedder
from kukla.errors import InputError, MissingExtraError, SpaceError

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


class TestTheModelThatShippedBefore:
    """Its vectors and those of the model that took its place never meet, and a user is told how to go on."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder of the kind and the name that shipped before, which somebody kept."""
        shutil.copytree(FOLDER, tmp_path / "old")
        told = json.loads((FOLDER / "space.json").read_bytes()) | {"model": "kukla-static-en-v1"}
        (tmp_path / "old" / "space.json").write_text(json.dumps(told), encoding="utf-8")
        return tmp_path / "old"

    @pytest.fixture
    def index(self, folder: Path, tmp_path: Path) -> Path:
        with Index.create(tmp_path / "i.kukla", embedder=load_embedder(f"static:{folder}")) as index:
            index.add(["Dolls are painted by hand.", "Bread needs time."], ids=["doll", "bread"])
        return tmp_path / "i.kukla"

    def test_its_name_is_refused_with_the_one_that_took_its_place(self) -> None:
        with pytest.raises(InputError, match=rf"no longer ships .*allowed: '{DEFAULT_MODEL}'.*static:FOLDER"):
            load_embedder("kukla-static-en-v1")

    def test_its_index_says_what_to_do(self, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUKLA_MODEL", raising=False)
        wanted = (
            rf"kukla-static-en-v1.*index the texts again, with '{DEFAULT_MODEL}', or .*--model static:FOLDER"
        )
        with Index.open(index) as opened, pytest.raises(InputError, match=wanted):
            opened.search("painted dolls")

    def test_its_index_takes_no_vectors_of_the_new_one(self, index: Path) -> None:
        with pytest.raises(SpaceError, match=r"(?s)theirs 'kukla-static-en-v2'.*embed the texts again"):
            Index.open(index, embedder=load_embedder())

    def test_its_folder_still_serves_its_index(self, index: Path, folder: Path) -> None:
        with Index.open(index) as opened:
            embedder = find_embedder(opened.space, f"static:{folder}")
        with Index.open(index, embedder=embedder) as opened:
            assert opened.search("painted dolls", k=1).ids[0][0] == "doll"
