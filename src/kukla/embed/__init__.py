"""Texts to vectors. The built-in model needs no download, no network and no torch."""

from __future__ import annotations

from pathlib import Path

from kukla.embed.base import Embedder
from kukla.embed.static import StaticEmbedder
from kukla.errors import InputError

__all__ = ["DEFAULT_MODEL", "Embedder", "StaticEmbedder", "known_models", "load_embedder"]

DEFAULT_MODEL = "kukla-static-en-v1"

_MODELS = Path(__file__).parent / "models"


def known_models() -> tuple[str, ...]:
    """Names of the models that ship with Kukla, ascending."""
    return tuple(sorted(folder.name for folder in _MODELS.iterdir() if (folder / "space.json").is_file()))


def load_embedder(name: str = DEFAULT_MODEL) -> Embedder:
    """Load a model that ships with Kukla.

    Parameters
    ----------
    name : str
        One of :func:`known_models`. For a folder of your own use :meth:`StaticEmbedder.load`.

    Raises
    ------
    InputError
        No model has this name; the message lists the names there are.
    ReadError
        The model's files are damaged.

    Example
    -------
    >>> load_embedder().space.dim
    512
    """
    if name not in known_models():
        raise InputError(
            f"embedding model: received {name!r}; allowed: {', '.join(map(repr, known_models()))}"
        )
    return StaticEmbedder.load(_MODELS / name)
