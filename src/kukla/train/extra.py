"""torch and sentence-transformers, imported where they are used, and a clear error without them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from kukla.errors import MissingExtraError

__all__ = ["import_sentence_transformers", "import_torch", "import_yaml"]


def import_torch(what: str = "a learned projection") -> ModuleType:
    """The module torch, or ``MissingExtraError``."""
    return _import("torch", what)


def import_sentence_transformers(what: str = "training a model") -> ModuleType:
    """The module sentence_transformers, with what its trainer needs, or ``MissingExtraError``."""
    module = _import("sentence_transformers", what)
    for needed in ("datasets", "accelerate"):
        if find_spec(needed) is None:
            raise MissingExtraError(what, "train")
    return module


def import_yaml() -> ModuleType:
    """The module yaml, or ``MissingExtraError``."""
    return _import("yaml", "reading a training configuration")


def _import(name: str, what: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtraError(what, "train") from None
