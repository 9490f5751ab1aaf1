"""What ``kukla distill`` is told and given, and what it refuses before the teacher is asked anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kukla.cli import cli
from kukla.errors import InputError, ReadError
from kukla.train.static.config import DistillConfig, read_distill_config
from kukla.train.static.corpus import read_corpus, snippets
from kukla.train.static.vocabulary import load_vocabulary, train_vocabulary

LEAST: dict[str, Any] = {"teacher": "t", "corpus": "c", "out": "o"}


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"teacher": None}, "needs teacher"),
            ({"out": None}, "needs out"),
            ({"corpus": None}, "needs texts: corpus, pairs, or both"),
            ({"corpus": [3]}, "corpus must be a list of paths"),
            ({"dims": [0, 8]}, "a dim to train must be an integer from 1"),
            ({"dims": [8, 8]}, "8 is given twice"),
            ({"pieces": 200}, "pieces must be"),
            ({"texts": 0}, "texts must be"),
            ({"steps": -1}, "steps must be"),
            ({"batch": 1}, "batch must be"),
            ({"learning_rate": 0}, "learning_rate must be a number above 0"),
            ({"scale": float("nan")}, "scale must be a number above 0"),
            ({"speed": 1}, "unknown keys speed; allowed: batch, columns"),
            ({"pairs": ""}, "pairs must be a path or a name"),
            ({"corpus": None, "pairs": "p", "text_field": "x"}, "text_field is of the corpus"),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, change: dict[str, Any], message: str) -> None:
        given = {key: value for key, value in (LEAST | change).items() if value is not None}
        with pytest.raises(InputError, match=message):
            DistillConfig.of(given)

    def test_dims_are_longest_first_whatever_their_order(self) -> None:
        assert DistillConfig.of(LEAST | {"dims": [8, 64, 16]}).dims == (64, 16, 8)

    def test_a_third_of_the_steps_is_on_hard_batches(self) -> None:
        settings = DistillConfig.of(LEAST | {"steps": 90, "batch": 1024}).settings(pairs=5000)
        assert settings.rounds == ((128, 30), (16, 60))

    def test_a_batch_is_never_more_than_the_pairs(self) -> None:
        settings = DistillConfig.of(LEAST).settings(pairs=20)
        assert settings.batch == 20
        assert all(block <= 20 for block, _ in settings.rounds)

    def test_a_file_is_read_with_paths_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "d.yaml").write_text(
            "teacher: ./t\ncorpus: [./a.txt, b.txt]\nout: ../o\nlearning_rate: 6e-3\n"
        )
        config = DistillConfig.of(read_distill_config(tmp_path / "d.yaml"))
        assert config.corpus == (str(tmp_path / "a.txt"), "b.txt")
        assert (config.teacher, config.out) == (str(tmp_path / "t"), str(tmp_path / ".." / "o"))
        assert config.learning_rate == 0.006


class TestTexts:
    def test_long_ones_are_cut_short_ones_joined_and_nothing_is_lost(self) -> None:
        text = (
            "Short. Tiny! "
            + "A much longer sentence stands here, with more words than that. " * 3
            + "w " * 300
        )
        cut = list(snippets(text))
        assert all(len(one) <= 260 for one in cut)
        assert all(len(one) >= 25 for one in cut[:-1])
        assert " ".join(cut).split() == text.split()

    def test_a_script_without_spaces_is_cut_too(self) -> None:
        text = "小猫在北京睡觉。" * 100 + "河" * 500
        cut = list(snippets(text))
        assert "".join(cut).replace(" ", "") == text
        assert max(map(len, cut)) <= 260

    def test_texts_of_pairs_are_part_of_the_corpus(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("query,text\nred doll,a doll that is red and stands on the table\n")
        corpus = read_corpus([], tmp_path / "p.csv")
        assert corpus.queries == ["red doll"]
        assert corpus.texts == ["red doll", "a doll that is red and stands on the table"]

    def test_no_text_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty.txt").write_text(" \n")
        with pytest.raises(InputError, match="corpus: no text in"):
            read_corpus([tmp_path / "empty.txt"])

    def test_triplets_are_no_pairs(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("query,text,negative\na doll,a red one,a house\n")
        with pytest.raises(InputError, match="takes pairs, found the columns query, text, negative"):
            read_corpus([], tmp_path / "p.csv")


class TestVocabulary:
    def test_too_few_texts_for_so_many_pieces(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="a vocabulary of 9,000 cannot be made of these texts"):
            train_vocabulary(["one", "two"], tmp_path / "v", pieces=9000, seed=0)

    def test_what_is_no_vocabulary_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match=r"vocabulary: .*nothing.model: cannot be read"):
            load_vocabulary(tmp_path / "nothing.model")
        (tmp_path / "v.model").write_bytes(b"no protobuf at all")
        with pytest.raises(ReadError, match="not a SentencePiece model"):
            load_vocabulary(tmp_path / "v.model")


def test_a_teacher_that_is_not_there_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("A text about dolls that stand on a table.")
    done = CliRunner().invoke(
        cli,
        [
            "distill", "--teacher", str(tmp_path / "none"), "--corpus", str(tmp_path / "t.txt"), "--out",
            str(tmp_path / "m"),
        ],
    )  # fmt: skip
    assert done.exit_code == 1
    assert "error: teacher: " in done.output
    assert "no such folder" in done.output
    assert not (tmp_path / "m").exists()
