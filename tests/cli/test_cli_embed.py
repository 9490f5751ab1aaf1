"""``kukla embed`` as a user runs it: a real process, a real server, a real kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Invoke, Kukla, error_of
from tests.embed.embedding_server import EmbeddingServer, embedding_server, stuck

from kukla import Index, load_embedder

COUNT = 60


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "KUKLA_MODEL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Sixty texts of many lengths, with ids, titles and years; d12 is about bread, the others about dolls."""
    path = tmp_path / "corpus.jsonl"
    rows = [
        {"_id": f"d{i}", "title": f"Doll {i}", "text": "It opens. " * (i * 7 % 5 + 1), "year": 1990 + i}
        for i in range(COUNT)
    ]
    rows[12]["text"] = "Bread rises in the oven."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def killed(arguments: list[object], cwd: Path, server: EmbeddingServer, requests: int) -> None:
    """Run kukla until the server has had so many requests, the last one unanswered; then SIGKILL."""
    server.misbehaviours[requests - 1] = stuck
    process = subprocess.Popen(
        [sys.executable, "-m", "kukla", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OPENAI_BASE_URL": server.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while len(server.requests) < requests and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    _, stderr = process.communicate()
    assert process.returncode == -signal.SIGKILL, stderr.decode()
    server.misbehaviours.clear()


@pytest.mark.slow
class TestAfterSigkill:
    # One request makes the embedder. Windows are eight texts in two requests.
    OPTIONS = ("--model", "openai:any", "--batch-size", 4, "--window", 8)

    @pytest.mark.parametrize("suffix", ["npy", "parquet"])
    def test_a_file_is_finished_with_the_bytes_of_an_undisturbed_run(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, kukla: Kukla, suffix: str
    ) -> None:
        address = {"OPENAI_BASE_URL": server.url}
        straight = kukla("embed", corpus, "--to", f"s.{suffix}", *self.OPTIONS, environment=address)
        assert straight.returncode == 0, straight.stderr
        server.requests.clear()
        command = ["embed", corpus, "--to", f"k.{suffix}", *self.OPTIONS]
        killed(command, tmp_path, server, requests=1 + 3 * 2 + 2)
        assert not (tmp_path / f"k.{suffix}").exists()
        before = len(server.requests)
        again = kukla(*command, environment=address)
        assert again.returncode == 0, again.stderr
        assert "60 vectors of openai-compatible/any (512 dims), float32; 36 texts in" in again.stdout
        assert "24 were there already" in again.stdout
        sent = sum(len(body["input"]) for body in server.requests[before + 1 :])
        assert sent == COUNT - 24
        for name in ("", ".ids.jsonl", ".space.json"):
            there = tmp_path / f"s.{suffix}{name}"
            if there.exists():
                assert there.read_bytes() == (tmp_path / f"k.{suffix}{name}").read_bytes()
        assert not (tmp_path / f"k.{suffix}.partial").exists()

    def test_an_index_embeds_only_what_it_does_not_have(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, kukla: Kukla
    ) -> None:
        command = ["embed", corpus, "--to", "k.kukla", *self.OPTIONS]
        # Making and opening the index checks the canaries: requests 0 to 2.
        killed(command, tmp_path, server, requests=3 + 3 * 2 + 2)
        with Index.open(tmp_path / "k.kukla") as index:
            there = len(index)
        assert 0 < there < COUNT
        assert there % 8 == 0
        again = kukla(*command, environment={"OPENAI_BASE_URL": server.url})
        assert again.returncode == 0, again.stderr
        assert f"{COUNT - there} texts in" in again.stdout
        with Index.open(tmp_path / "k.kukla") as index:
            documents = index.get([f"d{i}" for i in range(COUNT)])
        texts = [document.text or "" for document in documents]
        found = np.stack([document.vector for document in documents if document.vector is not None])
        np.testing.assert_allclose(found, load_embedder().encode_documents(texts), atol=1e-6)
        assert documents[7].metadata["year"] == 1997


class TestThenIndexAndSearch:
    def test_an_npy_brings_its_ids_and_its_space(self, tmp_path: Path, corpus: Path, invoke: Invoke) -> None:
        out = tmp_path / "v.npy"
        assert invoke("embed", corpus, "--to", out).exit_code == 0
        assert invoke("index", out, "--to", tmp_path / "v.kukla").exit_code == 0
        with Index.open(tmp_path / "v.kukla") as index:
            assert index.space == load_embedder().space
            assert "d59" in index
        found = invoke("search", tmp_path / "v.kukla", "bread in an oven", "-k", 1, "--json")
        assert json.loads(found.stdout)["results"][0]["id"] == "d12"

    def test_parquet_brings_texts_as_well_and_a_prefix_its_own_space(
        self, tmp_path: Path, corpus: Path, invoke: Invoke
    ) -> None:
        out = tmp_path / "v.parquet"
        done = invoke("embed", corpus, "--to", out, "--dims", 64, "--precision", "float16")
        assert done.exit_code == 0
        assert done.stderr == ""
        assert invoke("index", out, "--vectors", "--to", tmp_path / "v.kukla").exit_code == 0
        found = invoke("search", tmp_path / "v.kukla", "bread in an oven", "-k", 1, "--json")
        result = json.loads(found.stdout)["results"][0]
        assert (result["id"], result["text"][:8]) == ("d12", "Doll 12\n")

    def test_an_untrained_prefix_is_warned_about(self, tmp_path: Path, corpus: Path, invoke: Invoke) -> None:
        done = invoke("embed", corpus, "--to", tmp_path / "v.npy", "--dims", 100)
        assert "warning: kukla-static-en-v2 was trained for 32, 64 dims up to 100" in done.stderr

    def test_queries_have_their_own_prompt(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, invoke: Invoke
    ) -> None:
        done = invoke(
            "embed", corpus, "--to", tmp_path / "q.npy", "--queries", "--query-prompt", "ask: ",
            "--model", "openai:any", "--base-url", server.url,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert all(text.startswith("ask: Doll") for text in server.requests[-1]["input"])

    def test_an_index_of_an_api_is_searched_with_that_api(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, kukla: Kukla, invoke: Invoke
    ) -> None:
        to, api = tmp_path / "a.kukla", ("--model", "openai:any", "--base-url", server.url)
        assert invoke("embed", corpus, "--to", to, *api, "--dims", 128).exit_code == 0
        assert "--model or KUKLA_MODEL" in error_of(invoke("search", to, "bread in an oven"))
        found = invoke("search", to, "bread in an oven", "-k", 1, "--json", *api)
        assert json.loads(found.stdout)["results"][0]["id"] == "d12"
        environment = {"KUKLA_MODEL": "openai:any", "OPENAI_BASE_URL": server.url}
        done = kukla("search", to, "bread in an oven", "-k", 1, "--json", environment=environment)
        assert json.loads(done.stdout)["results"][0]["id"] == "d12"
        message = error_of(
            invoke("search", to, "bread in an oven", "--model", "openai:other", "--base-url", server.url)
        )
        assert "model: mine 'any', theirs 'other'" in message
        message = error_of(invoke("search", to, "bread in an oven", "--model", "kukla-static-en-v2"))
        assert "provider: mine 'openai-compatible', theirs 'kukla'" in message

    def test_kukla_index_takes_any_model_too(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, kukla: Kukla
    ) -> None:
        address = {"OPENAI_BASE_URL": server.url}
        command = ("index", corpus, "--to", "i.kukla", "--model", "openai:any")
        assert kukla(*command, environment=address).returncode == 0
        assert kukla(*command, "--upsert", environment=address).returncode == 0
        other = kukla(*command[:-1], "openai:other", "--upsert", environment=address)
        assert "model: mine 'any', theirs 'other'" in other.stderr
        assert other.returncode == 1

    def test_an_api_that_was_replaced_is_noticed(
        self, tmp_path: Path, corpus: Path, server: EmbeddingServer, invoke: Invoke
    ) -> None:
        to, api = tmp_path / "a.kukla", ("--model", "openai:any", "--base-url", server.url)
        assert invoke("embed", corpus, "--to", to, *api).exit_code == 0

        def reversed_coordinates(handler: object, body: dict[str, object]) -> bool:
            answer = handler.answer(body)  # type: ignore[attr-defined]
            for item in answer["data"]:
                item["embedding"].reverse()
            handler.send(200, answer)  # type: ignore[attr-defined]
            return True

        server.always = reversed_coordinates
        assert "canary" in error_of(invoke("search", to, "bread in an oven", *api))


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--to", "v.csv"), "allowed: .npy, .parquet, .kukla or an index that exists"),
            (("--to", "v.npy", "--model", "gpt"), "received 'gpt'; allowed: 'kukla-static-en-v2', static:"),
            (("--to", "v.npy", "--model", "xx:y"), "received 'xx:y'"),
            (("--to", "v.npy", "--model", "st:"), "received 'st:'"),
            (("--to", "v.npy", "--model", "st:./absent"), "./absent: no such folder"),
            (("--to", "v.npy", "--model", "static:./absent"), "no file pieces.model"),
            (("--to", "v.npy", "--model", "openai:text-embedding-3-small"), "OPENAI_API_KEY is not set"),
            (
                ("--to", "v.npy", "--query-prompt", "q"),
                "query_prompt: the model 'kukla-static-en-v2'",
            ),
            (
                ("--to", "v.npy", "--base-url", "http://h"),
                "base_url: the model 'kukla-static-en-v2'",
            ),
            (("--to", "v.npy", "--dims", 513), "truncate_dim must be an integer from 1 to 512"),
            (("--to", "v.kukla", "--queries"), "--queries is for files of vectors"),
            (("--to", "v.kukla", "--restart"), "--restart is for files of vectors"),
            (("--to", "v.npy", "--text-field", "no"), "no field 'no'"),
        ],
    )
    def test_options_that_do_not_fit(
        self,
        tmp_path: Path,
        corpus: Path,
        invoke: Invoke,
        monkeypatch: pytest.MonkeyPatch,
        options: tuple[object, ...],
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert message in error_of(invoke("embed", corpus, *options))
        assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]

    def test_vectors_need_no_model(self, tmp_path: Path, vectors_file: Path, invoke: Invoke) -> None:
        assert "there is nothing to embed" in error_of(
            invoke("embed", vectors_file, "--to", tmp_path / "v.npy")
        )

    def test_an_id_that_is_there_with_another_text(
        self, tmp_path: Path, corpus: Path, invoke: Invoke
    ) -> None:
        to = tmp_path / "a.kukla"
        assert invoke("embed", corpus, "--to", to).exit_code == 0
        corpus.write_text('{"_id": "d1", "text": "another"}\n')
        assert "the id 'd1' has another text or metadata" in error_of(invoke("embed", corpus, "--to", to))

    def test_damaged_files_beside_vectors(self, tmp_path: Path, corpus: Path, invoke: Invoke) -> None:
        out, to = tmp_path / "v.npy", tmp_path / "v.kukla"
        assert invoke("embed", corpus, "--to", out).exit_code == 0
        ids, space = tmp_path / "v.npy.ids.jsonl", tmp_path / "v.npy.space.json"
        whole_ids, whole_space = ids.read_text(), space.read_text()
        ids.write_text(whole_ids[: len(whole_ids) // 2].rsplit("\n", 1)[0] + "\n")
        assert "ids ended after" in error_of(invoke("index", out, "--to", to))
        ids.write_text(whole_ids)
        space.write_text(whole_space.replace('"dim": 512', '"dim": 64'))
        assert "v.npy.space.json" in error_of(invoke("index", out, "--to", to))
        space.write_text(whole_space)
        assert "provider: mine 'kukla', theirs 'nomic-ai'" in error_of(
            invoke("index", out, "--to", to, "--space", "nomic-embed-text-v1.5", "--dims", "512")
        )
        assert not to.exists()
