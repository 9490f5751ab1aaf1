"""What a report is made of: everything measured or read, nothing worded yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from kukla.calibrate import Calibration, CalibrationState
from kukla.cost import PlanCost
from kukla.evaluate.quality import QualityCurve
from kukla.info import IndexInfo
from kukla.plan import Plan
from kukla.profile import Profile

__all__ = ["Command", "IndexFacts", "Made", "PlanFacts", "Report"]


@dataclass(frozen=True, slots=True)
class Made:
    """When, by which version, on what: the small print that makes numbers comparable."""

    day: date
    version: str
    machine: str

    @classmethod
    def now(cls, machine: str) -> Made:
        """Today, by the installed version."""
        try:
            installed = version("kukla")
        except PackageNotFoundError:  # run from a source tree
            installed = "(not installed)"
        return cls(date.today(), installed, machine)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that gives what the report shows, and what it gives."""

    gives: str
    text: str


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A plan on the index as it is: its price, and what a few queries saw.

    ``bytes_moved`` counts whole cache lines (:mod:`kukla.calibrate.price`), ``cost`` the bytes that are
    needed; ``recall`` is the mean over the timed queries, too few for a promise; ``seconds`` the median of
    one query at a time, one thread.
    """

    role: str
    plan: Plan
    cost: PlanCost
    bytes_moved: int
    seconds: float
    recall: float


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What is known of an index.

    Parameters
    ----------
    info : IndexInfo
    plans : tuple of PlanFacts
        Exact search, the index's own plan, and the calibrated one, those that there are and differ; none for
        an empty index.
    timed_queries : int
    timed_on : str
        What these queries are, in words.
    states : tuple of CalibrationState
        Every calibration that is kept.
    main : CalibrationState or None
        The one that the report is about.
    chosen_here : bool
        It was made for this report.
    """

    info: IndexInfo
    plans: tuple[PlanFacts, ...]
    timed_queries: int
    timed_on: str
    states: tuple[CalibrationState, ...]
    main: CalibrationState | None
    chosen_here: bool

    @property
    def calibration(self) -> Calibration | None:
        """The calibration that the report is about."""
        return None if self.main is None else self.main.calibration

    @property
    def exact(self) -> PlanFacts | None:
        """Exact search, what everything is compared with."""
        return next((facts for facts in self.plans if facts.role == "exact"), None)

    @property
    def used(self) -> PlanFacts | None:
        """The calibrated plan, or without one the index's own."""
        return self.plans[-1] if self.plans else None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
        The name of the index or of the file.
    made : Made
    profile : Profile or None
    profiled : str
        Whose queries the profile was measured with, in words.
    profile_missing : str
        Why there is none.
    index : IndexFacts or None
        ``None`` for bare vectors.
    quality : QualityCurve or None
        Against judgements.
    commands : tuple of Command
    """

    title: str
    made: Made
    profile: Profile | None
    profiled: str
    profile_missing: str = ""
    index: IndexFacts | None = None
    quality: QualityCurve | None = None
    commands: tuple[Command, ...] = field(default=())
