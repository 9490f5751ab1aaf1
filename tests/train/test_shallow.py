"""2D Matryoshka: a model of fewer layers and fewer dims, cut from one that was trained for both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer

from kukla import Space, load_embedder
from kukla.cli import cli
from kukla.embed.revision import folder_revision
from kukla.errors import InputError
from kukla.train.config import TrainConfig
from kukla.train.run import train_model
from kukla.train.shallow import check_layers, first_layers, layer_count

from .conftest import WIDTH, sentences

TEXTS = ["a red doll", "the old box near the tree burns"]
DIMS = (32, 16, 8)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def run_of(transformer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run whose pairs and test set are sentences and their first words."""
    folder = tmp_path_factory.mktemp("2d")
    texts = sentences(120)
    write(folder / "pairs.jsonl", [{"query": text.rsplit(" ", 2)[0], "text": text} for text in texts[40:]])
    beir = folder / "words"
    beir.mkdir()
    write(beir / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts[:40])])
    write(
        beir / "queries.jsonl",
        [{"_id": f"q{i}", "text": text.split(" ", 2)[2]} for i, text in enumerate(texts[:40])],
    )
    qrels = "".join(f"q{i}\td{i}\t1\n" for i in range(40))
    (beir / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return {
        "base": str(transformer_folder), "data": str(folder / "pairs.jsonl"), "out": str(folder / "dolls"),
        "dims": list(DIMS), "layers": True, "steps": 12, "batch": 16, "learning_rate": 3e-3, "every": 6,
        "test": [str(beir)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(run_of: dict[str, Any]) -> Path:
    return train_model(TrainConfig.of(run_of | {"keep_layers": [1]})).folder


class TestResult:
    def test_its_vectors_are_those_of_that_layer_in_the_whole_model(self, folder: Path) -> None:
        whole = SentenceTransformer(str(folder), device="cpu")
        shallow = SentenceTransformer(str(folder / "layers-1"), device="cpu")
        assert (layer_count(whole), layer_count(shallow)) == (2, 1)
        whole[0].auto_model.config.output_hidden_states = True
        with torch.no_grad():
            features = whole[0](whole.preprocess(TEXTS))
            inner = whole[1]({**features, "token_embeddings": features["all_layer_embeddings"][1]})
        np.testing.assert_allclose(shallow.encode(TEXTS), inner["sentence_embedding"].numpy(), atol=1e-5)
        assert not np.allclose(shallow.encode(TEXTS), whole.encode(TEXTS), atol=1e-2)

    def test_it_holds_no_weights_of_the_layers_that_were_cut(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        assert json.loads((folder / "layers-1" / "config.json").read_text())["num_hidden_layers"] == 1
        names = load_file(str(folder / "layers-1" / "model.safetensors"))
        assert {name.split(".")[2] for name in names if name.startswith("encoder.layer")} == {"0"}

    def test_it_is_a_space_of_its_own_with_canaries_and_dims(self, folder: Path) -> None:
        whole, shallow = (
            Space.from_dict(json.loads((one / "space.json").read_text()))
            for one in (folder, folder / "layers-1")
        )
        assert (shallow.model, shallow.dim, shallow.trained_dims) == ("layers-1", WIDTH, (8, 16, 32))
        assert shallow.revision != whole.revision
        embedder = load_embedder(f"st:{folder / 'layers-1'}")
        assert shallow.check_canaries(embedder.encode_documents)
        assert SentenceTransformer(str(folder / "layers-1"), truncate_dim=8).encode(TEXTS).shape == (2, 8)

    def test_kukla_embed_runs_it(self, folder: Path, tmp_path: Path) -> None:
        write(tmp_path / "texts.jsonl", [{"_id": str(i), "text": text} for i, text in enumerate(TEXTS)])
        options = ["--model", f"st:{folder / 'layers-1'}", "--to", tmp_path / "v.npy"]
        found = CliRunner().invoke(cli, ["embed", *map(str, [tmp_path / "texts.jsonl", *options])])
        assert found.exit_code == 0, found.output
        expected = SentenceTransformer(str(folder / "layers-1"), device="cpu").encode(
            TEXTS, normalize_embeddings=True
        )
        np.testing.assert_allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-5)

    def test_it_does_not_change_what_the_whole_model_is(self, folder: Path) -> None:
        stated = Space.from_dict(json.loads((folder / "space.json").read_text()))
        assert folder_revision(folder) == stated.revision

    def test_the_cards_say_the_quality_at_all_layers_and_dims(self, folder: Path) -> None:
        quality = json.loads((folder / ".train" / "quality.json").read_text())["words"]
        assert list(quality["layers"]) == ["1"]
        whole, shallow = ((one / "README.md").read_text() for one in (folder, folder / "layers-1"))
        rows = {}
        for count, curve in (("1", quality["layers"]["1"]), ("2", quality["after"])):
            means = {row["dim"]: row["qualities"]["nDCG@10"]["mean"] for row in curve["rows"]}
            rows[count] = [
                f"{means[d]['mean']:.3f} [{means[d]['low']:.3f}, {means[d]['high']:.3f}]" for d in DIMS
            ]
            assert f"| {count} | " + " | ".join(rows[count]) + " |" in whole
        assert rows["1"] != rows["2"]
        assert f"| 8 | {rows['2'][-1]} | {rows['1'][-1]} |" in shallow
        assert "| layers | 32 | 16 | 8 |" in whole
        assert "`layers-1`" in whole


def test_training_layers_is_what_makes_them_good(
    run_of: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """The first layer of a model trained at its last layer alone ranks worse."""
    plain = train_model(TrainConfig.of(run_of | {"layers": False, "out": str(tmp_path / "plain")})).folder
    from kukla.train.dev import read_collection

    words = read_collection(run_of["test"][0])
    model = SentenceTransformer(str(plain), device="cpu")
    with first_layers(model, 1):
        without = words.quick(*words.vectors(model), DIMS)
    within = words.quick(*words.vectors(SentenceTransformer(str(folder / "layers-1"), device="cpu")), DIMS)
    assert sum(within.values()) > sum(without.values())


def test_after_the_block_the_model_is_whole_again(transformer: Any) -> None:
    before = transformer.encode(TEXTS)
    with first_layers(transformer, 1):
        assert layer_count(transformer) == 1
        assert not np.allclose(transformer.encode(TEXTS), before)
    assert transformer[0].auto_model.config.num_hidden_layers == layer_count(transformer) == 2
    np.testing.assert_array_equal(transformer.encode(TEXTS), before)


def test_the_command(run_of: dict[str, Any], tmp_path: Path) -> None:
    options = [
        "--base",
        run_of["base"],
        "--data",
        run_of["data"],
        "--out",
        str(tmp_path / "m"),
        "--dims",
        "32,8",
    ]
    options += ["--steps", "2", "--batch", "4", "--max-tokens", "8"]
    refused = CliRunner().invoke(cli, ["train", *options, "--keep-layers", "1"])
    assert "keep_layers needs layers: true" in refused.stderr
    found = CliRunner().invoke(cli, ["train", *options, "--layers", "--keep-layers", "1"])
    assert found.exit_code == 0, found.output
    assert f"{tmp_path / 'm' / 'layers-1'}: the first 1 of its layers as a model" in found.stdout
    assert SentenceTransformer(str(tmp_path / "m" / "layers-1"), device="cpu").encode(TEXTS).shape == (
        2,
        WIDTH,
    )


class TestRefused:
    def test_more_layers_than_there_are(self, transformer: Any) -> None:
        with pytest.raises(InputError, match="has 2 layers; allowed: 1 to 1, got 2"):
            check_layers(transformer, [2])

    def test_before_anything_is_trained(self, run_of: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has 2 layers; allowed: 1 to 1, got 5"):
            train_model(TrainConfig.of(run_of | {"keep_layers": [5], "out": str(tmp_path / "o")}))
        assert not (tmp_path / "o").exists()

    def test_token_vectors(self, static_model: Any) -> None:
        with pytest.raises(InputError, match=r"only transformers have layers.*StaticEmbedding"):
            check_layers(static_model)

    def test_an_architecture_with_a_norm_after_its_last_layer(self, transformer: Any) -> None:
        encoder = transformer[0].auto_model.encoder
        encode = encoder.forward

        def with_norm(*args: Any, **options: Any) -> Any:
            found = encode(*args, **options)
            found.last_hidden_state = found.last_hidden_state**3
            return found

        encoder.forward = with_norm
        with pytest.raises(InputError, match="BertModel does something after its last layer"):
            check_layers(transformer)
