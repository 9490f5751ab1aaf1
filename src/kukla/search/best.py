"""The best of scored candidates, which are numbered by row over all segments (``View.starts``).

Inside a segment rows are in id order; where equal scores of two segments compete for the last places, their
ids are read and decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.search.stages import Rows, Scores
from kukla.storage.store import View

__all__ = ["best", "ids_of"]


def best(rows: Rows, scores: Scores, keep: int, view: View, *, ordered: bool) -> tuple[Rows, Scores]:
    """The best ``keep`` of each query: by descending score, then ascending id; sorted if ``ordered``."""
    best_rows, best_scores = kernels.top_k(scores, rows, keep)
    if keep == 0 or len(view.segments) == 1:
        return best_rows, best_scores  # inside a segment rows are in id order
    last = best_scores[:, -1:]
    redo = np.sum(scores == last, axis=1) > np.sum(best_scores == last, axis=1)
    if ordered:
        redo |= (best_scores[:, 1:] == best_scores[:, :-1]).any(axis=1)
    for i in np.flatnonzero(redo):
        line = np.where(np.isnan(scores[i]), -np.inf, scores[i])  # NaN comes from damaged bytes only: last
        chosen = _select(rows[i], line, keep, view)
        if ordered:
            ids = ids_of(view, rows[i][chosen])
            ranks = np.argsort(np.argsort(ids, kind="stable"))
            chosen = chosen[np.lexsort((ranks, -line[chosen]))]
        best_rows[i], best_scores[i] = rows[i][chosen], scores[i][chosen]
    return best_rows, best_scores


def _select(rows: Rows, scores: Scores, keep: int, view: View) -> NDArray[np.int64]:
    """Which ``keep`` are best; of those that tie for the last places, the ones with the smallest ids."""
    if keep >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - keep)[len(scores) - keep]
    above = np.flatnonzero(scores > threshold)
    tied = np.flatnonzero(scores == threshold)
    wanted = keep - len(above)
    if len(tied) > wanted:
        tied = tied[np.argsort(ids_of(view, rows[tied]), kind="stable")[:wanted]]
    return np.concatenate([above, tied])


def ids_of(view: View, rows: Rows) -> NDArray[Any]:
    """The ids of rows numbered over all segments, in the shape of ``rows``."""
    if len(view.segments) == 1:
        return view.segments[0].ids(rows)
    starts = view.starts
    integer = bool(view.segments) and view.segments[0].integer_ids
    result = np.empty(rows.shape, dtype=np.int64 if integer else object)
    which = np.searchsorted(starts, rows, side="right") - 1
    for i in np.unique(which):
        chosen = which == i
        result[chosen] = view.segments[i].ids(rows[chosen] - starts[i])
    return result
