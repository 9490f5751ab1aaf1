"""FAISS HNSW on a prefix or a PCA, stored in int8, + refining. M and efConstruction as its wiki suggests."""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.peers.engines.base import Params, Shape
from benchmarks.peers.engines.faiss_common import FaissEngine, refined, shortened

__all__ = ["ENGINE", "FaissHnsw"]

WINDOWS = (16, 32, 64, 128, 256, 512)
FACTORS = (3, 6, 12, 25)


class FaissHnsw(FaissEngine):
    """HNSW{M},SQ8 on a prefix, refined."""

    title = "FAISS HNSW on a prefix + refine"
    guide = "faiss wiki: Guidelines to choose an index (HNSW M 16-64); Indexing 1M vectors"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        short, longer = shape.prefixes(256)[0], shape.prefixes(512)[0]
        common: Params = {"M": 32, "efC": 80, "shorter": "prefix", "store": "SQ8", "refine": "Flat"}
        grid: list[Params] = [
            {**common, "dim": short},
            {**common, "shorter": "pca", "dim": short},
            {**common, "M": 16, "efC": 200, "dim": short, "refine": "SQ8"},
            {**common, "dim": longer},
        ]
        if short == shape.dim:
            grid = [build for build in grid if build["shorter"] == "prefix"]
        return [build for at, build in enumerate(grid) if build not in grid[:at]]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product(WINDOWS, FACTORS)
        return [{"ef": ef, "k_factor": factor} for ef, factor in grid if factor * 10 <= 2 * ef]

    def make(self, dim: int, rows: int, build: Params) -> Any:
        import faiss

        short: int = build["dim"]
        name = f"HNSW{build['M']},{build['store']}"
        index = faiss.index_factory(short, name, faiss.METRIC_INNER_PRODUCT)
        faiss.downcast_index(index).hnsw.efConstruction = build["efC"]
        return refined(shortened(index, dim, build), dim, build["refine"])

    def configure(self, search: Params) -> None:
        import faiss

        self._nested_params(faiss.SearchParametersHNSW(efSearch=search["ef"]), search["k_factor"])


ENGINE = FaissHnsw
