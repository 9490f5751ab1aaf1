"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.plan import Plan, Stage

__all__ = ["SearchResult", "StageReport"]


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage did, summed over the queries of a search.

    ``scored`` counts candidates, ``kept`` those handed on, ``bytes_read`` the codes, scales and norms of the
    scored candidates (each counted once a query), ``seconds`` wall time.
    """

    stage: Stage
    scored: int
    kept: int
    bytes_read: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """Ranked answers to a batch of queries.

    Parameters
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
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    plan: Plan
    stages: tuple[StageReport, ...]
    seconds: float

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
        """Bytes that all stages read."""
        return sum(stage.bytes_read for stage in self.stages)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return (
            f"SearchResult({self.ids.shape[0]} queries, {self.ids.shape[1]} results each, plan {self.plan}, "
            f"{self.scanned:,} scanned, {self.rescored:,} rescored, {self.seconds * 1e3:.2f} ms)"
        )
