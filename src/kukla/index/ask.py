"""Asking: the arguments of a search become a plan, query vectors and masks, and these a result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from kukla.checks import check_count
from kukla.cost import PlanCost, plan_cost
from kukla.errors import InputError
from kukla.filters import Filter
from kukla.index.opened import Opened, Queries
from kukla.plan import Plan
from kukla.search.certify import probe_plan
from kukla.search.result import SearchResult
from kukla.search.run import run
from kukla.search.stages import Mask
from kukla.space import Space

if TYPE_CHECKING:
    from kukla.index.asking import Asking
    from kukla.index.facade import Index
    from kukla.target import Target

__all__ = ["ask", "cost_of"]

LARGEST_K = 2**31 - 1


def ask(
    index: Asking,
    queries: Queries,
    k: int,
    plan: Plan | str | None,
    target: Target | str | None,
    dims: int | None,
    shortlist: int | None,
    oversampling: float | None,
    filter_: Filter | None,
    certify: bool,
    space: Space | None,
    threads: int,
) -> SearchResult:
    """Search: see :meth:`kukla.Index.search`."""
    started = time.perf_counter()
    opened = index._opened
    settings = opened.settings
    k = check_count(k, what="k", most=LARGEST_K)
    threads = check_count(threads, what="threads", most=1024)
    if space is not None:
        settings.space.check_same(space, doing="searching")
    adjusted = not (plan is None and dims is None and shortlist is None and oversampling is None)
    promise = None
    if target is not None:
        if adjusted:
            raise InputError("a target chooses the plan: give no plan, dims, shortlist or oversampling")
        from kukla.calibrate.state import promised

        plan, promise = promised(cast("Index", index), target, k)
    probing = certify and target is None and not adjusted
    if probing:
        plan = probe_plan(opened.layout, k)
    chosen = opened.plan(plan, dims, shortlist, oversampling)
    vectors = opened.query_vectors(queries)
    if filter_ is None:
        view = opened.store.current()
        masks: Sequence[Mask] = view.live
    else:
        with opened.store.snapshot() as (view, connection):
            masks = opened.masks.masks(filter_, view, connection)
    return run(
        chosen,
        vectors,
        k,
        view,
        masks,
        opened.layout,
        renormalise=settings.renormalises_prefixes,
        proof=certify,
        probing=probing,
        promise=promise if filter_ is None else None,
        threads=threads,
        started=started,
        runners=opened.runners,
    )


def cost_of(
    opened: Opened,
    plan: Plan | str | None,
    k: int,
    dims: int | None,
    shortlist: int | None,
    oversampling: float | None,
    documents: int | None,
) -> PlanCost:
    """The cost of a plan: see :meth:`kukla.Index.explain`."""
    chosen, settings = opened.plan(plan, dims, shortlist, oversampling), opened.settings
    view = opened.store.current()
    return plan_cost(
        chosen,
        settings.nesting,
        settings.precisions,
        documents=view.count if documents is None else check_count(documents, what="documents", least=0),
        k=check_count(k, what="k", most=LARGEST_K),
        cosine=settings.cosine,
        renormalise=settings.renormalises_prefixes,
        partition=view.partition,
    )
