"""FAISS IVF + 4-bit product quantisation in registers (FastScan) + refining.

The guide: nlist from 4 to 16 times the root of n, PQ with 4 bits and 2 dims a code ("fs"), refining with
scalar-quantised or whole vectors; nprobe and k_factor are then swept together. From a million vectors on it
has more lists, which are chosen by an HNSW graph (`coarse`).
"""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.peers.engines.base import Params, Shape, power_of_two
from benchmarks.peers.engines.faiss_common import FaissEngine, refined, shortened

__all__ = ["ENGINE", "FaissIvfPq"]

PROBES = (4, 8, 16, 32, 64, 128, 256)
FACTORS = (3, 6, 12, 25, 50)


class FaissIvfPq(FaissEngine):
    """IVF{nlist},PQ{dim/2}x4fs on a prefix or a PCA, refined."""

    title = "FAISS IVF-PQ FastScan + refine"
    guide = (
        "faiss wiki: Guidelines to choose an index; Fast accumulation of PQ and AQ codes (FastScan); "
        "How to make Faiss run faster"
    )

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        nlist = power_of_two(4 * shape.rows**0.5)
        grid: list[Params] = []
        for dim, refine in zip(shape.prefixes(256, 512), ("Flat", "Flat"), strict=False):
            grid.append({"nlist": nlist, "shorter": "prefix", "dim": dim, "refine": refine})
        short = shape.prefixes(256)[0]
        if short < shape.dim:
            grid.append({"nlist": nlist, "shorter": "pca", "dim": short, "refine": "Flat"})
        grid.append({"nlist": nlist, "shorter": "prefix", "dim": short, "refine": "SQ8"})
        grid.append({"nlist": nlist, "shorter": "prefix", "dim": grid[-2]["dim"], "refine": "SQfp16"})
        grid.append({"nlist": nlist // 2, "shorter": "prefix", "dim": short, "refine": "Flat"})
        if shape.dim <= 1024:
            grid.append({"nlist": nlist, "shorter": "prefix", "dim": shape.dim, "refine": "Flat"})
        if shape.rows >= 1_000_000:
            grid.append({**grid[0], "nlist": 4 * nlist, "coarse": "HNSW32"})
        return [build for at, build in enumerate(grid) if build not in grid[:at]]

    @classmethod
    def quick_builds(cls, shape: Shape) -> list[Params]:
        """Codes of the 256-prefix, and of the 512-prefix, which is what reaches .99.

        Above 1024 dims the shorter codes were fastest with an int8 store, which is a quarter to read.
        """
        refine = "SQ8" if shape.dim > 1024 else "Flat"
        common = {"nlist": power_of_two(4 * shape.rows**0.5), "shorter": "prefix"}
        dims = dict.fromkeys(min(dim, shape.dim) for dim in (256, 512))
        return [{**common, "dim": dim, "refine": refine if dim == 256 else "Flat"} for dim in dims]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product([nprobe for nprobe in PROBES if nprobe <= build["nlist"]], FACTORS)
        return [{"nprobe": nprobe, "k_factor": factor} for nprobe, factor in grid]

    def make(self, dim: int, rows: int, build: Params) -> Any:
        import faiss

        short: int = build["dim"]
        coarse = f"_{build['coarse']}" if "coarse" in build else ""
        name = f"IVF{build['nlist']}{coarse},PQ{short // 2}x4fs"
        index = faiss.index_factory(short, name, faiss.METRIC_INNER_PRODUCT)
        return refined(shortened(index, dim, build), dim, build["refine"])

    def configure(self, search: Params) -> None:
        import faiss

        self._nprobe: int = search["nprobe"]
        self._nested_params(faiss.SearchParametersIVF(nprobe=self._nprobe), search["k_factor"])

    def bytes_read(self) -> float | None:
        """Centroids, the codes of probed lists if lists were equally long, and what is refined."""
        if "coarse" in self._build:
            return None  # what a graph reads depends on the query
        short, nlist = self._build["dim"], self._build["nlist"]
        codes = self._nprobe / nlist * self._rows * short / 4
        return float(nlist * short * 4 + codes + self._refine_bytes(10))


ENGINE = FaissIvfPq
