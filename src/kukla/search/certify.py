"""Exact answers, proven: find every document that could belong to the best k, and rescore it.

The plan's answer gives a k-th score that the true one is not below. Bounds from prefixes of int8 codes
(:mod:`kukla.search.narrow`) then rule out every other document as early as they can; what they leave is
scored exactly. It is the filter-and-refine search of the VA-file (Weber, Schek and Blott, VLDB 1998) over a
nesting.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kukla.cost import bytes_per_row
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.certificate import exact_stage
from kukla.search.execute import execute, rescore
from kukla.search.masks import count_allowed
from kukla.search.narrow import NarrowBounds
from kukla.search.refine import Refinement, first_dim
from kukla.search.result import Found, ProofReport, ProofStep, StageReport
from kukla.search.stages import Mask, Rows, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["certify", "probe_and_certify", "probe_plan"]

PROBES = 40
"""For each result so many of the largest bounds are looked at more closely."""

LEAST_RESULTS = 10
"""As if so many were asked for: the best one is found among no fewer."""


def probe_plan(layout: Layout, k: int) -> Plan:
    """The plan of a search that will be proven anyway: cheap, for a good k-th score is all it must give."""
    last = exact_stage(layout)
    if Precision.INT8 not in layout.precisions:
        return Plan([last])
    dim, full = first_dim(layout), layout.nesting.full
    if dim == full:
        return Plan([Stage(full, Precision.INT8, oversampling=4), last])
    return Plan([Stage(dim, Precision.INT8, keep=PROBES * max(k, LEAST_RESULTS)), last])


def probe_and_certify(
    plan: Plan,
    queries: NDArray[np.float32],
    k: int,
    view: View,
    masks: Sequence[Mask],
    layout: Layout,
    *,
    renormalise: bool,
    threads: int,
) -> tuple[Found, Rows, Scores, ProofReport]:
    """Run the plan of :func:`probe_plan` and prove its answers, which share one reading of the first dims.

    The first stage ranks by bounds, which are its scores but for what codes may hide.

    Parameters
    ----------
    plan : Plan
        With int8 in its first stage.
    queries, k, view, masks, layout, renormalise, threads
        As in :func:`certify`; the view has segments.

    Returns
    -------
    found : Found
        By the plan.
    rows, scores, report
        As of :func:`certify`.
    """
    refinement = Refinement(view, masks, layout, threads)
    allowed, nq, nesting = refinement.allowed, len(queries), layout.nesting
    k = min(k, allowed)
    keeps = [min(stage.kept(k), allowed) for stage in plan.stages]
    shape = nq, k
    rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
    found_rows, found_scores = rows.copy(), scores.copy()
    cuts = np.full((len(plan.stages), nq), -np.inf, dtype=np.float32)
    seconds = [0.0] * (len(plan.stages) + 1)
    for tile in refinement.tiles(nq):
        started = time.perf_counter()
        asked = queries[tile]
        bounds = NarrowBounds.of(asked, layout)
        totals, chosen, values = refinement.bound(bounds, keeps[0], renormalise=renormalise)
        for i, (stage, keep) in enumerate(zip(plan.stages, keeps, strict=True)):
            if i:
                scorer = make_scorer(stage, asked, nesting, renormalise=renormalise)
                values = rescore(scorer, chosen, view, view.starts, threads)
            if keep < (chosen.shape[1] if i else allowed):
                chosen, values = best(chosen, values, keep, view, ordered=stage is plan.stages[-1])
                cuts[i, tile] = values.min(axis=1, initial=np.inf)
            elif stage is plan.stages[-1]:
                chosen, values = best(chosen, values, keep, view, ordered=True)
            seconds[i] += time.perf_counter() - started
            started = time.perf_counter()
        found_rows[tile], found_scores[tile] = chosen, values
        if 0 < k < allowed:
            kth = values.min(axis=1)
            rows[tile], scores[tile] = refinement.finish(bounds, totals, asked, kth, k)
        else:  # there is nothing else
            rows[tile], scores[tile] = chosen, values
        seconds[-1] += time.perf_counter() - started
    reports = [
        StageReport(stage, before * nq, keep * nq, before * nq * size, time_)
        for stage, before, keep, size, time_ in zip(
            plan.stages,
            [allowed, *keeps],
            keeps,
            (bytes_per_row(stage, nesting, renormalise=renormalise) for stage in plan.stages),
            seconds[:-1],
            strict=False,
        )
    ]
    found = Found(found_rows, found_scores, cuts, partial(tuple, reports))
    if not (nq and 0 < k < allowed):
        return found, rows, scores, ProofReport(0, 0, (), seconds[-1])
    steps = refinement.steps(rows.size, bound=True, renormalised=renormalise)
    return found, rows, scores, ProofReport(nq, _changed(rows, found_rows), tuple(steps), seconds[-1])


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
        refinement = Refinement(view, masks, layout, threads)
        for tile in refinement.tiles(len(unproven)):
            at, asked = unproven[tile], open_queries[tile]
            bounds = NarrowBounds.of(asked, layout)
            totals, _, _ = refinement.bound(bounds, 0, renormalise=False)
            rows[at], scores[at] = refinement.finish(
                bounds, totals, asked, scores[at].min(axis=1), rows.shape[1]
            )
        steps = refinement.steps(rows[unproven].size, bound=False, renormalised=False)
    else:
        exact = execute(
            Plan([last]), open_queries, k, view, masks, layout.nesting, renormalise=False, threads=threads
        )
        rows[unproven], scores[unproven] = exact.rows, exact.scores
        read = exact.reports()[0]
        steps = [ProofStep(last, read.scored, read.kept, read.bytes_read)]
    seconds = time.perf_counter() - started
    return rows, scores, ProofReport(len(unproven), _changed(rows, found.rows), tuple(steps), seconds)


def _changed(rows: Rows, found: Rows) -> int:
    """How many answers differ. Compared by row: ties are settled by id in both."""
    return int((np.sort(rows, axis=1) != np.sort(found, axis=1)).any(axis=1).sum())
