"""What a calibration found: the plans it tested, what was proven of each, and the one to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kukla.calibrate.bound import queries_needed
from kukla.calibrate.per_query import RecallByGap
from kukla.cost import format_bytes
from kukla.errors import InputError
from kukla.plan import Plan
from kukla.target import Target

__all__ = ["Calibration", "PlanTest", "floor4"]


@dataclass(frozen=True, slots=True)
class PlanTest:
    """One plan of the sequence.

    ``bytes_moved`` and ``operations`` are those of :mod:`kukla.calibrate.price`, a query; ``resident_bytes``
    what the first stage scans; ``selection`` and ``held_out`` the means on the two parts of the queries (of
    recall, or of the share of what full vectors reach); ``bound`` the lower confidence bound on the held-out
    part; ``seconds`` the median time of a query, measured for the cheapest few; ``per_query`` what is known
    of single queries, where recall was measured on real ones.
    """

    plan: Plan
    bytes_moved: int
    operations: int
    resident_bytes: int
    bytes_per_vector: int
    selection: float
    held_out: float
    bound: float
    seconds: float | None = None
    per_query: RecallByGap | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The cheapest plan that reached a target, and the frontier it was found on.

    Parameters
    ----------
    target : Target
    plan : Plan
        The one to run.
    frontier : tuple of PlanTest
        In the order of testing: exact search first, then cheaper and cheaper.
    confidence : float
    population : str
        The name of the queries.
    estimated : bool
        Documents were the queries: real ones differ.
    judged : bool
        Measured against judgements, relative to full vectors; else recall against exact search.
    selection_queries, held_out_queries, documents, full_bytes_per_vector, seed : int
    seconds : float
        How long the calibration took.
    notes : tuple of str
    """

    target: Target
    plan: Plan
    frontier: tuple[PlanTest, ...]
    confidence: float
    population: str
    estimated: bool
    judged: bool
    selection_queries: int
    held_out_queries: int
    documents: int
    full_bytes_per_vector: int
    seed: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> PlanTest:
        """The row of :attr:`plan`."""
        return next(row for row in self.frontier if row.plan == self.plan)

    @property
    def exact(self) -> PlanTest:
        """The row of exact search, which loses nothing by definition."""
        return self.frontier[0]

    @property
    def bytes_saved(self) -> float:
        """How many times fewer bytes a query moves than in an exact search."""
        return self.exact.bytes_moved / self.chosen.bytes_moved

    @property
    def memory_saved(self) -> float:
        """How many times fewer bytes are scanned, and so kept in memory, than float32 vectors have."""
        return self.full_bytes_per_vector / self.chosen.bytes_per_vector

    def accepted(self, threshold: float) -> tuple[PlanTest, ...]:
        """The plans proven to reach ``threshold``: those before the first whose bound misses it.

        Fixed-sequence testing: with the order fixed beforehand and a stop at the first failure, all of these
        are right together with the stated confidence, without correction for their number (Angelopoulos et
        al., *Learn then Test*, arXiv 2110.01052, section 3).
        """
        for count, row in enumerate(self.frontier):
            if row.bound < threshold:
                return self.frontier[:count]
        return self.frontier

    def plan_for(self, target: Target) -> Plan:
        """The cheapest plan proven to reach another target of the same metric and ``k``.

        Raises
        ------
        InputError
        """
        if target.name != self.target.name:
            raise InputError(f"this calibration is of {self.target.name}, the target is {target}")
        if target.threshold == self.target.threshold:
            return self.plan
        return min(self.accepted(target.threshold), key=lambda row: (row.bytes_moved, row.operations)).plan

    def promise(self, plan: Plan) -> RecallByGap | None:
        """What is known of single queries that run one of the plans."""
        return next((row.per_query for row in self.frontier if row.plan == plan), None)

    def summary(self) -> list[str]:
        """In words, a sentence a line."""
        row, what = self.chosen, self.target.name
        if self.judged:
            what = f"the share of the {what} of full vectors"
        lines = [
            f"{self.plan}",
            f"{what}: {row.held_out:.4f} on {self.held_out_queries:,} held-out queries ({row.selection:.4f} "
            f"on the {self.selection_queries:,} that chose), at least {floor4(row.bound)} with "
            f"{self.confidence:.4g} confidence",
            f"scans {row.bytes_per_vector:,} bytes a vector ({self.memory_saved:.1f}x less than float32), "
            f"{format_bytes(row.resident_bytes)} for {self.documents:,} documents; a query moves "
            f"{format_bytes(row.bytes_moved)} ({self.bytes_saved:.1f}x less than exact search)",
        ]
        if row is self.exact and len(self.accepted(self.target.threshold)) > 1:
            lines.append("this is exact search: cheaper plans reach the target too, and none was faster here")
        elif row is self.exact:
            lines.append("no cheaper plan was proven to reach the target: this is exact search")
            if not self.judged and len(self.frontier) > 1:
                fewest = queries_needed(self.target.threshold, self.confidence)
                lines.append(
                    f"more queries may prove one: {fewest:,} held out are needed where nothing is lost, "
                    f"several times as many near the target; there were {self.held_out_queries:,}"
                )
        return lines

    def table(self) -> list[tuple[str, ...]]:
        """The frontier as a header and rows."""
        header = ("plan", "selection", "held out", "at least", "bytes/vector", "moved", "ms", "")
        rows = [
            (
                str(row.plan),
                f"{row.selection:.4f}",
                f"{row.held_out:.4f}",
                floor4(row.bound),
                f"{row.bytes_per_vector:,}",
                format_bytes(row.bytes_moved),
                "" if row.seconds is None else f"{row.seconds * 1e3:.2f}",
                "chosen" if row.plan == self.plan else "",
            )
            for row in self.frontier
        ]
        return [header, *rows]

    def __str__(self) -> str:
        return "\n".join([f"{self.target} on {self.population}:", *self.summary(), *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the inverse of :meth:`from_dict`."""
        frontier = [asdict(row) | {"plan": str(row.plan)} for row in self.frontier]
        own = {name: getattr(self, name) for name in self.__slots__}
        return own | {
            "target": str(self.target),
            "plan": str(self.plan),
            "frontier": frontier,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """A calibration as :meth:`to_dict` gives it."""
        known = {name: values[name] for name in cls.__slots__}
        frontier = tuple(
            PlanTest(
                **{name: row[name] for name in PlanTest.__slots__ if name != "per_query"}
                | {
                    "plan": Plan.parse(row["plan"]),
                    "per_query": RecallByGap.from_dict(row.get("per_query")),  # not in the first ones
                }
            )
            for row in values["frontier"]
        )
        known |= {
            "target": Target.parse(values["target"]),
            "plan": Plan.parse(values["plan"]),
            "frontier": frontier,
            "notes": tuple(values["notes"]),
        }
        return cls(**known)


def floor4(bound: float) -> str:
    """Four digits, rounded down: a bound of .98999 is not one of .9900."""
    return f"{int(bound * 10_000) / 10_000:.4f}"
