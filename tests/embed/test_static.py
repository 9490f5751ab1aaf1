"""The built-in model: what it gives for any text, and what it says about damaged files."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

import kukla.embed
from kukla import kernels
from kukla.embed import DEFAULT_MODEL, Embedder, StaticEmbedder, known_models, load_embedder
from kukla.errors import InputError, ReadError, VectorError

FOLDER = Path(kukla.embed.__file__).parent / "models" / DEFAULT_MODEL


@pytest.fixture(scope="module")
def model() -> StaticEmbedder:
    return StaticEmbedder.load(FOLDER)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A model folder of the test's own, to damage."""
    return Path(shutil.copytree(FOLDER, tmp_path / "model"))


class TestLoading:
    def test_the_default_model_is_an_embedder(self) -> None:
        assert DEFAULT_MODEL in known_models()
        assert isinstance(load_embedder(), Embedder)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(InputError, match=f"received 'bert'; allowed: .*'{DEFAULT_MODEL}'"):
            load_embedder("bert")

    @pytest.mark.parametrize("name", ["../models/" + DEFAULT_MODEL, "", ".", DEFAULT_MODEL + "/"])
    def test_a_path_is_not_a_name(self, name: str) -> None:
        with pytest.raises(InputError, match="allowed"):
            load_embedder(name)

    def test_the_space_says_what_was_trained(self, model: StaticEmbedder) -> None:
        space = model.space
        assert (space.provider, space.model, space.dim) == ("kukla", DEFAULT_MODEL, 512)
        assert space.trained_dims == (32, 64, 128, 256, 512)
        assert (space.pooling, space.normalised, space.layer_norm) == ("mean", True, False)
        assert (space.query_prompt, space.document_prompt) == ("", "")
        assert len(space.revision) == 16

    def test_what_ships_fits_in_twenty_megabytes(self) -> None:
        assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 20_000_000


class TestGolden:
    def test_the_canaries_come_back(self, model: StaticEmbedder) -> None:
        assert model.space.check_canaries(model.encode_documents, tolerance=1e-4)

    def test_queries_and_documents_are_encoded_alike(self, model: StaticEmbedder) -> None:
        texts = ["Solar wind", "how do kidneys filter blood"]
        np.testing.assert_array_equal(model.encode_queries(texts), model.encode_documents(texts))

    def test_a_question_finds_its_answer_at_every_trained_dim(self, model: StaticEmbedder) -> None:
        documents = [
            "The kidneys filter waste from the blood and make urine.",
            "A compiler translates source code into machine instructions.",
            "The treaty ended the war between the two kingdoms.",
        ]
        questions = [
            "what cleans human blood",
            "programming language translation",
            "when did the peace begin",
        ]
        for dim in model.space.trained_dims:
            scores = model.encode_queries(questions, dim=dim) @ model.encode_documents(documents, dim=dim).T
            assert scores.argmax(axis=1).tolist() == [0, 1, 2], dim


