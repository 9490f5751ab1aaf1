"""One search: the plan, the proof if one was asked for, and what the result says about itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kukla.plan import Plan
from kukla.precision import Precision
from kukla.search.best import ids_of
from kukla.search.certificate import Evidence, Promise
from kukla.search.certify import certify, probe_and_certify
from kukla.search.execute import execute
from kukla.search.lists import without_lists
from kukla.search.native import Runners
from kukla.search.result import SearchResult
from kukla.search.stages import Mask
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["run"]


def run(
    plan: Plan,
    queries: NDArray[np.float32],
    k: int,
    view: View,
    masks: Sequence[Mask],
    layout: Layout,
    *,
    renormalise: bool,
    proof: bool,
    probing: bool,
    promise: Promise | None,
    threads: int,
    started: float,
    runners: Runners,
) -> SearchResult:
    """Run a plan, and prove its answers if ``proof``.

    Parameters
    ----------
    plan, queries, k, view, masks, renormalise, threads
        As in :func:`kukla.search.execute.execute`.
    layout : Layout
    probing : bool
        The plan is there for the proof only: see :func:`kukla.search.certify.probe_plan`.
    promise : Promise, optional
        What a calibration knows of this plan.
    started : float
        ``time.perf_counter()`` when the search began.
    """
    if plan.stages[0].precision is Precision.PQ4:
        plan = without_lists(plan, k, view, masks, layout.nesting, renormalise=renormalise)
    grounds = queries, view, layout, renormalise, promise
    if probing and plan.stages[0].precision is Precision.INT8 and view.segments:
        found, rows, scores, report = probe_and_certify(
            plan, queries, k, view, masks, layout, renormalise=renormalise, threads=threads
        )
        evidence = replace(Evidence.of(plan, found.scores, found.cuts, *grounds), proven=True)
        seconds = time.perf_counter() - started
        return SearchResult(ids_of(view, rows), scores, plan, found, seconds, evidence, report)
    found = execute(
        plan,
        queries,
        k,
        view,
        masks,
        layout.nesting,
        renormalise=renormalise,
        threads=threads,
        runners=runners,
    )
    if not proof:
        ids = ids_of(view, found.rows)
        return SearchResult(ids, found.scores, plan, found, time.perf_counter() - started, grounds)
    evidence = Evidence.of(plan, found.scores, found.cuts, *grounds)
    # A shorter prefix hardly ever proves anything by itself: not worth the look.
    whole = plan.stages[0].dim == layout.nesting.full
    proven = evidence.exact() if whole else np.zeros(len(queries), dtype=np.bool_)
    rows, scores, report = certify(found, proven, plan, queries, k, view, masks, layout, threads=threads)
    seconds = time.perf_counter() - started
    return SearchResult(
        ids_of(view, rows), scores, plan, found, seconds, replace(evidence, proven=True), report
    )
