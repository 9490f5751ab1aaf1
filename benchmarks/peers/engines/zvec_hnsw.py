"""zvec HNSW, int8 or float16 codes, with and without its refiner.

Its `enable_rotate` is not in the grid: with it, version 0.8.0 found nothing (recall@10 .00) by this path.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.peers.engines.base import Params, Shape
from benchmarks.peers.engines.zvec_common import ZvecEngine

__all__ = ["ENGINE", "ZvecHnsw"]

WINDOWS = (20, 40, 80, 160, 320)


class ZvecHnsw(ZvecEngine):
    """zvec indexes whole vectors: it takes no prefix."""

    title = "zvec HNSW"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        return [
            {"m": 16, "efC": 200, "quantize": "INT8"},
            {"m": 32, "efC": 200, "quantize": "INT8"},
            {"m": 16, "efC": 200, "quantize": "FP16"},
        ]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product(WINDOWS, (False, True))
        return [{"ef": ef, "refine": refine} for ef, refine in grid]

    def index_param(self, build: Params) -> Any:
        import zvec

        return zvec.HnswIndexParam(
            metric_type=zvec.MetricType.IP,
            m=build["m"],
            ef_construction=build["efC"],
            quantize_type=zvec.QuantizeType.__members__[build["quantize"]],
        )

    def configure(self, search: Params) -> None:
        import zvec

        self._param = zvec.HnswQueryParam(ef=search["ef"], is_using_refiner=search["refine"])


ENGINE = ZvecHnsw
