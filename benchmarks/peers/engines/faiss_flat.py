"""FAISS IndexFlatIP: the exact scan that most people compare with."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.engines.base import Params, Shape
from benchmarks.peers.engines.faiss_common import FaissEngine

__all__ = ["ENGINE", "FaissFlat"]


class FaissFlat(FaissEngine):
    """Whole float32 vectors, all of them."""

    title = "FAISS Flat (exact)"
    guide = "github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        return [{"refine": "Flat"}]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        return [{}]

    def make(self, dim: int, rows: int, build: Params) -> Any:
        import faiss

        return faiss.IndexFlatIP(dim)

    def configure(self, search: Params) -> None:
        """No parameters."""

    def bytes_read(self) -> float:
        return float(self._rows * self._dim * 4)


ENGINE = FaissFlat
