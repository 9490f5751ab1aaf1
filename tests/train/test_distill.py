"""``kukla distill`` as a user runs it: a transformer in, token vectors out that need no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from click.testing import CliRunner, Result
from sentence_transformers import SentenceTransformer

from kukla import Index, load_embedder
from kukla.cli import cli
from kukla.embed import StaticEmbedder
from kukla.errors import InputError
from kukla.train.static.config import DistillConfig
from kukla.train.static.distil import distil
from kukla.train.static.teacher import load_teacher, teacher_vectors
from kukla.train.static.to_sentence_transformers import fast_tokenizer

from .conftest import sentences

AWKWARD = [
    "red  doll\tand a\nbox ",
    "Ünïcödé ﬁ ligature ½ ①", "中文 русский 😀", "CamelCase under_score", "İstanbul",
    "a", "…", "tiếng Việt có dấu",
]  # fmt: skip


def kukla(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def write_texts(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("corpus") / "texts.jsonl", sentences(900))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first words of a sentence ask for the sentence."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"query": " ".join(text.split()[:3]), "text": text} for text in sentences(200, seed=5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beir") / "words"
    folder.mkdir()
    texts = sentences(60, seed=9)
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts))
    )
    (folder / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": f"q{i}", "text": " ".join(text.split()[:4])}) + "\n"
            for i, text in enumerate(texts)
        )
    )
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(60))
    )
    return folder


@pytest.fixture(scope="module")
def made(
    transformer_folder: Path, corpus: Path, pairs: Path, beir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    """A model of the corpus and its pairs, and what the command said."""
    out = tmp_path_factory.mktemp("made") / "mine"
    done = kukla(
        "distill", "--teacher", transformer_folder, "--corpus", corpus, "--pairs", pairs, "--out", out,
        "--dims", "32,16,8", "--pieces", 400, "--steps", 12, "--batch", 64, "--test", beir,
        "--sentence-transformer", out.with_name("st"),
    )  # fmt: skip
    return out, done


class TestResult:
    def test_it_is_a_model_that_an_index_takes(self, made: tuple[Path, Result], tmp_path: Path) -> None:
        out, done = made
        assert done.exit_code == 0, done.output
        texts = sentences(30, seed=3)
        documents = write_texts(tmp_path / "docs.jsonl", texts)
        to = tmp_path / "docs.kukla"
        indexed = kukla("index", documents, "--to", to, "--model", f"static:{out}")
        assert indexed.exit_code == 0, indexed.output
        with Index.open(to, embedder=load_embedder(f"static:{out}")) as index:
            (found,) = index.get([index.search(texts[7], k=1).ids[0, 0]])
            assert found.text == texts[7]

    def test_its_space_has_the_trained_dims_and_canaries(self, made: tuple[Path, Result]) -> None:
        model = StaticEmbedder.load(made[0])
        assert (model.space.dim, model.space.trained_dims) == (32, (8, 16, 32))
        assert model.space.model == "mine"
        assert model.space.check_canaries(model.encode_documents, tolerance=1e-5)

    def test_it_keeps_far_more_of_the_teachers_neighbours_than_chance(
        self, made: tuple[Path, Result]
    ) -> None:
        """Texts that it never saw; chance is 10 of 199."""
        texts = sentences(200, seed=77)
        teacher = SentenceTransformer(
            str(json.loads((made[0] / ".distill" / "config.json").read_text())["teacher"]), device="cpu"
        ).encode(texts, normalize_embeddings=True)
        mine = StaticEmbedder.load(made[0]).encode_documents(texts)
        shares = []
        for rows in (teacher, mine):
            scores = rows @ rows.T
            np.fill_diagonal(scores, -1)
            shares.append(np.argsort(-scores, axis=1)[:, :10])
        kept = np.mean([np.isin(a, b).mean() for a, b in zip(*shares, strict=True)])
        assert kept > 5 * 10 / 199

    def test_the_card_says_what_was_measured_and_told(self, made: tuple[Path, Result]) -> None:
        card = (made[0] / "README.md").read_text(encoding="utf-8")
        for said in (
            "| steps | 12 |",
            "200 pairs",
            "## words",
            "the teacher's 32",
            "What is left of the teacher",
        ):
            assert said in card

    def test_the_command_shows_quality_beside_the_teachers(self, made: tuple[Path, Result]) -> None:
        output = made[1].output
        assert "teacher, 32" in output
        assert "nDCG@10 on words, 60 queries" in output

    def test_retrieval_never_imports_torch(self, made: tuple[Path, Result]) -> None:
        code = (
            "import sys; from kukla import load_embedder; "
            f"load_embedder('static:{made[0]}').encode_queries(['red doll']); "
            "assert 'torch' not in sys.modules and 'sentence_transformers' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_the_teachers_vectors_are_not_left_behind(self, made: tuple[Path, Result]) -> None:
        assert not (made[0] / ".distill" / "teacher").exists()


class TestSentenceTransformer:
    def test_it_loads_and_has_the_same_vectors(self, made: tuple[Path, Result]) -> None:
        theirs = SentenceTransformer(str(made[0].with_name("st")), device="cpu", truncate_dim=16)
        ours = load_embedder(f"static:{made[0]}", truncate_dim=16)
        texts = [*sentences(20, seed=4), *AWKWARD]
        np.testing.assert_allclose(
            theirs.encode(texts, normalize_embeddings=True), ours.encode_documents(texts), atol=2e-5
        )

    def test_it_states_its_trained_dims_and_space(self, made: tuple[Path, Result]) -> None:
        folder = made[0].with_name("st")
        stated = json.loads((folder / "config_sentence_transformers.json").read_text())
        assert stated["matryoshka_dims"] == [32, 16, 8]
        assert load_embedder(f"st:{folder}").space.trained_dims == (8, 16, 32)

    def test_pieces_are_those_of_sentencepiece(self) -> None:
        from kukla.embed.load import builtin_folder

        pieces = builtin_folder() / "pieces.model"
        tokenizer = fast_tokenizer(pieces)
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        for text in [*AWKWARD, "What is the purpose of the DiffExecutor struct?", "x" * 300]:
            assert tokenizer.encode(text, add_special_tokens=False).ids == processor.encode(text)


class TestVocabulary:
    def test_any_language_has_one_from_its_texts(self, transformer_folder: Path, tmp_path: Path) -> None:
        """Vietnamese, with tone marks, and Chinese, without spaces."""
        nouns = ["con mèo", "quyển sách", "ngôi nhà", "dòng sông", "con đường", "đứa trẻ"]
        verbs = ["ngủ", "đọc", "chảy", "đứng", "chạy", "hát"]
        places = ["Hà Nội", "Huế", "Đà Nẵng", "Cần Thơ", "Vinh"]
        times = ["hôm nay", "ngày mai", "mùa hè", "buổi sáng"]
        lines = [f"{n} {v} ở {p} {t}." for n in nouns for v in verbs for p in places for t in times]
        chinese = [("小猫", "老师", "河流"), ("北京", "家里", "山上"), ("睡觉", "读书", "唱歌")]
        lines += [f"{n}在{p}{v}。" for n in chinese[0] for p in chinese[1] for v in chinese[2]]
        (tmp_path / "vi.txt").write_text("\n\n".join(lines), encoding="utf-8")
        done = kukla(
            "distill", "--teacher", transformer_folder, "--corpus", tmp_path / "vi.txt", "--dims", "16,8",
            "--pieces", 600, "--out", tmp_path / "m",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m" / "pieces.model"))
        for text in ("con đường đứng ở Vinh buổi sáng", "老师在北京唱歌"):
            cut = processor.encode(text, out_type=str)
            assert not any(piece.startswith("<0x") for piece in cut)
            assert len(cut) < len(text)

    def test_one_that_exists_can_be_given(self, transformer_folder: Path, made: Any, tmp_path: Path) -> None:
        config = {
            "teacher": str(transformer_folder),
            "corpus": str(write_texts(tmp_path / "t.jsonl", sentences(50))),
            "out": str(tmp_path / "m"),
            "dims": [8],
            "vocabulary": str(made[0]),
        }
        distil(DistillConfig.of(config))
        assert (tmp_path / "m" / "pieces.model").read_bytes() == (made[0] / "pieces.model").read_bytes()


class TestRuns:
    @pytest.fixture
    def config(self, transformer_folder: Path, corpus: Path, tmp_path: Path) -> dict[str, Any]:
        return {
            "teacher": str(transformer_folder),
            "corpus": [str(corpus)],
            "out": str(tmp_path / "m"),
            "dims": [16, 8],
            "pieces": 330,
            "texts": 100,
            "regress_epochs": 1,
        }

    def test_a_seed_gives_the_same_model(self, config: dict[str, Any], tmp_path: Path) -> None:
        revisions = [
            distil(
                DistillConfig.of(config | {"out": str(tmp_path / name), "seed": seed})
            ).model.space.revision
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        ]
        assert revisions[0] == revisions[1] != revisions[2]

    def test_the_same_command_goes_on_without_asking_the_teacher_again(
        self, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = distil(DistillConfig.of(config | {"out": str(tmp_path / "whole")}))
        monkeypatch.setattr("kukla.train.static.distil._train", _stop)
        with pytest.raises(KeyboardInterrupt):
            distil(DistillConfig.of(config))
        monkeypatch.undo()
        monkeypatch.setattr(SentenceTransformer, "encode", _stop)
        again = distil(DistillConfig.of(config))
        assert again.model.space.revision == whole.model.space.revision

    def test_a_finished_one_is_replaced_only_when_told_to(self, config: dict[str, Any]) -> None:
        distil(DistillConfig.of(config))
        with pytest.raises(InputError, match="finished distillation; --force replaces it"):
            distil(DistillConfig.of(config))
        distil(DistillConfig.of(config | {"seed": 3}), force=True)

    def test_an_unfinished_one_that_was_told_otherwise_is_refused(
        self, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kukla.train.static.distil._train", _stop)
        with pytest.raises(KeyboardInterrupt):
            distil(DistillConfig.of(config))
        with pytest.raises(InputError, match="told otherwise about seed; --force"):
            distil(DistillConfig.of(config | {"seed": 3}))

    def test_a_folder_of_something_else_is_never_touched(
        self, config: dict[str, Any], tmp_path: Path
    ) -> None:
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "thesis.txt").write_text("mine")
        for force in (False, True):
            with pytest.raises(InputError, match="no distillation of ours"):
                distil(DistillConfig.of(config), force=force)
        assert [path.name for path in (tmp_path / "m").iterdir()] == ["thesis.txt"]

    def test_dims_above_the_teachers_need_pairs(self, config: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="dims: 64 is more than the 32 of the teacher"):
            distil(DistillConfig.of(config | {"dims": [64, 8]}))

    def test_a_damaged_block_of_the_teacher_is_named(self, transformer_folder: Path, tmp_path: Path) -> None:
        teacher = load_teacher(str(transformer_folder))
        texts = sentences(10)
        first = teacher_vectors(teacher, texts, cache=tmp_path)
        np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
        (block,) = tmp_path.iterdir()
        block.write_bytes(block.read_bytes()[:100])
        with pytest.raises(Exception, match=r"not a whole .npy file .*; delete it"):
            teacher_vectors(teacher, texts, cache=tmp_path)


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
