"""What a plan costs, for comparing plans: bytes that one query moves, then operations.

The first stage reads its codes from end to end. Later stages touch candidates here and there, and a processor
fetches whole cache lines of 64 bytes: a candidate's scale of 4 bytes costs 64. ``kukla.cost`` counts the
bytes that are needed; here, those that are moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kukla.cost import StageCost
from kukla.nesting import Nesting
from kukla.plan import Plan, Stage
from kukla.precision import Precision

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["Price", "Prices"]

LINE = 64


@dataclass(frozen=True, slots=True, order=True)
class Price:
    """Bytes moved and operations of one query; ordered by bytes, then operations."""

    bytes_moved: int
    operations: int


@dataclass(frozen=True, slots=True)
class _Row:
    """One document in one stage: bytes in a scan, bytes of a candidate, operations."""

    scanned: int
    touched: float
    operations: int


class Prices:
    """Prices of plans of an index for one query of ``k`` results."""

    def __init__(self, index: Index, k: int) -> None:
        self._index, self._k, self._documents = index, k, len(index)
        self._rows: dict[tuple[int, Precision], _Row] = {}
        self._lists: dict[Stage, StageCost] = {}

    def of(self, plan: Plan) -> Price:
        """The price of one query."""
        moved = operations = 0.0
        scored = self._documents
        for number, stage in enumerate(plan.stages):
            if stage.precision is Precision.PQ4:
                cost = self._first(plan)
                moved += cost.bytes_read
                operations += cost.operations
                scored = cost.kept
                continue
            row = self._row(stage)
            moved += scored * (row.touched if number else row.scanned)
            operations += scored * row.operations
            scored = min(stage.kept(self._k), scored)
        return Price(round(moved), round(operations))

    def bytes_per_vector(self, plan: Plan) -> int:
        """Bytes of one document that the first stage scans."""
        if plan.stages[0].precision is Precision.PQ4:
            return -(-self.resident_bytes(plan) // max(1, self._documents))
        return self._row(plan.stages[0]).scanned

    def resident_bytes(self, plan: Plan) -> int:
        """Bytes of all documents that the first stage scans, and so keeps in memory."""
        first = plan.stages[0]
        if first.precision is Precision.PQ4:
            return self._index.explain(Plan([replace(first, keep=None)])).resident_bytes
        return self._documents * self.bytes_per_vector(plan)

    def _first(self, plan: Plan) -> StageCost:
        """The cost of looking into lists, as many as the plan says or as hold what it keeps of them."""
        stage = plan.stages[0]
        if stage not in self._lists:
            self._lists[stage] = self._index.explain(plan, k=self._k).stages[0]
        return self._lists[stage]

    def _row(self, stage: Stage) -> _Row:
        name = stage.dim, stage.precision
        if name not in self._rows:
            alone = self._index.explain(Plan([Stage(*name)]), documents=1)
            pieces = _pieces(stage, self._index.nesting)
            scanned = alone.resident_bytes
            # What is left is the prefix norm, where the index divides by it: in an array of its own, too.
            left = [scanned - sum(pieces)] if scanned > sum(pieces) else []
            touched = sum(_touched(size) for size in (*pieces, *left))
            self._rows[name] = _Row(scanned, touched, alone.operations)
        return self._rows[name]


def _pieces(stage: Stage, nesting: Nesting) -> list[int]:
    """Bytes of one document in each of the arrays of codes and scales that a stage reads."""
    precision = stage.precision
    if precision.is_float:
        return [precision.bytes_for(stage.dim)]
    shells = [high - low for low, high in nesting.shells_of(stage.dim)]
    sizes = [-(-width * precision.bits // 8) for width in shells]
    return [*sizes, *([4] * len(shells) if precision is Precision.INT8 else [])]


def _touched(size: int) -> float:
    """Bytes of the cache lines that a row of ``size`` bytes lies in, on average over the rows of an array."""
    return LINE + size - math.gcd(size, LINE)
