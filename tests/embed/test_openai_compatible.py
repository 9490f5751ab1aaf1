"""An OpenAI-compatible API, asked over HTTP: the right vectors in the right order, or why not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
from tests.embed.embedding_server import (
    EmbeddingServer,
    builtin,
    changed,
    dropped,
    slow,
    status,
    stuck,
    unit,
    with_first,
)

from kukla import load_embedder
from kukla.embed import Embedder
from kukla.embed.openai_compatible import BYTES_PER_REQUEST, OpenAIEmbedder
from kukla.errors import InputError, ServiceError, VectorError
from kukla.space import DEFAULT_CANARIES

TEXTS = ["a doll inside a doll", "bread", "the sea is cold in march", "no"]

Connect = Callable[..., OpenAIEmbedder]


@pytest.fixture
def connect(server: EmbeddingServer) -> Connect:
    """An embedder of the server that waits a hundredth of a second where a user's waits half of one."""

    def make(model: str = "any", **options: Any) -> OpenAIEmbedder:
        given = {"base_url": server.url, "wait_seconds": 0.01, "retries": 2, "timeout_seconds": 5.0}
        return OpenAIEmbedder(model, **{**given, **options})

    return make


class TestVectors:
    def test_they_are_the_servers_in_the_order_of_the_texts(self, connect: Connect) -> None:
        embedder = connect()
        assert isinstance(embedder, Embedder)
        found = embedder.encode_documents(TEXTS)
        np.testing.assert_allclose(found, builtin().encode_documents(TEXTS), atol=1e-6)
        assert found.dtype == np.float32

    def test_a_prefix_is_renormalised(self, connect: Connect) -> None:
        found = connect().encode_queries(TEXTS, dim=64)
        np.testing.assert_allclose(found, builtin().encode_queries(TEXTS, dim=64), atol=1e-6)

    def test_no_text_is_no_request(self, connect: Connect, server: EmbeddingServer) -> None:
        embedder = connect()
        before = len(server.requests)
        assert embedder.encode_documents([]).shape == (0, 512)
        assert len(server.requests) == before

    def test_prompts_are_put_before_the_texts(self, connect: Connect, server: EmbeddingServer) -> None:
        embedder = connect(query_prompt="ask: ", document_prompt="say: ")
        embedder.encode_queries(["x"])
        assert server.requests[-1]["input"] == ["ask: x"]
        embedder.encode_documents(["x"])
        assert server.requests[-1]["input"] == ["say: x"]
        assert (embedder.space.query_prompt, embedder.space.document_prompt) == ("ask: ", "say: ")

    def test_a_request_holds_so_many_texts_and_bytes_longest_first(
        self, connect: Connect, server: EmbeddingServer
    ) -> None:
        embedder = connect(requests_at_once=1)
        before = len(server.requests)
        texts = ["ж" * (BYTES_PER_REQUEST // 4), "b", "ccc", "dd", "e" * (2 * BYTES_PER_REQUEST)]
        found = embedder.encode_documents(texts, batch_size=2)
        sent = [[texts.index(text) for text in body["input"]] for body in server.requests[before:]]
        assert sent == [[4], [0, 2], [3, 1]]
        np.testing.assert_allclose(found, builtin().encode_documents(texts), atol=1e-6)

    def test_requests_at_once_do_not_change_the_vectors(self, connect: Connect) -> None:
        texts = [f"text number {i} " * (i % 7 + 1) for i in range(60)]
        one = connect(requests_at_once=1).encode_documents(texts, batch_size=4)
        many = connect(requests_at_once=8).encode_documents(texts, batch_size=4)
        np.testing.assert_array_equal(one, many)

    def test_progress_counts_texts(self, connect: Connect) -> None:
        seen: list[tuple[int, int | None]] = []
        connect().encode_documents(TEXTS, batch_size=3, progress=lambda *step: seen.append(step))
        assert seen == [(3, 4), (4, 4)]

    def test_dimensions_are_asked_of_the_api(self, connect: Connect, server: EmbeddingServer) -> None:
        embedder = connect(dimensions=128)
        assert server.requests[-1]["dimensions"] == 128
        assert embedder.space.dim == 128

    @pytest.mark.parametrize(
        ("texts", "options", "message"),
        [
            ("one", {}, "a sequence of texts"),
            (["a", 3], {}, "row 1: received int"),
            (["a", " \n"], {}, "row 1: blank"),
            (["a"], {"batch_size": 0}, "batch_size must be an integer from 1 to 2048"),
            (["a"], {"batch_size": 2049}, "batch_size"),
        ],
    )
    def test_bad_input_is_refused_before_it_is_sent(
        self, connect: Connect, server: EmbeddingServer, texts: Any, options: Any, message: str
    ) -> None:
        embedder = connect()
        before = len(server.requests)
        with pytest.raises(InputError, match=message):
            embedder.encode_documents(texts, **options)
        assert len(server.requests) == before

    def test_a_dim_beyond_the_models_is_refused(self, connect: Connect) -> None:
        with pytest.raises(VectorError, match="1 to 512"):
            connect().encode_documents(["a"], dim=513)


class TestSpace:
    def test_a_name_and_canaries_say_who_made_the_vectors(self, connect: Connect) -> None:
        space = connect("mine/1").space
        assert (space.provider, space.model, space.dim) == ("openai-compatible", "mine/1", 512)
        assert space.canary_texts == DEFAULT_CANARIES
        assert space.check_canaries(builtin().encode_documents)

    def test_canaries_carry_the_document_prompt(self, connect: Connect) -> None:
        embedder = connect(document_prompt="say: ")
        assert embedder.space.check_canaries(embedder.encode_documents)
        with pytest.raises(InputError, match="no longer gives the vectors"):
            embedder.space.check_canaries(builtin().encode_documents)

    def test_a_known_model_brings_its_prompts_and_must_have_its_dim(
        self, connect: Connect, server: EmbeddingServer
    ) -> None:
        name = "nomic-ai/nomic-embed-text-v1.5"
        with pytest.raises(InputError, match=r"gives 512 dims, but 768 are what nomic-ai/"):
            connect(name)
        space = connect(name, dimensions=512).space
        assert space.trained_dims == (64, 128, 256, 512)
        assert (space.query_prompt, space.document_prompt) == ("search_query: ", "search_document: ")
        with pytest.raises(InputError, match="dim: received 100; allowed: 64, 128, 256, 512, 768"):
            connect(name, dimensions=100)

    def test_a_server_that_ignores_dimensions_is_noticed(
        self, connect: Connect, server: EmbeddingServer
    ) -> None:
        def whole(handler: Any, body: dict[str, Any]) -> bool:
            body.pop("dimensions")
            return False

        server.always = whole
        with pytest.raises(InputError, match="gives 512 dims, but 64 were asked for"):
            connect(dimensions=64)

    def test_openai_itself_needs_a_key(self) -> None:
        with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
            load_embedder("openai:text-embedding-3-small")

    def test_the_key_comes_from_the_environment_and_is_in_no_message(
        self, connect: Connect, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        connect()
        assert server.keys == ["Bearer sk-very-secret"]
        server.always = status(401, "Incorrect API key provided: sk-very-secret")
        with pytest.raises(ServiceError, match=r"status 401: .*\*\*\*.*OPENAI_API_KEY") as caught:
            connect()
        assert "sk-very-secret" not in str(caught.value)

    @pytest.mark.parametrize("url", ["localhost:80", "ftp://host/v1", "http://", "http://u:secret@host/v1"])
    def test_a_base_url_must_be_an_address(self, url: str) -> None:
        with pytest.raises(InputError, match="base_url") as caught:
            OpenAIEmbedder("any", base_url=url)
        assert "secret" not in str(caught.value)


class TestFailures:
    """Request 0 is that of making the embedder; request 1 is the one that fails."""

    @pytest.mark.parametrize(
        "misbehaviour",
        [status(429), status(500), status(502), status(503), dropped],
        ids=["429", "500", "502", "503", "dropped"],
    )
    def test_what_passes_is_tried_again(
        self, connect: Connect, server: EmbeddingServer, misbehaviour: Any
    ) -> None:
        embedder = connect()
        server.misbehaviours = {1: misbehaviour, 2: misbehaviour}
        found = embedder.encode_documents(TEXTS)
        np.testing.assert_allclose(found, builtin().encode_documents(TEXTS), atol=1e-6)
        assert len(server.requests) == 4

    def test_what_does_not_pass_is_an_error_after_the_last_retry(
        self, connect: Connect, server: EmbeddingServer
    ) -> None:
        embedder = connect()
        server.always = status(503, "overloaded")
        with pytest.raises(ServiceError, match=r"/v1/embeddings: status 503: overloaded; tried 3 times"):
            embedder.encode_documents(TEXTS)
        assert len(server.requests) == 4

    def test_a_slow_server_is_a_timeout(self, connect: Connect, server: EmbeddingServer) -> None:
        embedder = connect(timeout_seconds=0.2, retries=1)
        server.misbehaviours = {1: stuck, 2: slow(0.01)}
        assert len(embedder.encode_documents(["a"])) == 1
        server.always = stuck
        with pytest.raises(ServiceError, match=r"no answer within 0.2 s; tried 2 times"):
            embedder.encode_documents(["a"])

    def test_nobody_there(self, server: EmbeddingServer) -> None:
        with pytest.raises(ServiceError, match=r"no connection: .*tried 2 times"):
            OpenAIEmbedder("any", base_url="http://127.0.0.1:9/v1", retries=1, wait_seconds=0.01)

    @pytest.mark.parametrize("as_date", [False, True])
    def test_retry_after_is_obeyed(self, connect: Connect, server: EmbeddingServer, as_date: bool) -> None:
        embedder = connect()
        # A date has whole seconds: one in two seconds is one to two away.
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "0.3"
        server.misbehaviours = {1: status(429, headers={"Retry-After": when})}
        started = time.perf_counter()
        embedder.encode_documents(["a"])
        assert time.perf_counter() - started >= 0.29

    def test_a_server_that_asks_for_more_patience_than_there_is(
        self, connect: Connect, server: EmbeddingServer
    ) -> None:
        embedder = connect(longest_wait_seconds=5.0)
        server.always = status(429, headers={"Retry-After": "3600"})
        with pytest.raises(ServiceError, match=r"asks to wait 3,600 s, more than the 5 s"):
            embedder.encode_documents(["a"])
        assert len(server.requests) == 2

    @pytest.mark.parametrize(
        "misbehaviour",
        [status(400, "too long"), status(404), status(429, type="insufficient_quota")],
        ids=["400", "404", "quota"],
    )
    def test_what_waiting_does_not_change_is_not_tried_again(
        self, connect: Connect, server: EmbeddingServer, misbehaviour: Any
    ) -> None:
        embedder = connect()
        server.always = misbehaviour
        with pytest.raises(ServiceError, match="status 4"):
            embedder.encode_documents(["a"])
        assert len(server.requests) == 2

    def test_a_redirect_is_not_followed(self, connect: Connect, server: EmbeddingServer) -> None:
        server.always = status(308, headers={"Location": "https://elsewhere.example/v1"})
        with pytest.raises(ServiceError, match=r"redirects to https://elsewhere\.example/v1"):
            connect()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda a: {**a, "data": a["data"][1:]}, "3 vectors for 4 texts"),
            (lambda a: {**a, "data": [*a["data"], a["data"][0]]}, "5 vectors for 4 texts"),
            (lambda a: {**a, "data": [a["data"][0]] * 4}, "index 3; allowed: each of 0..3 once"),
            (lambda a: {**a, "data": [{"embedding": unit(512)}] * 4}, "index None"),
            (lambda a: {**a, "data": [{"index": True, "embedding": unit(512)}] * 4}, "index True"),
            (lambda a: with_first(a, unit(511)), "text 2 has 511 dims; the model's others have 512"),
            (lambda a: with_first(a, []), "text 2 is list; allowed: a list of numbers"),
            (lambda a: with_first(a, "AAAA"), "text 2 is str; allowed: a list of numbers"),
            (lambda a: with_first(a, [float("nan")] * 512), "text 2 holds NaN or infinity"),
            (lambda a: with_first(a, [1e39] * 512), "text 2 holds NaN or infinity"),
            (lambda a: with_first(a, [None] * 512), "text 2 holds what is no number"),
            (lambda a: with_first(a, [10**400] * 512), "text 2 holds a number beyond float64"),
            (lambda a: with_first(a, [0.0] * 512), "text 2 is all zeros"),
            (lambda a: {"embeddings": []}, "no list 'data'"),
            (lambda a: [1], "no list 'data'"),
            (lambda a: b"<html>hello</html>", "no JSON: '<html>hello</html>'"),
            (lambda a: json.dumps(a).encode()[:-5], "no JSON"),
        ],
    )
    def test_a_wrong_answer_is_not_believed(
        self, connect: Connect, server: EmbeddingServer, change: Any, message: str
    ) -> None:
        embedder = connect()
        server.misbehaviours = {1: changed(change)}
        with pytest.raises(ServiceError) as caught:
            embedder.encode_documents(TEXTS)
        assert message in str(caught.value)
        assert len(server.requests) == 2

    def test_one_failing_request_stops_the_rest(self, connect: Connect, server: EmbeddingServer) -> None:
        embedder = connect(requests_at_once=1)
        server.misbehaviours = {2: status(400, "no")}
        with pytest.raises(ServiceError, match="status 400"):
            embedder.encode_documents([f"text {i}" for i in range(50)], batch_size=1)
        assert len(server.requests) < 10