class TestVectors:
    @pytest.mark.parametrize("dim", [1, 2, 31, 64, 511, 512, None])
    def test_rows_are_float32_of_norm_one(self, model: StaticEmbedder, dim: int | None) -> None:
        vectors = model.encode_documents(["one", "two words", ""], dim=dim)
        assert vectors.dtype == np.float32
        assert vectors.shape == (3, dim or 512)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    @pytest.mark.parametrize("dim", [1, 32, 100, 512])
    def test_a_dim_is_the_renormalised_prefix_of_the_whole(self, model: StaticEmbedder, dim: int) -> None:
        texts = ["nested dolls", "", "Матрёшка"]
        prefix = model.encode_documents(texts)[:, :dim]
        prefix = prefix / np.linalg.norm(prefix, axis=1, keepdims=True)
        np.testing.assert_allclose(model.encode_documents(texts, dim=dim), prefix, atol=2e-6)

    @pytest.mark.parametrize("dim", [0, -1, 513, 2.0, True, "64"])
    def test_another_dim_is_refused_with_the_range(self, model: StaticEmbedder, dim: object) -> None:
        with pytest.raises(VectorError, match="from 1 to 512"):
            model.encode_documents(["text"], dim=dim)  # type: ignore[arg-type]

    def test_batches_do_not_change_the_vectors(self, model: StaticEmbedder) -> None:
        texts = [f"text number {i} about {'a' * (i % 7)}" for i in range(50)]
        whole = model.encode_documents(texts)
        np.testing.assert_allclose(model.encode_documents(texts, batch_size=7), whole, atol=1e-6)
        np.testing.assert_allclose(model.encode_documents(texts[::-1])[::-1], whole, atol=1e-6)

    @pytest.mark.parametrize("batch_size", [0, -3, 1.5])
    def test_a_batch_has_at_least_one_text(self, model: StaticEmbedder, batch_size: object) -> None:
        with pytest.raises(InputError, match="batch_size"):
            model.encode_documents(["text"], batch_size=batch_size)  # type: ignore[arg-type]

    def test_no_text_gives_no_row(self, model: StaticEmbedder) -> None:
        assert model.encode_documents([]).shape == (0, 512)
        assert model.encode_queries((), dim=64).shape == (0, 64)

    def test_progress_counts_texts(self, model: StaticEmbedder) -> None:
        seen: list[tuple[int, int]] = []
        model.encode_documents(
            ["a"] * 5, batch_size=2, progress=lambda done, total: seen.append((done, total))
        )
        assert seen == [(2, 5), (4, 5), (5, 5)]

    def test_the_caller_owns_the_result(self, model: StaticEmbedder) -> None:
        first = model.encode_documents(["", "text"])
        expected = first.copy()
        first[:] = 0
        np.testing.assert_array_equal(model.encode_documents(["", "text"]), expected)


class TestAnyText:
    @pytest.mark.parametrize(
        "blank", ["", " ", "\n\t \r\n", "\0", "\ud800", "\u200b", "\x01\x02", "\ufeff", "\u3000"]
    )
    def test_a_text_without_pieces_has_the_mean_direction(self, model: StaticEmbedder, blank: str) -> None:
        rows = np.load(FOLDER / "vectors.npy") * np.load(FOLDER / "scales.npy")[:, None]
        mean = rows.mean(axis=0, dtype=np.float64)
        vector = model.encode_documents([blank])[0]
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)

    @pytest.mark.parametrize(
        "text",
        ["😀👩🏽‍🚀", "שלום עולם", "مرحبا", "中文", "é", "ﬁ", "ç̸̧̛͖͙", "\U0010ffff", "123", "!?", "x" * 100],
    )
    def test_any_script_has_a_vector_of_its_own(self, model: StaticEmbedder, text: str) -> None:
        blank, vector, again = model.encode_documents(["", text, text])
        assert np.isfinite(vector).all()
        assert vector @ blank < 0.999
        np.testing.assert_array_equal(vector, again)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("STRASSE Café", "strasse café"),
            ("cafe\u0301", "caf\u00e9"),
            ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
            ("two  words\n", "two words"),
            ("two\0words", "two words"),
            ("two\ud800words", "two words"),
            ("two\udc80 words", "two words"),
        ],
    )
    def test_these_are_the_same_text(self, model: StaticEmbedder, one: str, other: str) -> None:
        first, second = model.encode_documents([one, other])
        np.testing.assert_allclose(first, second, atol=1e-6)

    @pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["nested"], np.str_])
    def test_what_is_not_text_is_named_by_its_row(self, model: StaticEmbedder, wrong: object) -> None:
        with pytest.raises(InputError, match=r"row 3: received \w+; allowed: str"):
            model.encode_documents(["a", "b", "c", wrong], batch_size=2)  # type: ignore[list-item]

    def test_one_string_is_not_a_sequence_of_texts(self, model: StaticEmbedder) -> None:
        with pytest.raises(InputError, match="one str"):
            model.encode_documents("text")


