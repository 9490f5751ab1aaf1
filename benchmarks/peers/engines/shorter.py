"""Shorter vectors for peers that have no way of their own: a prefix or a PCA; and exact rescoring.

Both are written once for all peers. Rescoring reads rows of the mapped float32 file and is native: FAISS's
`fvec_inner_products_by_idx`, several times as fast as NumPy on a hundred rows. Without it no graph on
prefixes could reach a high recall; with a slow one the comparison would be unfair.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Floats, Ids, Params

__all__ = ["Rescorer", "Shorter"]

TRAINING_ROWS = 65_536
BLOCK_ROWS = 65_536


class Shorter:
    """The first `dim` coordinates, or the first `dim` principal directions; made length 1 again."""

    def __init__(self, matrix: Floats | None, dim: int) -> None:
        self.matrix = matrix
        self.dim = dim

    @classmethod
    def fit(cls, base: Floats, build: Params, folder: Path) -> Shorter:
        """For `build["shorter"]`: `prefix` or `pca`, to `build["dim"]`; kept in `folder`."""
        dim: int = build["dim"]
        if build["shorter"] == "prefix":
            return cls(None, dim)
        step = max(1, len(base) // TRAINING_ROWS)
        sample = np.asarray(base[::step], dtype=np.float32)
        _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
        matrix = np.ascontiguousarray(directions[:, ::-1][:, :dim], dtype=np.float32)
        np.save(folder / "pca.npy", matrix)
        return cls(matrix, dim)

    @classmethod
    def load(cls, build: Params, folder: Path) -> Shorter:
        path = folder / "pca.npy"
        return cls(np.load(path) if path.is_file() else None, build["dim"])

    def __call__(self, vectors: Floats) -> Floats:
        """(n, dim) of length 1, contiguous, new."""
        short = vectors[:, : self.dim] if self.matrix is None else vectors @ self.matrix
        lengths = np.sqrt(np.einsum("ij,ij->i", short, short))[:, None]
        return np.ascontiguousarray(short / np.maximum(lengths, 1e-12))

    def all(self, base: Floats) -> Floats:
        """Every row of a mapped file, block by block."""
        short = np.empty((len(base), self.dim), dtype=np.float32)
        for start in range(0, len(base), BLOCK_ROWS):
            block = np.asarray(base[start : start + BLOCK_ROWS])
            short[start : start + len(block)] = self(block)
        return short


class Rescorer:
    """Exact inner products of candidates, from the mapped file, by FAISS's native loop."""

    def __init__(self, base: Floats, threads: int) -> None:
        import faiss

        faiss.omp_set_num_threads(threads)
        self._faiss = faiss
        self._base = base
        self._pointer = faiss.swig_ptr(base)

    def __call__(self, queries: Floats, candidates: Ids, k: int) -> Ids:
        """The best `k` of each row of candidates (n, m); -1 is no candidate."""
        faiss = self._faiss
        candidates = np.ascontiguousarray(candidates, dtype=np.int64)
        count, wide = candidates.shape
        products = np.full((count, wide), -np.inf, dtype=np.float32)
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(products),
            faiss.swig_ptr(queries),
            self._pointer,
            faiss.swig_ptr(candidates),
            self._base.shape[1],
            count,
            wide,
        )
        products[candidates < 0] = -np.inf
        if wide > k:
            best = np.argpartition(-products, k - 1, axis=1)[:, :k]
            products = np.take_along_axis(products, best, axis=1)
            candidates = np.take_along_axis(candidates, best, axis=1)
        order = np.argsort(-products, axis=1, kind="stable")
        return np.take_along_axis(candidates, order, axis=1)
