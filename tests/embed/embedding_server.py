"""A real OpenAI-compatible server: the built-in model behind HTTP, and how such servers fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from kukla import load_embedder, truncate
from kukla.embed import Embedder

Misbehaviour = Callable[["_Handler", dict[str, Any]], bool]
"""Gets the request; returns True when it has answered it."""


@cache
def builtin(dim: int | None = None) -> Embedder:
    """The built-in model, loaded once."""
    return load_embedder(truncate_dim=dim)


class EmbeddingServer(ThreadingHTTPServer):
    """Serves the built-in model; ``misbehaviours[n]`` (None: none) has the n-th request first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = builtin()
        self.misbehaviours: dict[int, Misbehaviour] = {}
        self.always: Misbehaviour | None = None
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        self.let_go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that were killed, or hang up, are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
        misbehave = self.server.misbehaviours.get(number, self.server.always)
        if self.path != "/v1/embeddings":
            self.send(404, {"error": {"message": f"no such path {self.path}"}})
        elif misbehave is None or not misbehave(self, body):
            self.send(200, self.answer(body))

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = self.server.model.encode_documents(body["input"])
        if body.get("dimensions"):
            vectors = truncate(vectors, body["dimensions"])
        # In another order than asked for: the index counts, not the place.
        data = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(vectors)][::-1]
        return {"object": "list", "model": body["model"], "data": data}

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """A server in threads of its own, on a free port."""
    with EmbeddingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            server.shutdown()
            thread.join()


def status(
    code: int, message: str = "no", headers: dict[str, str] | None = None, **error: str
) -> Misbehaviour:
    """Answers with this status."""

    def misbehave(handler: _Handler, body: dict[str, Any]) -> bool:
        handler.send(code, {"error": {"message": message, **error}}, headers)
        return True

    return misbehave


def changed(change: Callable[[dict[str, Any]], Any]) -> Misbehaviour:
    """Answers with what ``change`` makes of the right answer; bytes are sent as they are."""

    def misbehave(handler: _Handler, body: dict[str, Any]) -> bool:
        handler.send(200, change(handler.answer(body)))
        return True

    return misbehave


def dropped(handler: _Handler, body: dict[str, Any]) -> bool:
    """Closes the connection in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True
    return True


def slow(seconds: float) -> Misbehaviour:
    """Answers after a while."""

    def misbehave(handler: _Handler, body: dict[str, Any]) -> bool:
        time.sleep(seconds)
        return False

    return misbehave


def stuck(handler: _Handler, body: dict[str, Any]) -> bool:
    """Does not answer until the server ends."""
    handler.server.let_go.wait()
    handler.close_connection = True
    return True


def with_first(answer: dict[str, Any], embedding: Any) -> dict[str, Any]:
    """The answer with another vector for the first text."""
    first = min(answer["data"], key=lambda item: item["index"])
    first["embedding"] = embedding(first["embedding"]) if callable(embedding) else embedding
    return answer


def unit(dim: int) -> list[float]:
    """A vector of ``dim`` coordinates, of length 1."""
    return (np.ones(dim) / np.sqrt(dim)).tolist()