class TestLongText:
    def test_nothing_is_cut_off(self, model: StaticEmbedder) -> None:
        """Repeating a text does not move its mean; an end beyond every window still counts."""
        sentence = "The valve controls the flow of cooling water. "
        short, long, other = model.encode_documents(
            [sentence, sentence * 5000, sentence * 5000 + "poetry of the baroque " * 12000]
        )
        assert short @ long > 0.9999
        assert short @ other < 0.9

    def test_segments_give_the_pieces_of_the_words(self, model: StaticEmbedder) -> None:
        words = np.random.default_rng(7).integers(1, 10**9, size=30_000)
        text = " ".join(f"w{n:x}" for n in words)
        processor = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / "pieces.model"))
        ids = np.concatenate([np.array(row, dtype=np.int32) for row in processor.encode(text.split())])
        pooled = kernels.pool_rows(
            np.load(FOLDER / "vectors.npy"), np.load(FOLDER / "scales.npy"), ids, np.array([0, len(ids)]), 512
        )
        # SentencePiece adds up scores in float32, so a few of 150,000 pieces may differ in a long segment.
        assert model.encode_documents([text])[0] @ pooled[0] / np.linalg.norm(pooled[0]) > 0.99999

    @pytest.mark.parametrize("unit", ["a word ", "wordswithoutspaces", "あ"])
    def test_ten_megabytes_take_seconds_and_little_memory(self, model: StaticEmbedder, unit: str) -> None:
        text = unit * (10_000_000 // len(unit.encode()))
        started = time.perf_counter()
        vector = model.encode_documents([text])
        assert time.perf_counter() - started < 60  # minutes would mean that the cost is not linear
        assert np.isfinite(vector).all()

    def test_memory_does_not_grow_with_the_text(self, model: StaticEmbedder) -> None:
        def peak(text: str) -> int:
            tracemalloc.start()
            model.encode_documents([text], dim=64)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        assert peak("some words here " * 400_000) < 1.5 * peak("some words here " * 100_000) + 5_000_000


class TestDamagedFolders:
    @pytest.mark.parametrize("name", ["pieces.model", "vectors.npy", "scales.npy", "space.json"])
    def test_a_missing_file_is_named(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(ReadError, match=f"no file {name}"):
            StaticEmbedder.load(copy)

    @pytest.mark.parametrize("name", ["pieces.model", "vectors.npy", "scales.npy", "space.json"])
    @pytest.mark.parametrize("size", [0, 1, 100, -1])
    def test_a_truncated_file_is_an_error(self, copy: Path, name: str, size: int) -> None:
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[:size] if size >= 0 else data[:-9])
        with pytest.raises(ReadError, match=str(copy)):
            StaticEmbedder.load(copy)

    def test_one_changed_byte_is_an_error(self, copy: Path) -> None:
        data = bytearray((copy / "vectors.npy").read_bytes())
        data[len(data) // 2] ^= 1
        (copy / "vectors.npy").write_bytes(data)
        with pytest.raises(ReadError, match=r"revision [0-9a-f]{16}, space\.json states"):
            StaticEmbedder.load(copy)

    @pytest.mark.parametrize(
        ("name", "change", "said"),
        [
            ("vectors.npy", lambda a: a[:, :-1], "vectors: received int8"),
            ("vectors.npy", lambda a: a[1:], "vectors: received int8"),
            ("vectors.npy", lambda a: a[:9].astype(np.float32), "vectors: received float32"),
            ("scales.npy", lambda a: a[1:], "scales: received float32"),
            ("scales.npy", lambda a: a.astype(np.float64), "scales: received float64"),
            ("scales.npy", lambda a: a * np.float32("nan"), "NaN"),
        ],
    )
    def test_arrays_that_do_not_fit_are_named(
        self, copy: Path, name: str, change: Callable[[np.ndarray], np.ndarray], said: str
    ) -> None:
        np.save(copy / name, change(np.load(copy / name)))
        with pytest.raises(ReadError, match=said):
            StaticEmbedder.load(copy)

    @pytest.mark.parametrize("text", ["{}", "[]", '"x"', "\xff", '{"dim": 512}'])
    def test_a_wrong_space_is_an_error(self, copy: Path, text: str) -> None:
        (copy / "space.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ReadError, match=r"space\.json"):
            StaticEmbedder.load(copy)

    def test_arrays_with_python_objects_are_never_unpickled(self, copy: Path) -> None:
        np.save(copy / "scales.npy", np.array([{}], dtype=object), allow_pickle=True)
        with pytest.raises(ReadError, match=r"scales\.npy"):
            StaticEmbedder.load(copy)

    def test_the_dim_of_the_space_must_be_that_of_the_rows(self, copy: Path) -> None:
        values = json.loads((copy / "space.json").read_text(encoding="utf-8"))
        values |= {"dim": 256, "trained_dims": [32], "canary_texts": [], "canary_vectors": []}
        (copy / "space.json").write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(ReadError, match=r"allowed: int8 \(\d+, 256\)"):
            StaticEmbedder.load(copy)
