"""What every embedder offers, whichever model is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kukla.progress import Progress
from kukla.space import Space

__all__ = ["Embedder"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors of one space.

    Both methods return a new float32 array of shape (n, dim), each row L2-normalised, rows in the order of
    the texts; no text gives shape (0, dim). ``dim`` is a prefix length, the whole vector by default.
    """

    @property
    def space(self) -> Space:
        """The space that the vectors live in."""
        ...

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = 1024,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched."""
        ...

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = 1024,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode what is searched for."""
        ...
