"""Exact answers, proven: find every document that could belong to the best k, and rescore it.

The plan's answer gives a k-th score that the true one is not below. Bounds from prefixes of int8 codes
(:mod:`kukla.search.bounds`) then rule out every other document as early as they can; what they leave is
scored exactly. It is the filter-and-refine search of the VA-file (Weber, Schek and Blott, VLDB 1998) over a
nesting.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.nesting import Nesting
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.bounds import LARGEST, QueryBounds
from kukla.search.certificate import exact_stage
from kukla.search.execute import execute, rescore
from kukla.search.masks import count_allowed
from kukla.search.result import Found, ProofReport, ProofStep
from kukla.search.stages import Mask, Rows, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.segment import Segment
from kukla.storage.store import View

__all__ = ["certify", "probe_plan"]

SURVIVORS = 1 << 26
"""So many row numbers may be held at a time, should no row be ruled out."""

PROBE_SHARE = 8
PROBE_OVERSAMPLING = 16
NORM_BYTES = 4


def probe_plan(layout: Layout) -> Plan:
    """The plan of a search that will be proven anyway: cheap, for a good k-th score is all it must give."""
    last = exact_stage(layout)
    if Precision.INT8 not in layout.precisions:
        return Plan([last])
    dim = next(dim for dim in layout.nesting if PROBE_SHARE * dim >= layout.nesting.full)
    return Plan([Stage(dim, Precision.INT8, oversampling=PROBE_OVERSAMPLING), last])


def certify(
    found: Found,
    proven: NDArray[np.bool_],
    plan: Plan,
    queries: NDArray[np.float32],
    k: int,
    view: View,
    masks: Sequence[Mask],
    layout: Layout,
    *,
    threads: int,
) -> tuple[Rows, Scores, ProofReport]:
    """The exact answers, starting from what a plan found.

    Parameters
    ----------
    found : Found
        By ``plan``.
    proven : ndarray of bool, shape (n_queries,)
        Which of its answers are exact already.
    queries : ndarray of float32, shape (n_queries, full)
    k : int
    view, masks, threads
        As in :func:`kukla.search.execute.execute`.

    Returns
    -------
    rows : ndarray of int64, shape of ``found.rows``
        What an exact search returns.
    scores : ndarray of float32, same shape
    report : ProofReport
    """
    started = time.perf_counter()
    rows, scores = found.rows.copy(), found.scores.copy()
    last = exact_stage(layout)
    if plan.stages[-1] != last:
        # Their k-th exact score is needed, and the order by exact scores if nothing better is found.
        scorer = make_scorer(last, queries, layout.nesting, renormalise=False)
        scores = rescore(scorer, rows, view, view.starts, threads)
        rows, scores = best(rows, scores, rows.shape[1], view, ordered=True)
    unproven = np.flatnonzero(~proven)
    if not len(unproven) or rows.shape[1] in (0, count_allowed(view, masks)):
        return rows, scores, ProofReport(0, 0, (), time.perf_counter() - started)
    open_queries = np.ascontiguousarray(queries[unproven])
    if Precision.INT8 in layout.precisions:
        steps = _refine(unproven, rows, scores, open_queries, view, masks, layout, threads)
    else:
        exact = execute(
            Plan([last]), open_queries, k, view, masks, layout.nesting, renormalise=False, threads=threads
        )
        rows[unproven], scores[unproven] = exact.rows, exact.scores
        read = exact.reports()[0]
        steps = [ProofStep(last, read.scored, read.kept, read.bytes_read)]
    # Compared by row: ties are settled by id in both.
    changed = int((np.sort(rows, axis=1) != np.sort(found.rows, axis=1)).any(axis=1).sum())
    return rows, scores, ProofReport(len(unproven), changed, tuple(steps), time.perf_counter() - started)


def _refine(
    unproven: NDArray[np.int64],
    rows: Rows,
    scores: Scores,
    queries: NDArray[np.float32],
    view: View,
    masks: Sequence[Mask],
    layout: Layout,
    threads: int,
) -> list[ProofStep]:
    """Put the exact answers of unproven queries into ``rows`` and ``scores``."""
    nesting, last = layout.nesting, exact_stage(layout)
    bounds = QueryBounds.of(queries, layout)
    # A row is read as long as its bound reaches the threshold, in float64 and with the slack on this side.
    thresholds = np.minimum(scores[unproven].min(axis=1).astype(np.float64), LARGEST) - bounds.slack
    scored = np.zeros(len(nesting) if layout.cosine else 1, dtype=np.int64)
    rescored = 0
    step = max(1, SURVIVORS // max(1, int(view.starts[-1])))
    for start in range(0, len(unproven), step):
        tile = np.arange(start, min(start + step, len(unproven)))
        parts, asked = [], bounds.part(tile)
        for segment, mask in zip(view.segments, masks, strict=True):
            reached = _reach(segment, mask, asked, thresholds[tile], nesting, threads)
            scored += reached.scored
            parts.append(reached)
        for i, query in enumerate(tile):
            survivors = np.concatenate(
                [
                    part.rows[part.offsets[i] : part.offsets[i + 1]] + first
                    for part, first in zip(parts, view.starts, strict=False)
                ]
            )[None]
            scorer = make_scorer(last, queries[query][None], nesting, renormalise=False)
            values = rescore(scorer, survivors, view, view.starts, threads)
            at = unproven[query]
            chosen, kept = best(survivors, values, rows.shape[1], view, ordered=True)
            rows[at], scores[at] = chosen[0], kept[0]
            rescored += survivors.size
    stages = [Stage(dim, Precision.INT8) for dim in (nesting if layout.cosine else [nesting.full])]
    kept_counts = [*scored[1:].tolist(), rescored]
    return [
        *(
            ProofStep(stage, int(count), kept, int(count) * _new_bytes(stage, nesting, cosine=layout.cosine))
            for stage, count, kept in zip(stages, scored, kept_counts, strict=True)
        ),
        ProofStep(last, rescored, rows[unproven].size, rescored * last.precision.bytes_for(last.dim)),
    ]


def _reach(
    segment: Segment,
    mask: Mask,
    bounds: QueryBounds,
    thresholds: NDArray[np.float64],
    nesting: Nesting,
    threads: int,
) -> kernels.Reached:
    cosine = segment.layout.cosine
    points = [
        kernels.Checkpoint(
            s + 1,
            segment.norms(dim) if dim < nesting.full else None,
            np.ascontiguousarray(bounds.tails[s]) if dim < nesting.full else None,
        )
        for s, dim in enumerate(nesting)
        if cosine or dim == nesting.full
    ]
    return kernels.reach_int8(
        segment.shells("int8", nesting.full),
        segment.shells("int8.scales", nesting.full),
        bounds.codes,
        bounds.scales,
        bounds.margins,
        thresholds,
        points,
        starts=_starts(segment, bounds, thresholds, nesting) if cosine else None,
        mask=mask,
        threads=threads,
    )


def _starts(
    segment: Segment, bounds: QueryBounds, thresholds: NDArray[np.float64], nesting: Nesting
) -> NDArray[np.int64]:
    """The first checkpoint of each query that can rule out a typical row: looking earlier only costs."""
    starts = np.full(len(thresholds), len(nesting) - 1, dtype=np.int64)
    for s in reversed(range(len(nesting) - 1)):
        norm = segment.typical(f"norms.{nesting.dims[s]}")
        starts[bounds.tails[s] * np.sqrt(max(0.0, 1.0 - norm * norm)) < thresholds] = s
    return starts


def _new_bytes(stage: Stage, nesting: Nesting, *, cosine: bool) -> int:
    """Bytes of a row that a checkpoint reads beyond those before it."""
    shells = nesting.shells_of(stage.dim)
    read = sum(Precision.INT8.bytes_for(high - low) for low, high in (shells[-1:] if cosine else shells))
    return read + (NORM_BYTES if stage.dim < nesting.full else 0)
