"""zvec IVF with RaBitQ codes: 7 bits as it proposes, or fewer with its refiner."""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.peers.engines.base import Params, Shape, power_of_two
from benchmarks.peers.engines.zvec_common import ZvecEngine

__all__ = ["ENGINE", "ZvecIvfRabitq"]

PROBES = (8, 16, 32, 64, 128, 256)


class ZvecIvfRabitq(ZvecEngine):
    """zvec indexes whole vectors: it takes no prefix."""

    title = "zvec IVF-RaBitQ"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        nlist = power_of_two(4 * shape.rows**0.5)
        return [
            {"nlist": nlist, "bits": 7},
            {"nlist": nlist, "bits": 4},
            {"nlist": nlist // 2, "bits": 7},
        ]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        grid = product([nprobe for nprobe in PROBES if nprobe <= build["nlist"]], (False, True))
        return [{"nprobe": nprobe, "refine": refine} for nprobe, refine in grid]

    def index_param(self, build: Params) -> Any:
        import zvec

        return zvec.IvfRabitqIndexParam(
            metric_type=zvec.MetricType.IP, nlist=build["nlist"], total_bits=build["bits"]
        )

    def configure(self, search: Params) -> None:
        import zvec

        self._param = zvec.IvfRabitqQueryParam(
            nprobe=search["nprobe"], is_using_refiner=search["refine"], scale_factor=5.0
        )


ENGINE = ZvecIvfRabitq
