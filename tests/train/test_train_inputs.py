"""What a training run is told and given, and what it refuses before, or instead of, training."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sentence_transformers import SentenceTransformer

from kukla.cli import cli
from kukla.errors import InputError, ReadError
from kukla.train.config import TrainConfig, read_config
from kukla.train.data import read_examples
from kukla.train.run import train_model

from .conftest import sentences

LEAST: dict[str, Any] = {"base": "b", "data": "d", "out": "o", "dims": [8]}


def kukla(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    texts = sentences(80)
    return write_rows(
        tmp_path / "pairs.jsonl",
        [{"query": a, "text": b} for a, b in zip(texts[:40], texts[40:], strict=True)],
    )


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"dims": [0, 8]}, "a dim to train must be an integer from 1 to .*, got 0"),
            ({"dims": [8, 8]}, "8 is given twice"),
            ({"dims": []}, "got none"),
            ({"dims": "8"}, "must be an integer"),
            ({"dims": None}, "needs dims"),
            ({"data": None}, "needs data"),
            ({"speed": 1}, "unknown keys speed; allowed: accumulate, base"),
            ({"loss": "softmax"}, "loss must be one of contrastive"),
            ({"mixed": "int8"}, "mixed must be one of no, bf16, fp16"),
            ({"weights": [1, 2]}, "2 weights for 1 dims"),
            ({"precisions": ["int3"]}, "int3"),
            ({"batch": 0}, "batch must be"),
            ({"learning_rate": 0}, "learning_rate must be a number above 0"),
            ({"learning_rate": float("nan")}, "learning_rate must be a number"),
            ({"warmup": 1.5}, "warmup is a share"),
            ({"patience": 3}, "patience needs dev"),
            ({"layers": True, "mini_batch": 4}, "do not go together"),
            ({"keep_layers": [1]}, "keep_layers needs layers: true"),
            ({"layers": True, "keep_layers": [0]}, "keep_layers must be an integer, at least 1, got 0"),
            ({"layers": True, "keep_layers": [2, 2]}, "one is given twice in 2, 2"),
            ({"data": []}, "the list is empty"),
            ({"data": ["a", {"loss": "cosent"}]}, "entry 2 must be a path, or have a path"),
            ({"data": [{"path": "a", "speed": 1}]}, "entry 1 must be .*any of loss, columns, label, rows"),
            ({"data": [{"path": "a", "loss": "x"}]}, "entry 1: loss must be one of contrastive"),
            ({"data": [{"path": "a", "rows": 0}]}, "entry 1: rows must be an integer, at least 1"),
            ({"data": ["a", "b"], "label": "score"}, "label: of several files, each has its own"),
            ({"data": 7}, "data must be"),
            ({"base": 7}, "base must be a path or a name"),
        ],
    )
    def test_what_cannot_be_is_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            TrainConfig.of(LEAST | change)

    def test_dims_come_in_any_order_and_weights_go_with_them(self) -> None:
        config = TrainConfig.of(LEAST | {"dims": [16, 64, 32], "weights": [3, 1, 2]})
        assert (config.dims, config.weights) == ((16, 64, 32), (3, 1, 2))

    def test_yaml_with_an_exponent_and_paths_relative_to_it(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("base: all-MiniLM-L6-v2\ndata: ./pairs.jsonl\nlearning_rate: 2e-5\ntest: [../x]\n")
        assert read_config(path) == {
            "base": "all-MiniLM-L6-v2",
            "data": str(tmp_path / "pairs.jsonl"),
            "learning_rate": 2e-5,
            "test": [f"{tmp_path}/../x"],
        }

    def test_several_files_in_yaml(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(
            "base: b\nout: o\ndims: [8]\nloss: triplet\ndata:\n  - ./a.jsonl\n"
            "  - {path: ../b.csv, loss: cosent, columns: [x, y], label: z, rows: 5}\n"
        )
        first, second = TrainConfig.of(read_config(path)).parts
        assert (first.path, first.loss) == (str(tmp_path / "a.jsonl"), "triplet")
        assert (second.path, second.loss, second.columns, second.label, second.rows) == (
            f"{tmp_path}/../b.csv", "cosent", ("x", "y"), "z", 5,
        )  # fmt: skip

    @pytest.mark.parametrize("text", ["base: [", "- a\n- b\n", ""])
    def test_what_is_no_configuration(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ReadError, match=r"c\.yaml: (not YAML|holds)"):
            read_config(tmp_path / "c.yaml")


class TestData:
    ROWS = ({"query": "a", "text": "b", "score": 1}, {"query": "c", "text": "d", "score": 0.5})

    def test_every_kind_of_file_gives_the_same(self, tmp_path: Path) -> None:
        import datasets
        import pyarrow
        import pyarrow.parquet

        rows = [{"query": row["query"], "text": row["text"]} for row in self.ROWS]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "r.jsonl").write_text(lines)
        (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
        (tmp_path / "r.csv").write_text("query,text\na,b\nc,d\n")
        (tmp_path / "r.tsv").write_text("query\ttext\na\tb\nc\td\n")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "r.parquet")
        datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "r"))
        names = ("r.jsonl", "r.jsonl.gz", "r.csv", "r.tsv", "r.parquet", "r")
        found = [read_examples(tmp_path / name, "contrastive") for name in names]
        assert found[0].columns == (["a", "c"], ["b", "d"])
        assert found == [found[0]] * 6

    def test_columns_by_name_by_choice_and_labels(self, tmp_path: Path) -> None:
        path = write_rows(tmp_path / "r.jsonl", list(self.ROWS))
        scored = read_examples(path, "cosent")
        assert (scored.names, scored.labels) == (("query", "text"), [1.0, 0.5])
        assert read_examples(path, "contrastive", columns=["text", "query"]).columns[0] == ["b", "d"]
        classes = read_examples(path, "classification", columns=["text"], label="query")
        assert (classes.labels, classes.classes) == ([0, 1], ("a", "c"))
        assert len(read_examples(path, "contrastive", rows=1)) == 1

    def test_hard_negatives_follow(self, tmp_path: Path) -> None:
        rows = [{"negative_2": "n2", "positive": "p", "anchor": "a", "negative_1": "n1"}]
        found = read_examples(write_rows(tmp_path / "r.jsonl", rows), "contrastive")
        assert found.names == ("anchor", "positive", "negative_1", "negative_2")

    @pytest.mark.parametrize(
        ("rows", "loss", "options", "message"),
        [
            ([], "contrastive", {}, "holds no rows"),
            ([{"a": "x", "b": "y"}], "contrastive", {}, "2 or more columns of texts, found none among a, b"),
            ([{"query": "x", "text": "y"}], "triplet", {}, "takes 3 columns of texts, found query, text"),
            (
                [{"query": "x", "text": "y"}],
                "contrastive",
                {"columns": ["z", "text"]},
                "no column z; there are",
            ),
            ([{"query": "x", "text": "y"}], "cosine", {}, "no column of scores or classes"),
            ([{"query": "x", "text": " "}], "contrastive", {}, "row 1: text is blank"),
            ([{"query": "x", "text": "y"}, {"query": "x"}], "contrastive", {}, "row 2: text is NoneType"),
            ([{"query": "x", "text": "y", "score": "high"}], "cosine", {}, "row 1: the score is 'high'"),
            ([{"query": "x", "text": "y", "score": 5}], "cosine", {}, "in -1..1; found up to 5"),
            ([{"text": "x", "label": "a"}], "classification", {}, "every row has the class 'a'"),
        ],
    )
    def test_what_cannot_be_trained_on(
        self, tmp_path: Path, rows: list[dict[str, Any]], loss: str, options: Any, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            read_examples(write_rows(tmp_path / "r.jsonl", rows), loss, **options)

    def test_files_that_are_not_there_or_not_data(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="no such file"):
            read_examples(tmp_path / "missing.jsonl", "contrastive")
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(ReadError, match=r"training data are \.jsonl"):
            read_examples(tmp_path / "notes.txt", "contrastive")
        (tmp_path / "folder").mkdir()
        with pytest.raises(ReadError, match="not a folder that datasets saved"):
            read_examples(tmp_path / "folder", "contrastive")


class TestRuns:
    @pytest.fixture
    def told(self, transformer_folder: Path, pairs: Path, tmp_path: Path) -> dict[str, Any]:
        return {"base": str(transformer_folder), "data": str(pairs), "out": str(tmp_path / "model"),
                "dims": [32, 8], "batch": 8, "steps": 6}  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"dims": [64, 32]}, "from 1 to 32, got 64"),
            ({"base": "./missing"}, "base: ./missing: no such folder"),
            ({"mixed": "fp16"}, "fp16 needs a GPU"),
            ({"base": "static"}, "needs tokenizer"),
            (
                {"learning_rate": 1e30, "warmup": 0.0},
                "the loss became nan in step [23] at the learning rate 1e.30",
            ),
        ],
    )
    def test_errors(self, told: dict[str, Any], change: dict[str, Any], message: str) -> None:
        if change.get("mixed") == "fp16":
            import torch

            if torch.cuda.is_available():
                pytest.skip("there is a GPU")
        with pytest.raises(InputError, match=message):
            train_model(TrainConfig.of(told | change))

    def test_out_of_memory(self, told: dict[str, Any], tokenizer: Any, tmp_path: Path) -> None:
        tokenizer.save_pretrained(tmp_path / "tokens")
        static = {"base": "static", "tokenizer": str(tmp_path / "tokens"), "static_dim": 10**13}
        with pytest.raises(InputError, match="out of memory with batch 8: a smaller batch"):
            train_model(TrainConfig.of(told | static))

    def test_token_vectors_of_another_tokenizer(
        self, told: dict[str, Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        tokenizer.save_pretrained(tmp_path / "tokens")
        np.save(tmp_path / "v.npy", np.ones((3, 32), np.float32))
        vectors = {"tokenizer": str(tmp_path / "tokens"), "token_vectors": str(tmp_path / "v.npy")}
        with pytest.raises(InputError, match=rf"shape \(3, 32\); the tokenizer has {len(tokenizer)} tokens"):
            train_model(TrainConfig.of(told | vectors | {"base": "static"}))

    def test_the_command(self, told: dict[str, Any], tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in told.items()))
        done = kukla("train", path, "--steps", "2", "--dims", "16,32", "--weights", "2,1", "--every", "1")
        assert done.exit_code == 0, done.output
        assert "40 rows of query, text; 32 dims, trained: 16, 32" in done.stderr
        assert "step 2/2  loss 16:" in done.stderr
        assert "the model of step 2" in done.stdout
        assert SentenceTransformer(told["out"], device="cpu").get_embedding_dimension() == 32
        again = kukla("train", path)
        assert again.exit_code == 1
        assert again.stderr.startswith("error: out: there is a finished run at")
        machine = kukla("train", path, "--steps", "1", "--force", "--json")
        assert json.loads(machine.stdout) == {"model": told["out"], "step": 1, "quality": {}}

    def test_options_alone_and_contradictions(self, told: dict[str, Any]) -> None:
        assert "needs data, dims" in kukla("train", "--base", "x", "--out", "y").stderr
        assert kukla("train", "--resume", "--force").exit_code == 2
        missing = kukla("train", "--base", told["base"], "--data", told["data"], "--dims", "8", "--resume",
                        "--out", told["out"])  # fmt: skip
        assert missing.stderr.startswith("error: there is no run to resume at")


def test_without_the_extra(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = "error: training a model needs an optional dependency: pip install 'kukla[train]'\n"
    given = ("train", "--base", "x", "--data", pairs, "--dims", "8", "--out", tmp_path / "m")
    for module in ("torch", "sentence_transformers"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            assert kukla(*given).stderr == hint
    (tmp_path / "c.yaml").write_text("dims: [8]\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'kukla[train]'" in kukla("train", tmp_path / "c.yaml").stderr


def test_nothing_but_training_imports_torch() -> None:
    code = (
        "import sys, kukla, kukla.cli, kukla.cli.train, kukla.train, kukla.train.config, kukla.train.data\n"
        "with_index = kukla.load_embedder().encode_queries(['a doll'])\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'datasets', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
