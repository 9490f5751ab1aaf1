"""hnswlib on a prefix or a PCA, then exact rescoring (which hnswlib does not have: `shorter.Rescorer`)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape
from benchmarks.peers.engines.shorter import Rescorer, Shorter

__all__ = ["ENGINE", "HnswlibPrefix"]

WINDOWS = (20, 40, 80, 160, 320, 640)
SHORTLISTS = (20, 50, 100, 200)


class HnswlibPrefix(Engine):
    """HNSW over float32 of fewer dims; `shortlist` candidates rescored with whole vectors."""

    title = "hnswlib on a prefix + rescoring"
    packages = ("hnswlib", "faiss-cpu")
    modules = ("hnswlib", "faiss")
    guide = "hnswlib ALGO_PARAMS.md: M 12-48 (high recall, high dim: more), ef_construction 100-2000"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        short = shape.prefixes(256)[0]
        grid: list[Params] = [{"M": 16, "efC": 200, "shorter": "prefix", "dim": short}]
        if short < shape.dim:
            grid.append({"M": 16, "efC": 200, "shorter": "pca", "dim": short})
        grid.append({"M": 32, "efC": 200, "shorter": "prefix", "dim": short})
        if shape.prefixes(512)[0] != short:
            grid.append({"M": 32, "efC": 200, "shorter": "prefix", "dim": shape.prefixes(512)[0]})
        return grid

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product(WINDOWS, SHORTLISTS)
        return [{"ef": ef, "shortlist": keep} for ef, keep in grid if keep <= ef]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import hnswlib

        short = Shorter.fit(base, build, folder).all(base)
        index = hnswlib.Index(space="ip", dim=build["dim"])
        index.init_index(max_elements=len(base), ef_construction=build["efC"], M=build["M"], random_seed=1)
        index.set_num_threads(threads)
        index.add_items(short, np.arange(len(base)))
        index.save_index(str(folder / "index.hnsw"))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=build["dim"])
        self._index.load_index(str(folder / "index.hnsw"))
        self._index.set_num_threads(threads)
        self._threads = threads
        self._shorter = Shorter.load(build, folder)
        self._rescore = Rescorer(base, threads)

    def configure(self, search: Params) -> None:
        self._index.set_ef(search["ef"])
        self._shortlist: int = search["shortlist"]

    def one(self, query: Floats, k: int) -> Ids:
        row: Ids = self.batch(query[None], k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        short = self._shorter(queries)
        candidates, _ = self._index.knn_query(short, k=self._shortlist, num_threads=self._threads)
        return self._rescore(queries, candidates, k)


ENGINE = HnswlibPrefix
