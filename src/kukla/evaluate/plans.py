"""A few plans side by side: recall, bytes, time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.evaluate.recall import exact_answers
from kukla.index import Index
from kukla.plan import Plan

__all__ = ["PlanRow", "measure_plans"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan, its mean recall@k against exact search, and its price.

    ``bytes_per_vector`` is what the first stage reads of each document, ``memory_ratio`` how many times less
    that is than a float32 vector, ``bytes_read`` what all stages read for one query, and
    ``seconds_per_query`` the median time of one query at a time, with one thread, vectors given.
    """

    plan: Plan
    recall: float
    bytes_per_vector: int
    memory_ratio: float
    bytes_read: int
    seconds_per_query: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"plan": str(self.plan)}


def measure_plans(
    index: Index, queries: NDArray[np.floating[Any]], plans: Iterable[Plan | str], *, k: int = 10
) -> list[PlanRow]:
    """Measure plans on query vectors ``(n_queries, dim)``.

    Each plan runs on all queries at once, which warms up, then on one query at a time.
    """
    truth = exact_answers(index, queries, k=k)
    rows = []
    for plan in map(Plan.of, plans):
        found = index.search(queries, k, plan=plan)
        seconds = [index.search(query, k, plan=plan).seconds for query in queries]
        cost = index.explain(plan, k=k)
        rows.append(
            PlanRow(
                plan=plan,
                recall=float(truth.recall(found.ids).mean()),
                bytes_per_vector=cost.stages[0].bytes_per_vector,
                memory_ratio=cost.memory_ratio,
                bytes_read=cost.bytes_read,
                seconds_per_query=median(seconds),
            )
        )
    return rows
