"""The verdict, and the rule that gives it. ``docs/profile.md`` tells where the thresholds come from.

1. *Not embeddings at all*: the vectors are their own noise (:attr:`Structure.is_noise`).
2. *Order*: recall of the prefix less the mean recall of random coordinates, averaged over 1/2, 1/4, 1/8 and
   1/16 of the dims. At least .01, and the prefix ahead of the suffix as well: the order means something.
   Otherwise *not nested*.
3. *Depth*: recall of the d-prefix less that of d random coordinates *of the 4d-prefix*, averaged over d = 1/8
   and 1/16 of the dims. At least .02: there is a doll inside the doll, *nested*. Otherwise only the
   outermost prefix is special, *weakly nested*.

A difference is there when its mean reaches the threshold and its whole interval is above 0 (order) or above
the threshold (depth). It is not when its mean falls short and its interval ends below twice the threshold.
Otherwise the sample is too small for recall to tell, or the difference too near the line. Then the verdict is
*leaning*, and the centred energy per coordinate, which a few dozen vectors fix to a few percent, says which
way: at least 1.05 times the average for order, 1.15 times that of the 4d-prefix for depth, and more
than 99 of 100 random orders have. Energy never overrules a recall that has decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kukla.profile.statistics import Contrast
from kukla.profile.structure import Density, Structure

__all__ = ["DEPTH_FRACTIONS", "INSIDE", "ORDER_FRACTIONS", "Evidence", "Nested", "Verdict", "judge_nesting"]

ORDER_FRACTIONS = (2, 4, 8, 16)
DEPTH_FRACTIONS = (8, 16)
INSIDE = 4
ORDER_LEAST, ORDER_DENSITY = 0.01, 1.05
DEPTH_LEAST, DEPTH_DENSITY = 0.02, 1.15


class Nested(StrEnum):
    """What the vectors are, in the words of the report."""

    NESTED = "nested"
    WEAKLY = "weakly nested"
    NOT = "not nested"
    NOT_EMBEDDINGS = "not embeddings at all"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rule looks at.

    Parameters
    ----------
    order, depth : Contrast
        See the module.
    over_suffix : Contrast
        Recall of the prefix less that of the suffix, at the dims of ``order``; ``p`` is that of ``order``.
    order_density, depth_density : Density
        Centred energy per coordinate, prefix over whole and over 4d-prefix, averaged likewise.
    """

    order: Contrast
    depth: Contrast
    over_suffix: Contrast
    order_density: Density
    depth_density: Density


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word, how sure it is, and why.

    ``leaning`` says that the sample is too small to tell this word from ``instead_of``.
    """

    word: Nested
    leaning: bool
    instead_of: tuple[Nested, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if not self.leaning:
            return str(self.word)
        return f"{self.word} (leaning: this sample cannot rule out {' or '.join(self.instead_of)})"


def judge_nesting(evidence: Evidence, structure: Structure) -> Verdict:
    """Apply the rule above."""
    wider = structure.spread / structure.spread_noise
    seen = (
        f"nearest neighbours have a centred cosine of {structure.nearest:.3f}, those of noise "
        f"{structure.nearest_noise:.3f}; cosines spread {wider:.2f} times as wide as noise's"
    )
    if structure.is_noise:
        return Verdict(Nested.NOT_EMBEDDINGS, False, (), (seen,))
    has_order, order_decided = _decide(
        evidence.order, ORDER_LEAST, floor=0.0, energy_says=_says(evidence.order_density, ORDER_DENSITY)
    )
    ahead = evidence.over_suffix.mean > 0
    is_deep, depth_decided = _decide(
        evidence.depth,
        DEPTH_LEAST,
        floor=DEPTH_LEAST,
        energy_says=_says(evidence.depth_density, DEPTH_DENSITY),
    )
    reasons = [
        f"prefix less random coordinates: {evidence.order} recall (at least +{ORDER_LEAST:.2f} to count); "
        f"{_orders(evidence.order)}",
        f"prefix less suffix: {evidence.over_suffix}",
        f"short prefixes less random coordinates of a prefix {INSIDE} times as long: {evidence.depth} "
        f"(at least +{DEPTH_LEAST:.2f} for nested)",
    ]
    if not order_decided or (has_order and not depth_decided):
        reasons.append(
            "recall alone cannot tell on this sample; centred energy per coordinate is "
            f"{evidence.order_density.ratio:.2f} times the average in prefixes (order from {ORDER_DENSITY}), "
            f"{evidence.depth_density.ratio:.2f} times that of the longer prefix in short ones (nested from "
            f"{DEPTH_DENSITY})"
        )
    reasons.append(seen)
    if not has_order or not ahead:
        other = (Nested.WEAKLY,) if not order_decided else ()
        return Verdict(Nested.NOT, bool(other), other, tuple(reasons))
    word, beside = (Nested.NESTED, Nested.WEAKLY) if is_deep else (Nested.WEAKLY, Nested.NESTED)
    others = [beside] if not depth_decided else []
    if not order_decided:
        others.append(Nested.NOT)
    return Verdict(word, bool(others), tuple(others), tuple(reasons))


def _says(density: Density, least: float) -> bool:
    return density.ratio >= max(least, density.chance)


def _decide(contrast: Contrast, least: float, *, floor: float, energy_says: bool) -> tuple[bool, bool]:
    """Whether the difference is there, and whether recall alone could tell."""
    if contrast.mean >= least and contrast.low > floor:
        return True, True
    if contrast.mean < least and contrast.high < 2 * least:
        return False, True
    return energy_says, False


def _orders(contrast: Contrast) -> str:
    if contrast.p < 0.06:
        return "no random order did as well"
    return f"{contrast.p:.0%} of random orders did as well"
