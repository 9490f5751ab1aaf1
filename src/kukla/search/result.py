"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError
from kukla.plan import Plan, Stage
from kukla.search.certificate import PROBABILITY, Certificate, Evidence, Grounds

__all__ = ["Found", "ProofReport", "ProofStep", "SearchResult", "StageReport"]


class StageReport(NamedTuple):
    """What one stage did, summed over the queries of a search.

    ``scored`` counts candidates, ``kept`` those handed on, ``bytes_read`` the codes, scales and norms of the
    scored candidates (each counted once a query), ``seconds`` wall time. A stage that looks into lists scores
    the rows of the blocks that it chooses there; of the means of all blocks it counts as many as lists of
    average length have.
    """

    stage: Stage
    scored: int
    kept: int
    bytes_read: int
    seconds: float


@dataclass(slots=True, eq=False)  # not frozen: made at every search, in half the time
class Found:
    """What a plan found.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_queries, min(k, allowed rows))
        Numbered over all segments, best first.
    scores : ndarray of float32, same shape
    cuts : ndarray of float32, shape (stages, n_queries)
        The worst score that a stage kept: no candidate that it dropped scored more. ``-inf`` where it
        dropped none.
    reports : callable
        Makes the reports of the stages: most searches are never asked for them.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    cuts: NDArray[np.float32]
    reports: Callable[[], tuple[StageReport, ...]]


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One step of a proof, summed over queries: rows bounded (or, in the last step, scored) and left open.

    A step reads only what the steps before it have not: ``bytes_read`` counts the new shell, scale and norm.
    """

    stage: Stage
    scored: int
    kept: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What ``certify=True`` cost beside the plan.

    ``queries`` is how many answers the plan left unproven, ``changed`` how many of them the proof corrected;
    ``seconds`` is wall time.
    """

    queries: int
    changed: int
    steps: tuple[ProofStep, ...]
    seconds: float

    @property
    def bytes_read(self) -> int:
        """Bytes that all steps read."""
        return sum(step.bytes_read for step in self.steps)


class SearchResult:
    """Ranked answers to a batch of queries; nothing in it can be set.

    Attributes
    ----------
    ids : ndarray, shape (n_queries, m)
        int64, or object (str), by descending score; equal scores by ascending id. ``m`` is ``k``, or the
        number of documents that match if there are fewer: the same for every query of a batch. One query
        gives one row.
    scores : ndarray of float32, shape (n_queries, m)
        Of the plan's last stage: cosine (or inner product) at its dim and precision;
        ``1 - 2 * distance / dim`` for binary.
    plan : Plan
        What was run.
    stages : tuple of StageReport
    seconds : float
        Wall time of the whole call, embedding of texts included.
    evidence : Evidence
        What :meth:`certificates` are made of.
    proof : ProofReport, optional
        Of a search with ``certify=True``, whose ids and scores are those of an exact search.
    """

    # Not a frozen dataclass, which takes twice as long to make; stages and evidence are made when asked for.
    __slots__ = ("_evidence", "_found", "_ids", "_plan", "_proof", "_scores", "_seconds")

    def __init__(
        self,
        ids: NDArray[Any],
        scores: NDArray[np.float32],
        plan: Plan,
        found: Found,
        seconds: float,
        evidence: Evidence | Grounds,
        proof: ProofReport | None = None,
    ) -> None:
        self._ids = ids
        self._scores = scores
        self._plan = plan
        self._found = found
        self._seconds = seconds
        self._evidence = evidence
        self._proof = proof

    @property
    def ids(self) -> NDArray[Any]:
        """By descending score, shape ``(n_queries, m)``."""
        return self._ids

    @property
    def scores(self) -> NDArray[np.float32]:
        """Of each id, float32, shape ``(n_queries, m)``."""
        return self._scores

    @property
    def plan(self) -> Plan:
        """What was run."""
        return self._plan

    @property
    def stages(self) -> tuple[StageReport, ...]:
        """What each stage of the plan did."""
        return self._found.reports()

    @property
    def seconds(self) -> float:
        """Wall time of the whole call, embedding of texts included."""
        return self._seconds

    @property
    def evidence(self) -> Evidence:
        """What :meth:`certificates` are made of."""
        if isinstance(self._evidence, tuple):
            self._evidence = Evidence.of(self._plan, self._found.scores, self._found.cuts, *self._evidence)
        return self._evidence

    @property
    def proof(self) -> ProofReport | None:
        """Of a search with ``certify=True``: what that cost."""
        return self._proof

    def certificates(self, *, probability: float = PROBABILITY) -> tuple[Certificate, ...]:
        """How sure each query's answer is.

        *Exact*, if no document that the plan dropped can belong to the answer (or the search was made with
        ``certify=True``). Else, for a search with a target: the recall that a query like this one reaches
        with ``probability``, by split conformal prediction on the calibration's held-out queries. Else not
        certified. Worked out when asked for.

        Returns
        -------
        tuple of Certificate
        """
        return self.evidence.certificates(check_probability(probability))

    @property
    def scanned(self) -> int:
        """Documents that the first stage scored, summed over queries."""
        return self.stages[0].scored

    @property
    def rescored(self) -> int:
        """Candidates that later stages scored, summed over queries."""
        return sum(stage.scored for stage in self.stages[1:])

    @property
    def bytes_read(self) -> int:
        """Bytes that all stages read, and the proof."""
        return sum(stage.bytes_read for stage in self.stages) + (self.proof.bytes_read if self.proof else 0)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return (
            f"SearchResult({self.ids.shape[0]} queries, {self.ids.shape[1]} results each, plan {self.plan}, "
            f"{self.scanned:,} scanned, {self.rescored:,} rescored, {self.seconds * 1e3:.2f} ms)"
        )


def check_probability(probability: float) -> float:
    """``probability`` as a float above 0 and below 1; ``InputError`` otherwise."""
    if isinstance(probability, bool | str) or not 0 < probability < 1:
        raise InputError(f"probability must be a number above 0 and below 1, got {probability!r}")
    return float(probability)
