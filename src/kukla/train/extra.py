"""torch, imported where it is used, and a clear error without it."""

from __future__ import annotations

from types import ModuleType

from kukla.errors import MissingExtraError

__all__ = ["import_torch"]


def import_torch() -> ModuleType:
    """The module torch, or ``MissingExtraError``."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("a learned projection", "train") from None
    module: ModuleType = torch
    return module
