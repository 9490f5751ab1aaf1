"""The first dims of another embedder's vectors, as a space of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_dim
from kukla.embed.base import Embedder
from kukla.embed.batches import default_batch_size
from kukla.progress import Progress
from kukla.space import Space

__all__ = ["TruncatedEmbedder", "truncate_space"]


def truncate_space(space: Space, dim: int) -> Space:
    """The space of the ``dim``-prefixes, renormalised, of vectors of ``space``; canaries are cut as well."""
    if dim == space.dim:
        return space
    vectors = np.array(space.canary_vectors, dtype=np.float64).reshape(-1, space.dim)[:, :dim]
    # A prefix of zeros has no direction: it can vouch for nothing.
    kept = [i for i, vector in enumerate(vectors) if vector.any()]
    unit = [vectors[i] / np.linalg.norm(vectors[i]) for i in kept]
    return replace(
        space,
        dim=dim,
        trained_dims=tuple(d for d in space.trained_dims if d <= dim),
        normalised=True,
        canary_texts=tuple(space.canary_texts[i] for i in kept),
        canary_vectors=tuple(tuple(float(f"{x:.7g}") for x in vector) for vector in unit),
    )


class TruncatedEmbedder:
    """An :class:`Embedder` whose whole vectors are the ``dim``-prefixes of another's.

    Parameters
    ----------
    embedder : Embedder
    dim : int
        1..``embedder.space.dim``.

    Raises
    ------
    VectorError
        ``dim`` is out of range.
    """

    def __init__(self, embedder: Embedder, dim: int) -> None:
        self._embedder = embedder
        self._space = truncate_space(
            embedder.space, check_dim(dim, what="truncate_dim", most=embedder.space.dim)
        )

    @property
    def space(self) -> Space:
        """The space of the prefixes."""
        return self._space

    @property
    def batch_size(self) -> int:
        """Texts that the model takes at once, unless it is told otherwise."""
        return default_batch_size(self._embedder)

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """As the other's, cut to ``dim`` (default: all of this space's) and renormalised."""
        size = self.batch_size if batch_size is None else batch_size
        return self._embedder.encode_documents(
            texts, dim=self._width(dim), batch_size=size, progress=progress
        )

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """As the other's, cut to ``dim`` (default: all of this space's) and renormalised."""
        size = self.batch_size if batch_size is None else batch_size
        return self._embedder.encode_queries(texts, dim=self._width(dim), batch_size=size, progress=progress)

    def _width(self, dim: int | None) -> int:
        return self._space.dim if dim is None else check_dim(dim, what="dim", most=self._space.dim)
