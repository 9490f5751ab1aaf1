"""What a plan costs, for comparing plans: bytes that one query moves, then operations.

The first stage reads its codes from end to end. Later stages touch candidates here and there, and a processor
fetches whole cache lines of 64 bytes: a candidate's scale of 4 bytes costs 64. ``kukla.cost`` counts the
bytes that are needed; here, those that are moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kukla.cost import NORM_BYTES, bytes_per_row
from kukla.nesting import Nesting
from kukla.plan import Plan, Stage
from kukla.precision import Precision

__all__ = ["Price", "price"]

LINE = 64


@dataclass(frozen=True, slots=True, order=True)
class Price:
    """Bytes moved and operations of one query; ordered by bytes, then operations."""

    bytes_moved: int
    operations: int


def price(plan: Plan, nesting: Nesting, *, documents: int, k: int, cosine: bool) -> Price:
    """The price of one query over ``documents`` vectors."""
    moved = operations = 0.0
    scored = documents
    for number, stage in enumerate(plan.stages):
        if number == 0:
            each: float = bytes_per_row(stage, nesting, cosine=cosine)
        else:
            each = sum(_touched(size) for size in _pieces(stage, nesting, cosine))
        moved += scored * each
        operations += scored * (-(-stage.dim // 64) if stage.precision is Precision.BINARY else stage.dim)
        scored = min(stage.kept(k), scored)
    return Price(round(moved), round(operations))


def _pieces(stage: Stage, nesting: Nesting, cosine: bool) -> list[int]:
    """Bytes of one document in each of the arrays that a stage reads."""
    precision = stage.precision
    if precision.is_float:
        sizes = [precision.bytes_for(stage.dim)]
    else:
        shells = [high - low for low, high in nesting.shells_of(stage.dim)]
        sizes = [-(-width * precision.bits // 8) for width in shells]
        if precision is Precision.INT8:
            sizes += [4] * len(shells)  # scales lie in arrays of their own
    needs_norm = cosine and stage.dim < nesting.full and precision is not Precision.BINARY
    return [*sizes, NORM_BYTES] if needs_norm else sizes


def _touched(size: int) -> float:
    """Bytes of the cache lines that a row of ``size`` bytes lies in, on average over the rows of an array."""
    return LINE + size - math.gcd(size, LINE)
