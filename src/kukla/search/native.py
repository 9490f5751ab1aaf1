"""Plans bound to the segments of a view, for the native code that runs all their stages in one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.cost import bytes_before, bytes_per_row, bytes_per_survivor, survivors
from kukla.nesting import Nesting
from kukla.partition.model import LEAST_SHARE, SHORTLIST
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.lists import damaged_lists, stage_without_lists
from kukla.search.result import Found, StageReport
from kukla.search.stages import Mask
from kukla.storage.segment import Segment
from kukla.storage.store import View

if TYPE_CHECKING:
    from kukla.kernels._native import Runner

__all__ = ["Bound", "Runners"]

CACHED_PLANS = 16


@dataclass(slots=True, eq=False)
class Bound:
    """A plan bound to the segments of a view.

    ``row_bytes`` is what each stage reads of a row, ``survivor_bytes`` what it reads more of rows that it
    scores twice, ``query_bytes`` what it reads of each query besides.
    ``live`` are the view's own masks, and ``live_bytes`` the same as native code reads them.
    """

    plan: Plan
    runner: Runner
    row_bytes: tuple[int, ...]
    survivor_bytes: tuple[int, ...]
    query_bytes: tuple[int, ...]
    live: Sequence[Mask]
    live_bytes: list[NDArray[np.uint8] | None]
    last_keeps: tuple[int, int, list[int]] = (-1, -1, [])
    """Of k and allowed rows: as the search before, mostly."""

    def run(
        self, queries: NDArray[np.float32], k: int, masks: Sequence[Mask], allowed: int, threads: int
    ) -> Found:
        """What :func:`kukla.search.execute.execute` returns, for queries that fit in memory together."""
        last_k, last_allowed, keeps = self.last_keeps
        if last_k != k or last_allowed != allowed:
            keeps, most = [], allowed
            for stage in self.plan.stages:  # none can keep more than it was given
                most = min(most, stage.kept(k))
                keeps.append(most)
            self.last_keeps = k, allowed, keeps
        nq, last = len(queries), keeps[-1]
        rows = np.empty((nq, last), dtype=np.int64)
        scores = np.empty((nq, last), dtype=np.float32)
        cuts = np.empty((len(keeps), nq), dtype=np.float32)
        packed = self.live_bytes if masks is self.live else _as_bytes(masks)
        try:
            counts = self.runner.run(queries, keeps, packed, threads, rows, scores, cuts)
        except RuntimeError as error:
            raise damaged_lists(error) from None
        sizes = self.row_bytes, self.survivor_bytes, self.query_bytes
        return Found(rows, scores, cuts, partial(_reports, self.plan.stages, *sizes, nq, keeps, counts))


def _reports(
    stages: Sequence[Stage],
    row_bytes: Sequence[int],
    survivor_bytes: Sequence[int],
    query_bytes: Sequence[int],
    nq: int,
    keeps: Sequence[int],
    counts: tuple[Sequence[float], Sequence[int]],
) -> tuple[StageReport, ...]:
    """Knows nothing of the Runner: results can be pickled."""
    seconds, scored = counts
    counted = zip(stages, scored, keeps, row_bytes, survivor_bytes, query_bytes, seconds, strict=True)
    return tuple(
        StageReport(stage, n, keep * nq, n * size + survivors(stage, n, keep * nq) * again + nq * once, time)
        for stage, n, keep, size, again, once, time in counted
    )


def _as_bytes(masks: Sequence[Mask]) -> list[NDArray[np.uint8] | None]:
    return [None if mask is None else mask.view(np.uint8) for mask in masks]


class Runners:
    """The plans run last, bound to one view: binding takes as long as a small search."""

    def __init__(self) -> None:
        # One value, so that threads that search different views never see half of a change.
        self._of_view: tuple[View | None, OrderedDict[tuple[Plan, bool, str | None], Bound]] = (
            None,
            OrderedDict(),
        )
        self._last: tuple[Any, ...] = (None,) * 5

    def of(self, plan: Plan, view: View, nesting: Nesting, *, renormalise: bool) -> Bound | None:
        """The plan bound to a view with segments; ``None`` where there is no native code."""
        forced = kernels.forced()
        last_view, last_plan, last_renormalise, last_forced, last = self._last
        if (
            last_view is view
            and last_plan is plan
            and last_renormalise is renormalise
            and last_forced == forced
        ):
            return last  # type: ignore[no-any-return]
        known, bound = self._of_view
        if view is not known:
            bound = OrderedDict()
            self._of_view = view, bound
        key = plan, renormalise, forced
        found = bound.get(key)
        if found is None:
            isa = kernels.active()
            if isa == "numpy":
                return None
            found = bound[key] = _bind(plan, view, nesting, renormalise, isa)
            while len(bound) > CACHED_PLANS:
                bound.popitem(last=False)
        self._last = view, plan, renormalise, forced, found
        return found


def _bind(plan: Plan, view: View, nesting: Nesting, renormalise: bool, isa: str) -> Bound:
    def divides(stage: Stage) -> bool:
        return renormalise and stage.dim < nesting.full

    partition = view.partition if plan.stages[0].precision is Precision.PQ4 else None
    # Segments without lists are scanned by a stage that the plan does not name.
    without_lists = [] if partition is None else [stage_without_lists(view.segments[0].layout)]
    bound_stages = [*plan.stages, *without_lists]
    stages = [
        (
            stage.precision.value,
            stage.dim,
            divides(stage),
            0 if partition is None else min(stage.probes or partition.lists, partition.lists),
        )
        for stage in bound_stages
    ]
    arrays = None
    if partition is not None:
        names = "heads", "tails", "scales", "routes", "worths"
        all_books = partition.mean, partition.short, partition.long
        books = [(book.order, book.ends, book.books) for book in all_books]
        arrays = (*(getattr(partition, name) for name in names), *books, SHORTLIST, LEAST_SHARE)
    runner = kernels.runner(isa, list(nesting), stages, arrays, view.count)
    live_bytes = _as_bytes(view.live)
    for segment, lists, live in zip(view.segments, view.lists, live_bytes, strict=True):
        codes, scales, norms = zip(
            *(_arrays(stage, segment, divides(stage)) for stage in bound_stages), strict=True
        )
        listed = None
        if partition is not None and lists is not None:
            sections = "offsets", "rows", "blocks", "means", "routes", "shorts", "longs"
            listed = tuple(getattr(lists, name) for name in sections)
        runner.add_segment(segment.rows, *segment.id_arrays(), codes, scales, norms, listed, live)
    row_bytes = tuple(
        bytes_per_row(stage, nesting, renormalise=renormalise, partition=partition) for stage in plan.stages
    )
    survivor_bytes = tuple(bytes_per_survivor(stage, partition) for stage in plan.stages)
    query_bytes = tuple(bytes_before(stage, partition, view.count) for stage in plan.stages)
    return Bound(plan, runner, row_bytes, survivor_bytes, query_bytes, view.live, live_bytes)


def _arrays(stage: Stage, segment: Segment, divided: bool) -> tuple[Sequence[Any], Sequence[Any], Any]:
    """Codes (or vectors), scales and norms that a stage reads."""
    norms = segment.norms(stage.dim) if divided else None
    if stage.precision is Precision.PQ4:
        return [], [], None
    if stage.precision.is_float:
        return [segment.floats(stage.precision.value)], [], norms
    codes = segment.shells(stage.precision.value, stage.dim)
    if stage.precision is Precision.BINARY:
        return codes, [], None
    return codes, segment.shells("int8.scales", stage.dim), norms
