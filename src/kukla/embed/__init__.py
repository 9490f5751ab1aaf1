"""Texts to vectors. The built-in model needs no download, no network and no torch; others are extras."""

from __future__ import annotations

from kukla.embed.base import Embedder
from kukla.embed.load import DEFAULT_MODEL, MODEL_VARIABLE, find_embedder, known_models, load_embedder
from kukla.embed.static import StaticEmbedder
from kukla.embed.truncated import TruncatedEmbedder

__all__ = [
    "DEFAULT_MODEL",
    "MODEL_VARIABLE",
    "Embedder",
    "StaticEmbedder",
    "TruncatedEmbedder",
    "find_embedder",
    "known_models",
    "load_embedder",
]
