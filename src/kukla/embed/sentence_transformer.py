"""Models of sentence-transformers: a folder, or a name on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count, check_dim, check_vectors, normalise
from kukla.embed.batches import batches_by_length, check_texts
from kukla.embed.model_space import model_dim, model_space
from kukla.errors import InputError, MissingExtraError, ReadError
from kukla.progress import Progress
from kukla.space import Space

__all__ = ["SentenceTransformerEmbedder"]

BATCH_SIZE = 32


class SentenceTransformerEmbedder:
    """Encode texts with a ``SentenceTransformer``.

    Queries and documents go through ``encode_query`` and ``encode_document``, so models with a tower for each
    work too. Texts longer than the model's ``max_seq_length`` are cut off by the model, as always.

    Parameters
    ----------
    model : sentence_transformers.SentenceTransformer
        Kept, not copied; its own ``truncate_dim`` counts as its full dim.
    space : Space
        What its vectors are called; ``dim`` must be the model's. Its prompts are put before the texts.

    Raises
    ------
    InputError
        The dims differ.
    """

    batch_size = BATCH_SIZE

    def __init__(self, model: Any, space: Space) -> None:
        if (found := model_dim(model)) != space.dim:
            raise InputError(f"space, dim: received {space.dim}; allowed: {found}, the model's")
        self._model = model
        self._space = space

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> SentenceTransformerEmbedder:
        """Load a model and say what space its vectors live in.

        A folder's space is the ``space.json`` in it, where there is one, and the model must reproduce its
        canaries. Else its provider is ``local``, its model the folder's name, its revision a hash of the
        folder's files. A name on the hub gives organisation, model and commit.

        Parameters
        ----------
        name : str or Path
            A folder, or ``organisation/model`` on the hub (downloaded once, to the hub's cache).
        revision : str, optional
            A commit, tag or branch on the hub.
        query_prompt, document_prompt : str, optional
            Put before every query and document; empty for none. Default: the model's own, else what
            :func:`~kukla.known_models.find_known_model` says of it, else none.
        device : str, optional
            ``"cpu"``, ``"cuda"``, ...; the library's choice by default.
        trust_remote_code : bool
            Run Python code that comes with the model.

        Raises
        ------
        MissingExtraError
            Without sentence-transformers.
        ReadError
            No such folder or model, or it cannot be loaded.
        SpaceError
            The model does not reproduce the canaries of its ``space.json``.
        """
        folder = Path(name)
        if not folder.is_dir() and (isinstance(name, Path) or _is_path(name)):
            raise ReadError(
                f"{name}: no such folder; allowed: a folder that SentenceTransformer.save wrote, or a "
                "name on the hub (organisation/model)"
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError(f"the model st:{name}", "models") from None
        source = str(folder.resolve()) if folder.is_dir() else str(name)
        try:
            with _quiet(folder.is_dir()):
                model = SentenceTransformer(
                    source, revision=revision, device=device, trust_remote_code=trust_remote_code
                )
        except Exception as error:  # the library raises whatever its parts raise: OSError, KeyError, ...
            raise ReadError(
                f"st:{name}: cannot be loaded: {type(error).__name__}: {_first(error)}"
            ) from error
        space = model_space(model, name)
        wanted = replace(
            space,
            query_prompt=space.query_prompt if query_prompt is None else query_prompt,
            document_prompt=space.document_prompt if document_prompt is None else document_prompt,
        )
        embedder = cls(model, wanted)
        if space.canary_texts and wanted.document_prompt == space.document_prompt:
            wanted.check_canaries(embedder.encode_documents)
        else:
            embedder._space = wanted.with_canaries(embedder.encode_documents)
        return embedder

    @property
    def space(self) -> Space:
        """The space that the vectors live in, with canaries."""
        return self._space

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = BATCH_SIZE,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched.

        Parameters
        ----------
        texts : sequence of str
        dim : int, optional
            Prefix length, 1..D; the whole vector by default.
        batch_size : int
            Texts that the model sees at once, of like length. Changes vectors by rounding only.
        progress : callable, optional
            ``progress(done, total)`` after every batch.

        Returns
        -------
        float32 array, shape (n, dim)
            New; each row has L2 norm 1, rows in the order of the texts.

        Raises
        ------
        InputError
            A text is not a str, or ``dim`` or ``batch_size`` is out of range.
        VectorError
            The model gave NaN, infinity or zeros; the message names the row.
        """
        return self._encode(
            self._model.encode_document, self._space.document_prompt, texts, dim, batch_size, progress
        )

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = BATCH_SIZE,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched for; like :meth:`encode_documents`."""
        return self._encode(
            self._model.encode_query, self._space.query_prompt, texts, dim, batch_size, progress
        )

    def _encode(
        self,
        encode: Any,
        prompt: str,
        texts: Sequence[str],
        dim: int | None,
        batch_size: int,
        progress: Progress | None,
    ) -> NDArray[np.float32]:
        check_texts(texts)
        width = self._space.dim if dim is None else check_dim(dim, what="dim", most=self._space.dim)
        size = check_count(batch_size, what="batch_size")
        encoded = np.empty((len(texts), width), dtype=np.float32)
        done = 0
        for rows in batches_by_length(texts, size):
            batch = encode(
                [texts[row] for row in rows],
                prompt=prompt,  # an empty one too: None would bring back the model's default
                batch_size=len(rows),
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=False,
            )
            encoded[rows] = np.asarray(batch, dtype=np.float32)[:, :width]
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        what = f"vectors of {self._space.provider}/{self._space.model}"
        return normalise(check_vectors(encoded, what=what)) if len(texts) else encoded


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """No bar for reading weights from disk; a download keeps its own."""
    from transformers.utils import logging

    if not quiet or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _is_path(name: str) -> bool:
    """Whether a name that is no folder was meant to be one; on the hub it is ``organisation/name``."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith("/")


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
