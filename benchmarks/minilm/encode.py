"""Unit vectors of texts by the untouched and the trained models, kept in a folder under what decides them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.systems.encode import MINILM_TOKENS, MODELS
from benchmarks.systems.tasks import Task, Texts
from kukla.errors import MissingExtraError
from kukla.train.base import packaged_minilm

__all__ = ["Encoder", "trained", "untouched"]

_BLOCK = 512

Say = Callable[[str], None]


class Encoder:
    """One model in float32; texts are cut at the same number of tokens, whichever model it is.

    Parameters
    ----------
    name : str
        Of the system in tables.
    folder : Path
        Of the model.
    key : str
        What its files in ``cache`` are called by: another model, another key.
    """

    def __init__(self, name: str, folder: Path, key: str, cache: Path, say: Say) -> None:
        self.name, self.folder, self.key, self.cache, self.say = name, folder, key, cache, say

    def task(self, texts: Texts) -> Task:
        """A collection's documents and queries."""
        documents, queries = (
            self.vectors(part, f"{texts.name}-{kind}")
            for kind, part in (("documents", texts.documents), ("queries", texts.queries))
        )
        return Task(self.name, texts.name, documents, queries, texts.judged)

    def vectors(self, texts: list[str], name: str) -> np.ndarray:
        """float32 ``(n, 384)``, rows of length 1."""
        path = self.cache / f"{self.key}-{name}-{zlib.crc32(chr(0).join(texts).encode()):08x}.npy"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp.npy")
            np.save(temporary, self._encode(texts, name))
            temporary.replace(path)
        return np.load(path)

    def _encode(self, texts: list[str], name: str) -> np.ndarray:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(self.folder), device="cpu")
        model.max_seq_length = MINILM_TOKENS
        # Of like length together, for little padding; blocks to tell how far it is.
        order = np.argsort([len(text) for text in texts], kind="stable")
        vectors = np.empty((len(texts), model.get_embedding_dimension()), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK):
            rows = order[start : start + _BLOCK]
            vectors[rows] = model.encode(
                [texts[i] for i in rows], batch_size=32, show_progress_bar=False, normalize_embeddings=True
            )
            self.say(f"{self.name}: {name}: {start + len(rows):,} of {len(texts):,} texts")
        return vectors


def untouched(name: str, cache: Path, say: Say) -> Encoder:
    """all-MiniLM-L6-v2 of its package; the files of its vectors are those of `benchmarks.systems`."""
    folder = packaged_minilm()
    if folder is None:
        raise MissingExtraError("all-MiniLM-L6-v2", "recipe")
    return Encoder(name, folder, MODELS[1], cache, say)


def trained(name: str, folder: Path, cache: Path, say: Say) -> Encoder:
    """A result of `kukla train`, or a checkpoint, known by its weights."""
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()[:16]
    return Encoder(name, folder, f"{name.replace(' ', '-')}-{digest}", cache, say)
