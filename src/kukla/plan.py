"""Plan: an immutable sequence of stages, cheap to exact.

The text form is ``256:binary@200 > 1536:int8@20 > 1536:float32``: score every document on the sign bits
of its 256-prefix and keep 200, score those in int8 on all 1536 dims and keep 20, score those in float32.
``@200`` keeps 200 candidates; ``@20x`` keeps 20 times ``k``. Parse and print are inverse.

In a partitioned index a first stage ``1536:pq4/64@200`` looks into the 64 lists nearest to the query
(:mod:`kukla.partition`); without ``/64``, into all of them.
The adaptive retrieval of Kusupati et al. (arXiv 2205.13147, section 4.3) is a plan of two float stages.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from kukla.checks import check_count, check_dim
from kukla.errors import InputError, PlanError
from kukla.nesting import Nesting
from kukla.precision import Precision

__all__ = ["Plan", "Stage"]

# Digits are bounded: Python refuses to read integers of thousands of digits with an error of its own.
_STAGE = re.compile(
    r"(?P<dim>[0-9]{1,20}):(?P<precision>\w+)(?:/(?P<probes>[0-9]{1,20}))?(?:@(?P<keep>[0-9]{1,20}(?:\.[0-9]+)?)(?P<times>x)?)?"
)
_FORM = "DIM:PRECISION@KEEP, for instance 256:binary@200 or 256:int8@20x; the last stage has no @KEEP"

MOST_KEPT = 10**12
"""No index holds more; larger numbers are mistakes."""

DEFAULT_OVERSAMPLING = {Precision.INT8: 4.0, Precision.BINARY: 100.0}
"""Candidates per result that the default plan keeps, by the precision of its first stage."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a search: score candidates at (``dim``, ``precision``), keep the best.

    Parameters
    ----------
    dim : int
        The prefix length, renormalised for a cosine index.
    precision : Precision
    keep : int, optional
        How many candidates to keep. ``None`` in the last stage, which keeps ``k``.
    oversampling : float, optional
        Instead of ``keep``: how many candidates to keep for each of the ``k`` results.
    probes : int, optional
        Of ``pq4``: how many lists to look into. ``None``: all.
    """

    dim: int
    precision: Precision
    keep: int | None = None
    oversampling: float | None = None
    probes: int | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "dim", check_dim(self.dim, what="the dim of a stage"))
            object.__setattr__(self, "precision", _precision(self.precision))
            if self.keep is not None:
                object.__setattr__(self, "keep", check_count(self.keep, what="keep", most=MOST_KEPT))
            if self.probes is not None:
                object.__setattr__(self, "probes", check_count(self.probes, what="probes", most=MOST_KEPT))
        except InputError as error:
            raise PlanError(str(error)) from None
        if self.keep is not None and self.oversampling is not None:
            raise PlanError(f"a stage has keep or oversampling, got {self.keep} and {self.oversampling}")
        if self.oversampling is not None:
            object.__setattr__(self, "oversampling", check_oversampling(self.oversampling))
        if self.probes is not None and self.precision is not Precision.PQ4:
            raise PlanError(
                f"only pq4 stages look into lists; {self.precision.value} has no probes, got {self.probes}"
            )

    @property
    def bits_per_vector(self) -> int:
        """What orders stages: later ones look at more bits."""
        return self.dim * self.precision.bits

    def kept(self, k: int) -> int:
        """How many candidates this stage keeps for ``k`` results: never fewer than ``k``."""
        if self.keep is not None:
            return max(self.keep, k)
        if self.oversampling is not None:
            # Rounded first: 1.1 * 100 is 110.00000000000001 in binary, and would keep 111.
            return max(math.ceil(round(self.oversampling * k, 6)), k)
        return k

    @classmethod
    def parse(cls, text: str) -> Stage:
        """A stage from ``256:binary@200``."""
        if not isinstance(text, str):
            raise PlanError(f"a stage's text form is a string, got {text!r}")
        match = _STAGE.fullmatch(text.strip())
        if match is None:
            raise PlanError(f"cannot read the stage {text.strip()!r}; a stage is {_FORM}")
        keep, times = match["keep"], match["times"]
        if keep is not None and times is None and "." in keep:
            raise PlanError(f"@{keep} in {text.strip()!r} must be a whole number, or end in x")
        return cls(
            dim=int(match["dim"]),
            precision=_precision(match["precision"]),
            keep=int(keep) if keep is not None and times is None else None,
            oversampling=float(keep) if keep is not None and times is not None else None,
            probes=None if match["probes"] is None else int(match["probes"]),
        )

    def __str__(self) -> str:
        text = f"{self.dim}:{self.precision.value}"
        if self.probes is not None:
            text += f"/{self.probes}"
        if self.keep is not None:
            return f"{text}@{self.keep}"
        if self.oversampling is not None:
            times = np.format_float_positional(self.oversampling, trim="-")  # shortest, never 1e+15
            return f"{text}@{times}x"
        return text

    __repr__ = __str__


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> Plan:
    """Kept, because a search is often given the same text again."""
    return Plan(Stage.parse(part) for part in text.split(">"))


def _precision(name: str) -> Precision:
    try:
        return Precision.PQ4 if name == Precision.PQ4 else Precision.parse(name)
    except InputError as error:
        raise PlanError(str(error)) from None


def check_oversampling(value: float) -> float:
    """``value`` as a float in ``[1, MOST_KEPT]``, or a ``PlanError``."""
    received: object = value  # numpy's numbers are Real too, which mypy does not know
    if isinstance(received, bool) or not isinstance(received, Real) or not 1 <= value <= MOST_KEPT:
        raise PlanError(f"oversampling must be a number from 1 to {MOST_KEPT}, got {value!r}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages from cheap to exact: a value that can be hashed, compared, printed and parsed.

    Parameters
    ----------
    stages : iterable of Stage
        Each stage but the last says how many candidates it keeps, and looks at fewer bits per vector than
        the stage after it; shortlists do not grow.

    Raises
    ------
    PlanError

    Examples
    --------
    >>> plan = Plan.parse("256:binary@200 > 1536:float32")
    >>> plan.stages[0].keep
    200
    >>> plan
    256:binary@200 > 1536:float32
    """

    stages: tuple[Stage, ...]

    def __init__(self, stages: Iterable[Stage]) -> None:
        received: object = stages
        if isinstance(received, str) or not isinstance(received, Iterable):
            raise PlanError(f"a plan is made of stages, got {stages!r}; Plan.parse reads its text form")
        object.__setattr__(self, "stages", tuple(stages))
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise PlanError(f"a plan is made of stages, got {stage!r}; Plan.parse reads its text form")
        if not self.stages:
            raise PlanError("a plan needs at least one stage, got none")
        *shortlists, last = self.stages
        for stage in shortlists:
            if stage.keep is None and stage.oversampling is None:
                raise PlanError(f"stage {stage} of {self} must say how many it keeps: {_FORM}")
        if last.keep is not None or last.oversampling is not None:
            raise PlanError(f"the last stage of {self} keeps k results and takes no @KEEP")
        for stage in self.stages[1:]:
            if stage.precision is Precision.PQ4:
                raise PlanError(f"stage {stage} of {self}: only a first stage can look into lists")
        for cheap, dear in pairwise(self.stages):
            if dear.bits_per_vector <= cheap.bits_per_vector:
                raise PlanError(
                    f"stage {dear} of {self} looks at {dear.bits_per_vector} bits per vector, not more than "
                    f"the {cheap.bits_per_vector} of the stage before it"
                )
        for wide, narrow in pairwise(shortlists):
            if _grows(wide, narrow):
                raise PlanError(f"stage {narrow} of {self} keeps more than the stage before it hands over")

    @classmethod
    def parse(cls, text: str) -> Plan:
        """A plan from its text form."""
        if not isinstance(text, str):
            raise PlanError(f"a plan's text form is a string, got {text!r}")
        return _parse(text)

    @classmethod
    def of(cls, plan: Plan | str) -> Plan:
        """A plan as it is, or parsed."""
        return plan if isinstance(plan, Plan) else cls.parse(plan)

    @classmethod
    def default(cls, nesting: Nesting, precisions: Sequence[Precision]) -> Plan:
        """The plan of an index that has not been calibrated.

        It takes no risk with what nobody has measured: all dims in int8, four candidates a result, then
        floats. Only where int8 is not kept does it scan sign bits, with a hundred candidates a result.
        """
        if not precisions:
            raise PlanError("a plan needs at least one precision, got none")
        *cheaper, last = sorted(set(precisions), key=lambda precision: precision.bits)
        scan = next((precision for precision in DEFAULT_OVERSAMPLING if precision in cheaper), None)
        final = Stage(nesting.full, last)
        if scan is None:
            return cls([final])
        return cls([Stage(nesting.full, scan, oversampling=DEFAULT_OVERSAMPLING[scan]), final])

    @property
    def dims(self) -> tuple[int, ...]:
        """The prefix length of each stage."""
        return tuple(stage.dim for stage in self.stages)

    def check(self, nesting: Nesting, precisions: Sequence[Precision]) -> None:
        """Raise ``PlanError`` unless an index with this nesting and these precisions can run the plan."""
        for stage in self.stages:
            if stage.precision is Precision.PQ4 and stage.dim != nesting.full:
                raise PlanError(f"stage {stage}: pq4 codes are of all dims, {nesting.full}")
            if stage.dim not in nesting.dims:
                allowed = ", ".join(map(str, nesting))
                raise PlanError(f"stage {stage}: dim {stage.dim} is not in the nesting; allowed: {allowed}")
            if stage.precision not in precisions and stage.precision is Precision.PQ4:
                raise PlanError(f"stage {stage}: the index has no lists; make them with its partition()")
            if stage.precision not in precisions:
                allowed = ", ".join(kept.value for kept in precisions if kept is not Precision.PQ4)
                raise PlanError(
                    f"stage {stage}: the index keeps no {stage.precision.value}; it keeps: {allowed}"
                )

    def adjust(
        self,
        *,
        dims: int | None = None,
        shortlist: int | None = None,
        oversampling: float | None = None,
    ) -> Plan:
        """This plan with another first stage: its prefix length and how many candidates it keeps.

        Parameters
        ----------
        dims : int, optional
            The prefix length of the first stage. A prefix that is shorter by some factor tells candidates
            apart less well: the shortlist grows by that factor, unless it is given.
        shortlist, oversampling : optional
            How many candidates the first stage keeps: a count, or a multiple of ``k``. Later stages that
            would keep more keep as many.

        Raises
        ------
        PlanError
            When both ``shortlist`` and ``oversampling`` are given, or the plan has one stage only and so
            no shortlist.
        """
        if dims is None and shortlist is None and oversampling is None:
            return self
        if shortlist is not None and oversampling is not None:
            raise PlanError(f"give shortlist or oversampling, got {shortlist} and {oversampling}")
        first, *rest = self.stages
        if dims is not None:
            first = _with_dim(first, dims)
            rest = [stage for stage in rest if stage.bits_per_vector > first.bits_per_vector]
        if shortlist is not None or oversampling is not None:
            if not rest:
                where = "" if dims is None else f" with dims={dims}"
                raise PlanError(f"{self}{where} has one stage and so no shortlist to change")
            first = replace(first, keep=shortlist, oversampling=oversampling)
        elif not rest:
            first = replace(first, keep=None, oversampling=None)
        capped = [
            replace(stage, keep=first.keep, oversampling=first.oversampling)
            if _grows(first, stage)
            else stage
            for stage in rest
        ]
        return Plan([first, *capped])

    def to_dict(self) -> dict[str, Any]:
        """``{"stages": [{"dim": 256, "precision": "binary", "keep": 200}, ...]}``."""
        return {"stages": [_stage_dict(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Plan:
        """The inverse of :meth:`to_dict`."""
        try:
            return cls(Stage(**stage) for stage in value["stages"])
        except (KeyError, TypeError) as error:
            raise PlanError(f"not a plan: {value!r} ({error})") from None

    def __str__(self) -> str:
        return " > ".join(map(str, self.stages))

    __repr__ = __str__


def _with_dim(stage: Stage, dim: int) -> Stage:
    """A shortlist stage at another prefix length, keeping more if it is shorter."""
    changed = replace(stage, dim=dim)
    factor = max(1.0, stage.dim / changed.dim)
    if stage.keep is not None:
        return replace(changed, keep=min(math.ceil(stage.keep * factor), MOST_KEPT))
    if stage.oversampling is not None:
        return replace(changed, oversampling=min(stage.oversampling * factor, MOST_KEPT))
    return changed


def _grows(wide: Stage, narrow: Stage) -> bool:
    """Whether ``narrow`` keeps more than ``wide`` for every k (counts and multiples compare alike only)."""
    if wide.keep is not None and narrow.keep is not None:
        return narrow.keep > wide.keep
    if wide.oversampling is not None and narrow.oversampling is not None:
        return narrow.oversampling > wide.oversampling
    return False


def _stage_dict(stage: Stage) -> dict[str, Any]:
    result: dict[str, Any] = {"dim": stage.dim, "precision": stage.precision.value}
    if stage.keep is not None:
        result["keep"] = stage.keep
    if stage.oversampling is not None:
        result["oversampling"] = stage.oversampling
    if stage.probes is not None:
        result["probes"] = stage.probes
    return result
