"""A plan in words, and ratios as people say them."""

from __future__ import annotations

from dataclasses import dataclass

from kukla.cost import PlanCost, StageCost, format_bytes
from kukla.precision import Precision

__all__ = ["Step", "gain", "milliseconds", "plan_sentence", "plan_steps", "times"]

_HOW = {
    Precision.BINARY: "as sign bits",
    Precision.PQ4: "by codes in lists",
    Precision.INT8: "in int8",
    Precision.FLOAT16: "in float16",
    Precision.FLOAT32: "in float32",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One stage in words; ``share`` of the vector and ``bits`` a coordinate say how much it looks at."""

    title: str
    text: str
    share: float
    bits: int
    scored: int
    kept: int


def plan_steps(cost: PlanCost, full: int) -> list[Step]:
    """Each stage of a plan in words."""
    steps = []
    for number, stage in enumerate(cost.stages):
        verb = "Scan" if number == 0 else "Rescore on" if number < len(cost.stages) - 1 else "Rank on"
        last = number == len(cost.stages) - 1
        who = f"{_which(stage)} {stage.scored:,} documents" if number == 0 else f"those {stage.scored:,}"
        keep = f"return the best {stage.kept:,}" if last else f"keep the best {stage.kept:,}"
        read = f"{stage.bytes_per_vector:,} bytes each, {format_bytes(stage.bytes_read)} a query"
        steps.append(
            Step(
                title=f"{verb} {_dims(stage, full)} {_HOW[stage.stage.precision]}",
                text=f"{who[0].upper()}{who[1:]}: {read}; {keep}.",
                share=stage.stage.dim / full,
                bits=stage.stage.precision.bits,
                scored=stage.scored,
                kept=stage.kept,
            )
        )
    return steps


def plan_sentence(cost: PlanCost, full: int) -> str:
    """A plan as one sentence: ``Scan 128 of 512 dims in int8 for all 200,000 documents, keep 200; ...``."""
    parts = []
    for number, stage in enumerate(cost.stages):
        what = f"{_dims(stage, full)} {_HOW[stage.stage.precision]}"
        last = number == len(cost.stages) - 1
        keep = f"return {stage.kept:,}" if last else f"keep {stage.kept:,}"
        if number == 0:
            parts.append(f"Scan {what} for {_which(stage)} {stage.scored:,} documents, {keep}")
        else:
            parts.append(f"{'rank' if last else 'rescore'} those on {what}, {keep}")
    return "; ".join(parts) + "."


def _which(stage: StageCost) -> str:
    return "the most promising" if stage.stage.precision is Precision.PQ4 else "all"


def _dims(stage: StageCost, full: int) -> str:
    dim = stage.stage.dim
    return f"all {full:,} dims" if dim == full else f"{dim:,} of {full:,} dims"


def times(ratio: float) -> str:
    """``14×``, ``3.8×``, ``0.79×``: two digits."""
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2f}×"


def gain(ratio: float, better: str, worse: str) -> tuple[str, str]:
    """How many times, and which word is true: ``("3.8×", "less")``, or ``("1.3×", "more")``."""
    return (times(ratio), better) if ratio >= 1 else (times(1 / ratio), worse)


def milliseconds(seconds: float) -> str:
    """``0.46 ms``: three digits."""
    value = seconds * 1e3
    return f"{value:,.0f} ms" if value >= 100 else f"{value:#.3g} ms"
