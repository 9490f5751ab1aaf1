"""recall@k against exact search, fair to ties.

Where several documents share the k-th exact score (copies of one text, most often), which of them an exact
search returns is decided by their ids. A plan that returns another of them has lost nothing, so each
document whose exact score reaches the k-th one, to rounding, counts as found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.evaluate.exact import exact_plan, exact_search
from kukla.index import Index, Queries

__all__ = ["TOLERANCE", "ExactAnswers", "exact_answers", "exact_plan", "recall_at_k"]

TOLERANCE = 2e-6
"""Exact scores closer than this (relative above 1) are equal: float32 sums of a few thousand products."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactAnswers:
    """What exact search finds, deep enough to hold every document tied with the k-th.

    Parameters
    ----------
    ids : ndarray, shape (n_queries, depth)
        By descending exact score.
    scores : ndarray of float32, shape (n_queries, depth)
    k : int
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    k: int

    def recall(self, ids: NDArray[Any]) -> NDArray[np.float64]:
        """recall@k of each row of result ids ``(n_queries, m)``: see :func:`recall_at_k`."""
        return recall_at_k(ids, self.ids, self.scores, k=self.k)


def recall_at_k(
    ids: NDArray[Any], exact_ids: NDArray[Any], exact_scores: NDArray[np.floating[Any]], *, k: int
) -> NDArray[np.float64]:
    """The share of the exact ``k`` best documents among the first ``k`` results, per query.

    Parameters
    ----------
    ids : ndarray, shape (n_queries, m)
        Results, best first; what is beyond ``k`` is not looked at.
    exact_ids, exact_scores : ndarray, shape (n_queries, depth)
        By descending score. With ``depth`` above ``k``, documents tied with the k-th count (see above).
    k : int
        Where fewer than ``k`` documents exist, their number takes its place.

    Returns
    -------
    ndarray of float64, shape (n_queries,), in 0..1

    Raises
    ------
    InputError
        The arrays are not for the same queries, or exact results are missing.
    """
    check_count(k, what="k")
    if exact_ids.shape != exact_scores.shape or len(ids) != len(exact_ids):
        raise InputError(
            f"recall: {len(ids)} queries with results, exact ids {exact_ids.shape}, exact scores "
            f"{exact_scores.shape}; all must be for the same queries"
        )
    if min(ids.shape[1], k) > exact_ids.shape[1]:
        raise InputError(f"recall@{k}: only {exact_ids.shape[1]} exact results a query, results have more")
    wanted = min(k, exact_ids.shape[1])
    if wanted == 0:
        return np.ones(len(ids))
    recalls = np.empty(len(ids))
    for row, (found, exact, scores) in enumerate(zip(ids, exact_ids, exact_scores, strict=True)):
        good = set(exact[scores >= _threshold(scores, wanted)].tolist())
        recalls[row] = min(len(good & set(found[:k].tolist())), wanted) / wanted
    return recalls


def exact_answers(
    index: Index, queries: Queries, *, k: int, device: str = "cpu", threads: int = 1
) -> ExactAnswers:
    """Search exactly, and go on below rank ``k`` while documents are tied with it.

    Parameters
    ----------
    index : Index
    queries : str, sequence of str, or array of float (n_queries, dim)
    k : int
    device : str
        Where to search: see :func:`kukla.evaluate.exact_search`. The answers are the same.
    threads : int

    Returns
    -------
    ExactAnswers
    """
    documents = len(index)
    depth = min(check_count(k, what="k") + 16, documents)
    while True:
        found = exact_search(index, queries, max(depth, 1), device=device, threads=threads)
        wanted = min(k, found.ids.shape[1])
        tied_to_the_end = wanted > 0 and any(
            scores[-1] >= _threshold(scores, wanted) for scores in found.scores
        )
        if not tied_to_the_end or depth >= documents:
            return ExactAnswers(found.ids, found.scores, k)
        depth = min(4 * depth, documents)


def _threshold(scores: NDArray[np.floating[Any]], wanted: int) -> float:
    last = float(scores[wanted - 1])
    return last - TOLERANCE * max(1.0, abs(last))
