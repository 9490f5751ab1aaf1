"""Target: what a user asks of a plan, ``recall@10>=0.99``.

The metric, how many results it looks at, and the least mean over queries that is acceptable. Parse and print
are inverse. ``recall`` without judgements is against exact search; with judgements every metric is relative
to what full vectors reach: ``ndcg@10>=0.98`` keeps 98 % of their nDCG.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Real
from typing import Literal, Self, get_args

import numpy as np

from kukla.checks import check_count
from kukla.errors import InputError

__all__ = ["MetricName", "Target"]

MetricName = Literal["recall", "ndcg", "mrr"]

_TARGET = re.compile(r"(?P<metric>[a-z]\w*)@(?P<k>[0-9]{1,9})\s*>=\s*(?P<threshold>[0-9]{0,3}\.?[0-9]{0,40})")
_FORM = "METRIC@K>=SHARE, for instance recall@10>=0.99"


@dataclass(frozen=True, slots=True)
class Target:
    """A metric, its ``k`` and the least mean that is acceptable: a value that can be hashed and printed.

    Parameters
    ----------
    metric : {"recall", "ndcg", "mrr"}
    k : int
    threshold : float
        Above 0 and below 1: no sample proves that nothing is ever lost, for that run the exact plan.

    Raises
    ------
    InputError

    Examples
    --------
    >>> Target.parse("recall@10>=0.99")
    recall@10>=0.99
    >>> Target.parse("recall@10>=0.990").threshold
    0.99
    """

    metric: MetricName
    k: int
    threshold: float

    def __post_init__(self) -> None:
        if self.metric not in get_args(MetricName):
            raise InputError(f"unknown metric {self.metric!r}; allowed: {', '.join(get_args(MetricName))}")
        object.__setattr__(self, "k", check_count(self.k, what="the k of a target", most=10**6))
        received: object = self.threshold  # numpy's numbers are Real too, which mypy does not know
        if isinstance(received, bool) or not isinstance(received, Real) or not 0 < self.threshold < 1:
            raise InputError(
                f"the share of a target must be a number above 0 and below 1, got {self.threshold!r}"
                + ("; to lose nothing at all, run the exact plan" if received == 1 else "")
            )
        object.__setattr__(self, "threshold", float(self.threshold))

    @property
    def name(self) -> str:
        """``recall@10``."""
        return f"{self.metric}@{self.k}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """A target from its text form."""
        if not isinstance(text, str):
            raise InputError(f"a target's text form is a string, got {text!r}")
        match = _TARGET.fullmatch(text.strip())
        if match is None or not any(character.isdigit() for character in match["threshold"]):
            raise InputError(f"cannot read the target {text.strip()!r}; a target is {_FORM}")
        return cls(match["metric"], int(match["k"]), float(match["threshold"]))  # type: ignore[arg-type]

    @classmethod
    def of(cls, target: Target | str) -> Target:
        """A target as it is, or parsed."""
        return target if isinstance(target, Target) else cls.parse(target)

    def __str__(self) -> str:
        return f"{self.name}>={np.format_float_positional(self.threshold, trim='-')}"

    __repr__ = __str__
