"""What the FAISS engines share: files, threads, refining, and the prefix as one of FAISS's own transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params

__all__ = ["FaissEngine", "refined", "shortened"]

ADD_ROWS = 65_536


def shortened(index: Any, full: int, build: Params) -> Any:
    """`index` over the first `build["dim"]` coordinates of vectors, or over as many principal ones."""
    import faiss

    dim: int = build["dim"]
    if dim == full:
        return index
    if build["shorter"] == "pca":
        transform = faiss.PCAMatrix(full, dim)
    else:
        transform = faiss.RemapDimensionsTransform(full, dim, False)
    whole = faiss.IndexPreTransform(transform, index)
    for kept in (transform, index):
        kept.this.disown()
    whole.own_fields = True
    return whole


def refined(index: Any, full: int, kind: str) -> Any:
    """`index` with FAISS's own second stage: float32 (`Flat`), `SQfp16` or `SQ8` vectors."""
    import faiss

    if kind == "none":
        return index
    store = faiss.index_factory(full, kind, faiss.METRIC_INNER_PRODUCT)
    whole = faiss.IndexRefine(index, store)
    for kept in (index, store):
        kept.this.disown()
    whole.own_fields = whole.own_refine_index = True
    return whole


class FaissEngine(Engine):
    """An index that FAISS writes and reads."""

    packages = ("faiss-cpu",)
    modules = ("faiss",)
    training_rows = 262_144

    def make(self, dim: int, rows: int, build: Params) -> Any:
        """The empty index."""
        raise NotImplementedError

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = self.make(base.shape[1], len(base), build)
        if not index.is_trained:
            step = max(1, len(base) // self.training_rows)
            index.train(np.ascontiguousarray(base[::step]))
        for start in range(0, len(base), ADD_ROWS):
            index.add(np.ascontiguousarray(base[start : start + ADD_ROWS]))
        faiss.write_index(index, str(folder / "index.faiss"))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import faiss

        faiss.omp_set_num_threads(threads)
        self._index = faiss.read_index(str(folder / "index.faiss"))
        self._build = build
        self._rows, self._dim = base.shape
        self._params: Any = None
        self._k_factor = 1.0

    def one(self, query: Floats, k: int) -> Ids:
        found: Ids = self._index.search(query[None], k, params=self._params)[1][0]
        return found

    def batch(self, queries: Floats, k: int) -> Ids:
        found: Ids = self._index.search(queries, k, params=self._params)[1]
        return found

    def full_vectors(self) -> int:
        return self._rows * self._dim * 4 if self._build.get("refine") == "Flat" else 0

    def _nested_params(self, inner: Any, k_factor: float | None) -> None:
        """Parameters for refine > transform > inner, as far as the index has them."""
        import faiss

        params = inner
        if self._build["dim"] != self._dim:
            params = faiss.SearchParametersPreTransform(index_params=params)
        if self._build["refine"] != "none":
            factor = 1.0 if k_factor is None else k_factor
            params = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=params)
        self._params = params
        self._k_factor = k_factor or 1.0

    def _refine_bytes(self, k: int) -> float:
        sizes = {"Flat": 4, "SQfp16": 2, "SQ8": 1, "none": 0}
        return float(self._k_factor * k * self._dim * sizes[self._build["refine"]])
