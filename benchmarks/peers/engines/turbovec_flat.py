"""turbovec: TurboQuant codes of 2 or 4 bits, scanned whole; optionally rescored (`shorter.Rescorer`).

It has neither lists nor a graph and says so; every query reads every code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape
from benchmarks.peers.engines.shorter import Rescorer

__all__ = ["ENGINE", "TurbovecFlat"]

CALIBRATION_ROWS = 4096
ADD_ROWS = 65_536


class TurbovecFlat(Engine):
    """Calibrated, as its guide proposes where coordinates drift; scored as stored or rescored."""

    title = "turbovec"
    packages = ("turbovec", "faiss-cpu")
    modules = ("turbovec", "faiss")
    guide = "turbovec docs/how-it-works.md, docs/api.md"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        return [{"bits": 4, "calibrate": True}, {"bits": 2, "calibrate": True}]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        return [{"shortlist": shortlist} for shortlist in (0, 20, 50, 100, 200)]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from turbovec import TurboQuantIndex

        index = TurboQuantIndex(dim=base.shape[1], bit_width=build["bits"])
        if build["calibrate"]:
            index.calibrate(np.ascontiguousarray(base[:: max(1, len(base) // CALIBRATION_ROWS)]))
        for start in range(0, len(base), ADD_ROWS):
            index.add(np.ascontiguousarray(base[start : start + ADD_ROWS]))
        index.prepare()
        index.write(str(folder / "index.tv"))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from turbovec import TurboQuantIndex

        self._index = TurboQuantIndex.load(str(folder / "index.tv"))
        self._index.prepare()
        self._plane_bytes = base.size / 8
        self._dim = base.shape[1]
        self._rescore = Rescorer(base, threads)

    def configure(self, search: Params) -> None:
        self._shortlist: int = search["shortlist"]

    def one(self, query: Floats, k: int) -> Ids:
        row: Ids = self.batch(query[None], k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        if not self._shortlist:
            found: Ids = self._index.search(queries, k)[1]
            return found
        return self._rescore(queries, self._index.search(queries, self._shortlist)[1], k)

    def bytes_read(self) -> float:
        """One bit plane, which its staged search scans first, and what is rescored here: a lower bound."""
        return float(self._plane_bytes + self._shortlist * self._dim * 4)


ENGINE = TurbovecFlat
