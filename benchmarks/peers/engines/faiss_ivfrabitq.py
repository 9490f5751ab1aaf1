"""FAISS IVF + RaBitQ codes (arXiv:2405.12497; FastScan layout) + refining.

One bit a dim after a random rotation, or several (`nb_bits`); the query is quantised to `qb` bits (0: float).
"""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.peers.engines.base import Params, Shape, power_of_two
from benchmarks.peers.engines.faiss_common import FaissEngine, refined, shortened

__all__ = ["ENGINE", "FaissIvfRabitq"]

PROBES = (8, 16, 32, 64, 128, 256)
FACTORS = (3, 6, 12, 25, 50)


class FaissIvfRabitq(FaissEngine):
    """IVF{nlist},RaBitQfs on all dims or a prefix, refined."""

    title = "FAISS IVF-RaBitQ FastScan + refine"
    guide = "faiss index_factory: IVF{n},RaBitQfs[bits]; arXiv:2405.12497 section 5"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        nlist = power_of_two(4 * shape.rows**0.5)
        grid: list[Params] = [
            {"nlist": nlist, "shorter": "prefix", "dim": shape.dim, "bits": 1, "refine": "Flat"},
            {"nlist": nlist, "shorter": "prefix", "dim": shape.dim, "bits": 4, "refine": "none"},
        ]
        for dim in shape.prefixes(512):
            if dim < shape.dim:
                grid.append({"nlist": nlist, "shorter": "prefix", "dim": dim, "bits": 1, "refine": "Flat"})
                grid.append({"nlist": nlist, "shorter": "pca", "dim": dim, "bits": 1, "refine": "Flat"})
        return grid

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        probes = [nprobe for nprobe in PROBES if nprobe <= build["nlist"]]
        if build["refine"] == "none":
            return [{"nprobe": nprobe, "qb": qb} for nprobe, qb in product(probes, (8,))]
        grid = product(probes, FACTORS)
        return [{"nprobe": nprobe, "k_factor": factor, "qb": 8} for nprobe, factor in grid]

    def make(self, dim: int, rows: int, build: Params) -> Any:
        import faiss

        short: int = build["dim"]
        bits = "" if build["bits"] == 1 else str(build["bits"])
        index = faiss.index_factory(short, f"IVF{build['nlist']},RaBitQfs{bits}", faiss.METRIC_INNER_PRODUCT)
        rotation = faiss.RandomRotationMatrix(short, short)
        rotated = faiss.IndexPreTransform(rotation, index)
        for kept in (rotation, index):
            kept.this.disown()
        rotated.own_fields = True
        return refined(shortened(rotated, dim, build), dim, build["refine"])

    def configure(self, search: Params) -> None:
        import faiss

        self._nprobe: int = search["nprobe"]
        inner = faiss.IVFRaBitQSearchParameters()
        inner.nprobe, inner.qb = self._nprobe, search["qb"]
        rotated = faiss.SearchParametersPreTransform(index_params=inner)
        self._nested_params(rotated, search.get("k_factor"))

    def bytes_read(self) -> float:
        """Centroids, the codes of probed lists if lists were equally long, and what is refined."""
        short, nlist, bits = self._build["dim"], self._build["nlist"], self._build["bits"]
        codes = self._nprobe / nlist * self._rows * (short * bits / 8 + 8)
        return float(nlist * short * 4 + codes + self._refine_bytes(10))


ENGINE = FaissIvfRabitq
