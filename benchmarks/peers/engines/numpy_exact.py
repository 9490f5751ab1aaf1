"""The exact baseline that needs no library: a float32 matrix product, and the best of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape

__all__ = ["ENGINE", "NumpyExact"]


class NumpyExact(Engine):
    """All rows in memory; one matrix-vector product a query, one matrix product a block of a batch."""

    title = "NumPy float32 (exact)"
    packages = ("numpy",)
    modules = ("numpy",)
    guide = "none needed"
    block_queries = 64

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        return [{}]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        return [{}]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        """Nothing to build: the vectors are the index."""

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        self._rows = np.array(base)

    def configure(self, search: Params) -> None:
        """No parameters."""

    def one(self, query: Floats, k: int) -> Ids:
        row: Ids = self._best(query[None] @ self._rows.T, k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        blocks = range(0, len(queries), self.block_queries)
        return np.concatenate(
            [self._best(queries[at : at + self.block_queries] @ self._rows.T, k) for at in blocks]
        )

    @staticmethod
    def _best(scores: Floats, k: int) -> Ids:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1)

    def full_vectors(self) -> int:
        return self._rows.nbytes

    def bytes_read(self) -> float:
        return float(self._rows.nbytes)


ENGINE = NumpyExact
