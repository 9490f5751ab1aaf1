"""How sure one query's answer is: split conformal prediction on the held-out queries.

A calibration promises a mean. Single queries differ, and the search itself shows how: the further the k-th
score lies above the worst candidate that the first stage kept, the less can have been lost. So queries are
put into groups by that gap (the borders from the queries that chose the plan), and each group gets its own
quantile of the recalls that its held-out queries had: *Mondrian* conformal prediction (Vovk, Gammerman and
Shafer, *Algorithmic Learning in a Random World*, section 4.5; Angelopoulos and Bates, arXiv 2107.07511,
section 4.1).

Of n held-out recalls and one new one, drawn alike, the new one is below the j-th smallest with probability at
most j / (n + 1). The plan was chosen by the same held-out queries, among few: a dependence that
``python -m benchmarks.certificates`` measures and does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["RecallByGap"]

MOST_GROUPS = 4
LEAST_QUERIES = 60
"""Held-out queries a group should have: with 19 of them the worst is the bound at probability 0.95."""


@dataclass(frozen=True, slots=True)
class RecallByGap:
    """Held-out recalls in groups of queries with similar gaps.

    Parameters
    ----------
    edges : tuple of float
        Ascending gaps between the groups.
    counts : tuple of tuple of int
        ``counts[g][j]``: how many queries of group g had a recall of at least j / k and below (j + 1) / k.
    """

    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def learn(
        cls,
        selection_gaps: NDArray[np.float64],
        gaps: NDArray[np.float64],
        recalls: NDArray[np.float64],
        k: int,
    ) -> Self:
        """Groups from the gaps of the selection part, counts from the held-out part.

        Parameters
        ----------
        selection_gaps : ndarray, shape (m,)
        gaps, recalls : ndarray, shape (n,)
        k : int
        """
        groups = int(np.clip(len(gaps) // LEAST_QUERIES, 1, MOST_GROUPS))
        finite = selection_gaps[np.isfinite(selection_gaps)]
        quantiles = np.arange(1, groups) / groups
        edges = np.unique(np.quantile(finite, quantiles)) if len(finite) else np.empty(0)
        which = np.searchsorted(edges, gaps, side="right")
        levels = np.floor(recalls * k + 1e-9).astype(np.int64)
        counts = np.zeros((len(edges) + 1, k + 1), dtype=np.int64)
        np.add.at(counts, (which, levels), 1)
        return cls(tuple(edges.tolist()), tuple(tuple(line) for line in counts.tolist()))

    def recalls(self, gaps: NDArray[np.float64], probability: float) -> NDArray[np.float64]:
        """The recall that a query of this gap reaches with this probability; 0 where nothing can be said."""
        which = np.searchsorted(np.array(self.edges), gaps, side="right")
        bounds = np.array([_bound(np.array(line), probability) for line in self.counts])
        return np.asarray(bounds[which])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self | None:
        """The inverse of ``dataclasses.asdict``; ``None`` stays ``None``."""
        if values is None:
            return None
        return cls(tuple(values["edges"]), tuple(tuple(line) for line in values["counts"]))


def _bound(counts: NDArray[np.int64], probability: float) -> float:
    """The j-th smallest recall, j = floor((1 - probability) (n + 1)); 0 if that is none."""
    rank = int((1 - probability) * (int(counts.sum()) + 1) + 1e-9)
    if rank < 1:
        return 0.0
    return int(np.searchsorted(np.cumsum(counts), rank)) / (len(counts) - 1)
