"""Intel SVS: a Vamana graph over LeanVec vectors (a learned short form for the walk, a longer one to rank).

LVQ and LeanVec refuse to run on processors of other makers; there, their builds are recorded as failed, and
what remains is SVS's graph over a float16 prefix, rescored exactly (`shorter.Rescorer`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape
from benchmarks.peers.engines.shorter import Rescorer, Shorter

__all__ = ["ENGINE", "SvsVamana"]

WINDOWS = (10, 20, 40, 80, 160, 320)
SHORTLISTS = (20, 50, 100)
TRIAL_ROWS = 1000


class SvsVamana(Engine):
    """Vamana, R32 or R64; LeanVec with 4 or 8 bits for the walk and 8 to rank; or float16."""

    title = "SVS Vamana (LeanVec, LVQ or float16)"
    packages = ("scalable-vs", "faiss-cpu")
    modules = ("svs", "faiss")
    guide = "SVS docs: How to choose graph building and compression parameters; LeanVec"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        short = shape.prefixes(256)[0]
        if short == shape.dim:
            short = shape.dim // 2
        graph = {"R": 32, "window": 100, "alpha": 0.95}
        dense = {"R": 64, "window": 200, "alpha": 0.95}
        prefix = {"store": "float16", "shorter": "prefix", "dim": shape.prefixes(256)[0]}
        grid: list[Params] = [
            {**graph, "store": "leanvec4x8", "dim": short},
            {**graph, **prefix},
            {**graph, "store": "leanvec8x8", "dim": short},
            {**dense, "store": "leanvec4x8", "dim": short},
            {**graph, "store": "lvq4x8", "dim": shape.dim},
            {**dense, **prefix},
        ]
        if shape.prefixes(256)[0] < shape.dim:
            grid.append({**graph, **prefix, "shorter": "pca"})
        return grid

    @classmethod
    def quick_builds(cls, shape: Shape) -> list[Params]:
        """LeanVec, which needs a processor of Intel's, and the graph over a float16 prefix."""
        return cls.builds(shape)[:2]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        if build["store"] != "float16":
            return [{"window": window} for window in WINDOWS]
        return [
            {"window": window, "shortlist": keep}
            for window in WINDOWS
            for keep in SHORTLISTS
            if keep <= window
        ]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import svs

        params = svs.VamanaBuildParameters(
            alpha=build["alpha"], graph_max_degree=build["R"], window_size=build["window"]
        )
        data: Any
        if build["store"] == "float16":
            data = Shorter.fit(base, build, folder).all(base).astype(np.float16)
        else:
            # A few rows first: on other makers' processors SVS ends the process, before gigabytes are copied.
            trial = svs.VamanaBuildParameters(graph_max_degree=16, window_size=20)
            svs.Vamana.build(trial, self._written(base[:TRIAL_ROWS], folder, build), svs.DistanceType.MIP)
            data = self._written(base, folder, build)
        index = svs.Vamana.build(params, data, svs.DistanceType.MIP, num_threads=threads)
        index.save(str(folder / "config"), str(folder / "graph"), str(folder / "data"))
        (folder / "base.fvecs").unlink(missing_ok=True)

    def _written(self, rows: Floats, folder: Path, build: Params) -> Any:
        """A loader of these rows, from a file in its own format, which is removed after the build."""
        import svs

        svs.write_vecs(np.ascontiguousarray(rows), str(folder / "base.fvecs"))
        return self._compressed(svs.VectorDataLoader(str(folder / "base.fvecs"), svs.float32), build)

    @staticmethod
    def _compressed(source: Any, build: Params, *, stored: bool = False) -> Any:
        """A LeanVec or LVQ loader, of vectors or of what an index has saved."""
        import svs

        if build["store"].startswith("lvq"):
            return svs.LVQLoader(source, padding=32) if stored else svs.LVQLoader(source, 4, 8, 32)
        if stored:
            return svs.LeanVecLoader(source)
        first = svs.LeanVecKind.lvq4 if build["store"] == "leanvec4x8" else svs.LeanVecKind.lvq8
        return svs.LeanVecLoader(
            source, build["dim"], primary_kind=first, secondary_kind=svs.LeanVecKind.lvq8
        )

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import svs

        data: Any
        if build["store"] == "float16":
            data = svs.VectorDataLoader(str(folder / "data"), svs.float16)
        else:
            data = self._compressed(str(folder / "data"), build, stored=True)
        graph = svs.GraphLoader(str(folder / "graph"))
        self._index = svs.Vamana(
            str(folder / "config"), graph, data, svs.DistanceType.MIP, num_threads=threads
        )
        self._rescore = Rescorer(base, threads) if build["store"] == "float16" else None
        self._shorter = Shorter.load(build, folder) if self._rescore else None

    def configure(self, search: Params) -> None:
        self._index.search_window_size = search["window"]
        self._shortlist: int = search.get("shortlist", 0)

    def one(self, query: Floats, k: int) -> Ids:
        row: Ids = self.batch(query[None], k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        if self._rescore is None or self._shorter is None:
            found: Ids = self._index.search(queries, k)[0].astype(np.int64)
            return found
        candidates, _ = self._index.search(self._shorter(queries), self._shortlist)
        return self._rescore(queries, candidates.astype(np.int64), k)


ENGINE = SvsVamana
