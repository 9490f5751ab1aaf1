"""How long work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[int, int | None], None]
"""Called with how much is done and how much there is (``None``: not known), in the unit of the work."""
