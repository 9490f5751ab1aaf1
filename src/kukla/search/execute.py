"""Executing a plan over the segments of a view. Candidates are numbered by row over all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kukla.cost import bytes_before, bytes_per_row, bytes_per_survivor, survivors
from kukla.errors import PlanError
from kukla.nesting import Nesting
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.lists import scan_lists
from kukla.search.masks import count_allowed
from kukla.search.native import Runners
from kukla.search.result import Found, StageReport
from kukla.search.stages import Mask, Rows, Scorer, Scores, make_scorer
from kukla.storage.store import View

__all__ = ["execute", "rescore"]

CANDIDATES = 1 << 22
"""So many candidates, over all queries and segments, are held at a time: about 100 MB with their scores."""


def execute(
    plan: Plan,
    queries: NDArray[np.float32],
    k: int,
    view: View,
    masks: Sequence[Mask],
    nesting: Nesting,
    *,
    renormalise: bool,
    threads: int,
    runners: Runners | None = None,
) -> Found:
    """Run a plan.

    Parameters
    ----------
    plan : Plan
        Checked against the nesting.
    queries : ndarray of float32, shape (n_queries, full)
        Projected, and of length 1 for cosine.
    k : int
    masks : sequence of bool arrays or None
        The rows of each segment that may be returned (``None``: all).
    runners : Runners, optional
        Where bound plans are kept between searches.

    Returns
    -------
    Found
    """
    if plan.stages[0].precision is Precision.PQ4 and view.partition is None:
        raise PlanError(f"stage {plan.stages[0]}: the index has no lists; make them with its partition()")
    if not view.segments:
        return Found(
            np.empty((len(queries), 0), dtype=np.int64),
            np.empty((len(queries), 0), dtype=np.float32),
            np.full((len(plan.stages), len(queries)), -np.inf, dtype=np.float32),
            partial(tuple, [StageReport(stage, 0, 0, 0, 0.0) for stage in plan.stages]),
        )
    allowed = view.count if masks is view.live else count_allowed(view, masks)
    bound = (runners or Runners()).of(plan, view, nesting, renormalise=renormalise)
    if bound is not None and len(queries) == 1:
        return bound.run(queries, k, masks, allowed, threads)
    first = min(plan.stages[0].kept(k), allowed)
    candidates = sum(min(first, segment.rows) for segment in view.segments)
    step = max(1, CANDIDATES // max(1, candidates))

    def run(part: NDArray[np.float32]) -> Found:
        if bound is None:
            return _run(plan, part, k, view, masks, nesting, allowed, renormalise, threads)
        return bound.run(part, k, masks, allowed, threads)

    if step >= len(queries):
        return run(queries)
    parts = [run(queries[start : start + step]) for start in range(0, len(queries), step)]
    return Found(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.cuts for part in parts], axis=1),
        partial(tuple, list(map(_summed, zip(*(part.reports() for part in parts), strict=True)))),
    )


def _summed(reports: Sequence[StageReport]) -> StageReport:
    return StageReport(
        stage=reports[0].stage,
        scored=sum(report.scored for report in reports),
        kept=sum(report.kept for report in reports),
        bytes_read=sum(report.bytes_read for report in reports),
        seconds=sum(report.seconds for report in reports),
    )


def _run(
    plan: Plan,
    queries: NDArray[np.float32],
    k: int,
    view: View,
    masks: Sequence[Mask],
    nesting: Nesting,
    allowed: int,
    renormalise: bool,
    threads: int,
) -> Found:
    """All stages for as many queries as fit in memory together."""
    starts = view.starts
    rows: Rows = np.empty((len(queries), 0), dtype=np.int64)
    scores: Scores = np.empty(rows.shape, dtype=np.float32)
    cuts = np.full((len(plan.stages), len(queries)), -np.inf, dtype=np.float32)
    reports = []
    for i, stage in enumerate(plan.stages):
        started = time.perf_counter()
        keep = min(stage.kept(k), allowed)
        before = rows.shape[1] if i else allowed
        scored = before * len(queries)
        if stage.precision is Precision.PQ4:
            rows, scores, scored = _scan_lists(stage, queries, view, masks, keep)
        else:
            scorer = make_scorer(stage, queries, nesting, renormalise=renormalise)
            if i == 0:
                rows, scores = _scan(scorer, view, masks, starts, keep, threads)
            else:
                scores = rescore(scorer, rows, view, starts, threads)
            if i > 0 or len(view.segments) > 1:  # the scan of one segment comes sorted and cut
                rows, scores = best(rows, scores, keep, view, ordered=i == len(plan.stages) - 1)
        if 0 < keep < before:
            cuts[i] = scores.min(axis=1)
        size = bytes_per_row(stage, nesting, renormalise=renormalise, partition=view.partition)
        once = bytes_before(stage, view.partition, view.count)
        twice = survivors(stage, scored, rows.size) * bytes_per_survivor(stage, view.partition)
        reports.append(
            StageReport(
                stage=stage,
                scored=scored,
                kept=rows.size,
                bytes_read=scored * size + len(queries) * once + twice,
                seconds=time.perf_counter() - started,
            )
        )
    return Found(rows, scores, cuts, partial(tuple, reports))


def _scan_lists(
    stage: Stage, queries: NDArray[np.float32], view: View, masks: Sequence[Mask], keep: int
) -> tuple[Rows, Scores, int]:
    found, values, scored = scan_lists(stage, queries, view, masks, keep)
    rows = np.empty((len(queries), keep), dtype=np.int64)
    scores = np.empty((len(queries), keep), dtype=np.float32)
    for number, (line, value) in enumerate(zip(found, values, strict=True)):
        rows[number], scores[number] = best(line[None], value[None], keep, view, ordered=True)
    return rows, scores, scored


def _scan(
    scorer: Scorer, view: View, masks: Sequence[Mask], starts: Rows, keep: int, threads: int
) -> tuple[Rows, Scores]:
    found = [
        scorer.scan(segment, keep, mask, threads) for segment, mask in zip(view.segments, masks, strict=True)
    ]
    rows = [part + start for (part, _), start in zip(found, starts, strict=False)]
    return np.concatenate(rows, axis=1), np.concatenate([part for _, part in found], axis=1)


def rescore(scorer: Scorer, rows: Rows, view: View, starts: Rows, threads: int) -> Scores:
    """Scores of rows ``(n_queries, m)`` numbered over all segments."""
    if len(view.segments) == 1:
        return scorer.score(view.segments[0], np.ascontiguousarray(rows), threads)
    scores: Scores = np.empty(rows.shape, dtype=np.float32)
    for i, segment in enumerate(view.segments):
        inside = (rows >= starts[i]) & (rows < starts[i + 1])
        if len(rows) == 1:
            columns = np.flatnonzero(inside[0])
            if len(columns):
                scores[:, columns] = scorer.score(segment, rows[:, columns] - starts[i], threads)
            continue
        counts = inside.sum(axis=1)
        if not counts.any():
            continue
        # Queries have different numbers of candidates here: pad with row 0 to one rectangular call.
        columns = np.argsort(~inside, axis=1, kind="stable")[:, : counts.max()]
        real = np.take_along_axis(inside, columns, axis=1)
        local = np.where(real, np.take_along_axis(rows, columns, axis=1) - starts[i], 0)
        part = scorer.score(segment, local, threads)
        query, column = np.nonzero(real)
        scores[query, columns[query, column]] = part[query, column]
    return scores
