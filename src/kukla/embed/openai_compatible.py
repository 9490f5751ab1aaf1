"""Models behind an OpenAI-compatible API: OpenAI, vLLM, text-embeddings-inference, Ollama, llama.cpp, ..."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count, check_dim, normalise
from kukla.embed.batches import batches_by_length, check_texts
from kukla.embed.openai_answer import read_vectors
from kukla.embed.openai_client import Client
from kukla.errors import InputError
from kukla.known_models import KnownModel, find_known_model
from kukla.progress import Progress
from kukla.space import DEFAULT_CANARIES, Space

__all__ = ["OPENAI_URL", "OpenAIEmbedder"]

OPENAI_URL = "https://api.openai.com/v1"
TEXTS_PER_REQUEST = 128
# OpenAI takes 300,000 tokens a request; a token is a byte or more.
BYTES_PER_REQUEST = 250_000


class OpenAIEmbedder:
    """Encode texts with ``POST base_url/embeddings``.

    Making one sends one request, with the canary texts: it shows that address, key and model are right, and
    tells the dim. The key is read from the environment variable ``OPENAI_API_KEY`` and from nowhere else.

    Parameters
    ----------
    model : str
        As the server calls it. For OpenAI itself, and for names that the table of known models has, the
        dims and prompts of the table hold.
    base_url : str, optional
        Default: the environment variable ``OPENAI_BASE_URL``, else OpenAI's own.
    dimensions : int, optional
        Asked of the API, which shortens and renormalises. Default: the model's whole vector.
    query_prompt, document_prompt : str, optional
        Put before every query and document; empty for none. Default: what the table of known models says,
        else none.
    provider : str, optional
        What the space calls the maker. Default: ``openai`` for OpenAI's own address, else
        ``openai-compatible``: a name alone does not say that two servers run the same model, canaries do.
    timeout_seconds, retries, wait_seconds, longest_wait_seconds
        See :class:`kukla.embed.openai_client.Client`.
    requests_at_once : int
        Requests on their way at the same time. Vectors do not depend on it.

    Raises
    ------
    InputError
        No key for OpenAI's own address; a dim that the model's maker does not offer; a wrong ``base_url``.
    ServiceError
        The API refuses, or does not answer, or answers wrongly.
    MissingExtraError
        Without httpx2.
    """

    batch_size = TEXTS_PER_REQUEST

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        dimensions: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        provider: str | None = None,
        timeout_seconds: float = 60.0,
        retries: int = 5,
        wait_seconds: float = 0.5,
        longest_wait_seconds: float = 60.0,
        requests_at_once: int = 4,
    ) -> None:
        address = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        key = os.environ.get("OPENAI_API_KEY", "").strip()
        official = urlsplit(address).hostname == urlsplit(OPENAI_URL).hostname
        if official and not key:
            raise InputError(
                f"openai:{model}: the environment variable OPENAI_API_KEY is not set; {address} needs a key"
            )
        if dimensions is not None:
            dimensions = check_dim(dimensions, what="dimensions")
        known = _known(model, official=official)
        if known is not None and dimensions is not None:
            known.space(dimensions)  # refuses what its maker does not offer, naming what it does
        self._dimensions = dimensions
        self._model = model
        self._requests_at_once = check_count(requests_at_once, what="requests_at_once", most=64)
        self._client = Client(
            address,
            key or None,
            timeout_seconds=timeout_seconds,
            retries=check_count(retries, what="retries", least=0),
            wait_seconds=wait_seconds,
            longest_wait_seconds=longest_wait_seconds,
        )
        try:
            space = self._probe(provider or ("openai" if official else "openai-compatible"), known)
            self._space = replace(
                space,
                query_prompt=space.query_prompt if query_prompt is None else query_prompt,
                document_prompt=space.document_prompt if document_prompt is None else document_prompt,
            )
            if self._space.document_prompt:
                self._space = self._space.with_canaries(self.encode_documents)
        except BaseException:
            self.close()
            raise

    def _probe(self, provider: str, known: KnownModel | None) -> Space:
        """The space, its dim from a first request, which has no prompts."""
        vectors = self._request(list(DEFAULT_CANARIES), None, list(range(len(DEFAULT_CANARIES))))
        dim = vectors.shape[1]
        wanted = self._dimensions or (known.dim if known is not None else dim)
        if dim != wanted:
            reason = "were asked for" if self._dimensions else f"are what {known.name if known else ''} has"
            raise InputError(
                f"{self._client.base_url}: model {self._model!r} gives {dim} dims, but {wanted} {reason}"
            )
        ask = known is not None and not known.provider_adds_prompt
        space = Space(
            provider=provider,
            model=self._model,
            dim=dim,
            trained_dims=() if known is None else tuple(d for d in known.trained_dims if d <= dim),
            query_prompt=known.query_prompt if known is not None and ask else "",
            document_prompt=known.document_prompt if known is not None and ask else "",
        )
        unit = normalise(vectors)
        return space.with_canaries(lambda texts: unit)

    @property
    def space(self) -> Space:
        """The space that the vectors live in, with canaries."""
        return self._space

    def close(self) -> None:
        """Close the connections; also happens by itself."""
        self._client.close()

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = TEXTS_PER_REQUEST,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched.

        Parameters
        ----------
        texts : sequence of str
            None blank: the APIs refuse them.
        dim : int, optional
            Prefix length, 1..D, cut and renormalised here; the whole vector by default.
        batch_size : int
            Texts in one request, at most 2048, OpenAI's limit; a request also has at most 250,000 bytes of
            text, but for a single longer text.
        progress : callable, optional
            ``progress(done, total)`` after every request.

        Returns
        -------
        float32 array, shape (n, dim)
            New; each row has L2 norm 1, rows in the order of the texts.

        Raises
        ------
        InputError
            A text is blank or not a str, or ``dim`` or ``batch_size`` is out of range.
        ServiceError
            The API refuses, does not answer, or answers with other than one finite vector for each text.
        """
        return self._encode(self._space.document_prompt, texts, dim, batch_size, progress)

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = TEXTS_PER_REQUEST,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched for; like :meth:`encode_documents`."""
        return self._encode(self._space.query_prompt, texts, dim, batch_size, progress)

    def _encode(
        self, prompt: str, texts: Sequence[str], dim: int | None, batch_size: int, progress: Progress | None
    ) -> NDArray[np.float32]:
        check_texts(texts)
        for row, text in enumerate(texts):
            if not text.strip():
                raise InputError(f"texts, row {row}: blank; allowed: texts, embedding APIs refuse blank ones")
        width = self._space.dim if dim is None else check_dim(dim, what="dim", most=self._space.dim)
        size = check_count(batch_size, what="batch_size", most=2048)
        full = np.empty((len(texts), width), dtype=np.float32)
        inputs = [prompt + text for text in texts] if prompt else list(texts)
        batches = batches_by_length(inputs, size, most_bytes=BYTES_PER_REQUEST)
        done = 0
        with ThreadPoolExecutor(max_workers=min(self._requests_at_once, len(batches)) or 1) as pool:
            answers = [
                pool.submit(self._request, [inputs[row] for row in rows], self._space.dim, rows)
                for rows in batches
            ]
            try:
                for rows, answer in zip(batches, answers, strict=True):
                    full[rows] = answer.result()[:, :width]
                    done += len(rows)
                    if progress is not None:
                        progress(done, len(texts))
            except BaseException:
                for answer in answers:
                    answer.cancel()  # or the pool would send the rest before it lets go
                raise
        return normalise(full) if len(texts) else full

    def _request(self, inputs: list[str], dim: int | None, rows: list[int]) -> NDArray[np.float64]:
        body: dict[str, Any] = {"model": self._model, "input": inputs, "encoding_format": "float"}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        answer = self._client.post("embeddings", body)
        return read_vectors(answer, rows=rows, dim=dim, source=f"{self._client.base_url}/embeddings")


def _known(model: str, *, official: bool) -> KnownModel | None:
    """What the table says of a model, where the name can mean only that one.

    On OpenAI's own address a bare name is OpenAI's. Elsewhere only ``organisation/model`` says enough: a bare
    name is whatever the server's owner called so.
    """
    if not official and "/" not in model:
        return None
    try:
        found = find_known_model(model)
    except InputError:
        return None
    return found if found.provider == "openai" or not official else None
