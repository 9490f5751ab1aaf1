"""usearch on a prefix or a PCA in float16 or int8, then exact rescoring (`shorter.Rescorer`)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape
from benchmarks.peers.engines.shorter import Rescorer, Shorter

__all__ = ["ENGINE", "UsearchPrefix"]

WINDOWS = (32, 64, 128, 256, 512)
SHORTLISTS = (20, 50, 100, 200)


class UsearchPrefix(Engine):
    """HNSW over fewer dims; `shortlist` candidates rescored with whole vectors."""

    title = "usearch on a prefix + rescoring"
    packages = ("usearch", "faiss-cpu")
    modules = ("usearch.index", "faiss")
    guide = "usearch docs, benchmarks: connectivity 16, expansion_add 128, expansion_search 64; f16 and i8"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        short = shape.prefixes(256)[0]
        grid: list[Params] = [
            {"M": 16, "efC": 128, "dtype": "f16", "shorter": "prefix", "dim": short},
            {"M": 16, "efC": 128, "dtype": "i8", "shorter": "prefix", "dim": short},
            {"M": 32, "efC": 256, "dtype": "f16", "shorter": "prefix", "dim": shape.prefixes(512)[0]},
        ]
        if short < shape.dim:
            grid.insert(1, {"M": 16, "efC": 128, "dtype": "f16", "shorter": "pca", "dim": short})
        return grid

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product(WINDOWS, SHORTLISTS)
        return [{"ef": ef, "shortlist": keep} for ef, keep in grid if keep <= ef]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        index = self._make(build)
        short = Shorter.fit(base, build, folder).all(base)
        index.add(np.arange(len(base)), short, threads=threads)
        index.save(str(folder / "index.usearch"))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        self._index = self._make(build)
        self._index.load(str(folder / "index.usearch"))
        self._threads = threads
        self._shorter = Shorter.load(build, folder)
        self._rescore = Rescorer(base, threads)

    @staticmethod
    def _make(build: Params):  # type: ignore[no-untyped-def]
        from usearch.index import Index

        return Index(
            ndim=build["dim"],
            metric="ip",
            dtype=build["dtype"],
            connectivity=build["M"],
            expansion_add=build["efC"],
        )

    def configure(self, search: Params) -> None:
        self._index.expansion_search = search["ef"]
        self._shortlist: int = search["shortlist"]

    def one(self, query: Floats, k: int) -> Ids:
        found = self._index.search(self._shorter(query[None])[0], self._shortlist, threads=1)
        row: Ids = self._rescore(query[None], found.keys[None].astype(np.int64), k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        found = self._index.search(self._shorter(queries), self._shortlist, threads=self._threads)
        candidates = found.keys.astype(np.int64)
        candidates[np.arange(candidates.shape[1])[None] >= found.counts[:, None]] = -1
        return self._rescore(queries, candidates, k)


ENGINE = UsearchPrefix
