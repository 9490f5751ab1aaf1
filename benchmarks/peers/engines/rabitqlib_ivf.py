"""RaBitQ-Library, by the method's authors: IVF, one-bit filter in FastScan layout, extra bits or raw vectors.

Its README clusters by QGKMeans, which is what is used here; 4 bits, 7 bits, and 32 (raw vectors, reranked).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape, power_of_two

__all__ = ["ENGINE", "RabitqlibIvf"]

PROBES = (4, 8, 16, 32, 64, 128, 256, 512)


class RabitqlibIvf(Engine):
    """Whole vectors: it takes no prefix."""

    title = "RaBitQ-Library IVF"
    packages = ("rabitqlib",)
    modules = ("rabitqlib",)
    guide = "RaBitQ-Library docs/index/ivf.md and clustering.md; 4 to 16 roots of n clusters"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        nlist = power_of_two(4 * shape.rows**0.5)
        return [
            {"nlist": nlist, "bits": 7},
            {"nlist": nlist, "bits": 32},
            {"nlist": nlist, "bits": 4},
            {"nlist": nlist // 2, "bits": 7},
        ]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        return [{"nprobe": nprobe} for nprobe in PROBES if nprobe <= build["nlist"]]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from rabitqlib import IvfIndex, QGKMeans

        rows = np.ascontiguousarray(base)
        dim = base.shape[1]
        clusters = QGKMeans(dim, build["nlist"], num_threads=threads, spherical=True)
        clusters.train(rows)
        index = IvfIndex(
            dim=dim, max_elements=len(rows), num_clusters=build["nlist"], nbits=build["bits"], metric="ip"
        )
        index.build(rows, clusters.centroids, clusters.assignments, num_threads=threads)
        index.save(str(folder / "index.rabitq"))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from rabitqlib import IvfIndex

        self._index = IvfIndex.load(str(folder / "index.rabitq"))
        self._threads = threads
        self._raw = base.size * 4 if build["bits"] == 32 else 0

    def configure(self, search: Params) -> None:
        self._nprobe: int = search["nprobe"]

    def one(self, query: Floats, k: int) -> Ids:
        row: Ids = self._rows(self._index.search(query[None], k, self._nprobe)[0])[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        return self._rows(self._index.search(queries, k, self._nprobe, num_threads=self._threads)[0])

    @staticmethod
    def _rows(found: np.ndarray) -> Ids:
        """Missing results are the largest uint32 there."""
        rows = found.astype(np.int64)
        rows[rows == 2**32 - 1] = -1
        return rows

    def full_vectors(self) -> int:
        return self._raw


ENGINE = RabitqlibIvf
