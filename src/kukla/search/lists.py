"""A first stage over partitioned lists, in NumPy: the specification of ``native/list_scan.hpp``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.cost import LIST_ROW_BYTES, bytes_before, bytes_per_row
from kukla.errors import ChecksumError
from kukla.kernels.partition import STRETCH_STEPS
from kukla.nesting import Nesting
from kukla.partition.lists import SegmentLists
from kukla.partition.probe import Probe
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.certificate import exact_stage
from kukla.search.masks import count_allowed
from kukla.search.stages import Mask, Rows, Scorer, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["damaged_lists", "scan_lists", "stage_without_codes", "usual_rows", "without_lists"]


def usual_rows(stage: Stage, view: View) -> int:
    """How many live rows the lists that a stage looks into hold on average."""
    assert view.partition is not None  # execute() has checked
    lists = view.partition.lists
    return -(-min(stage.probes or lists, lists) * view.count // lists)


def stage_without_codes(layout: Layout) -> Stage:
    """What scores rows that have no codes yet: all dims in int8, or as floats where int8 is not kept."""
    int8 = Precision.INT8 in layout.precisions
    return Stage(layout.nesting.full, Precision.INT8 if int8 else layout.float_precision)


def without_lists(
    plan: Plan, view: View, masks: Sequence[Mask], nesting: Nesting, *, renormalise: bool
) -> Plan:
    """The plan to run under these masks: without its lists, where a scan of the allowed rows reads less.

    The fewer rows a filter leaves, the more lists a query would have to look into to see enough of them.
    """
    first = plan.stages[0]
    if first.precision is not Precision.PQ4 or view.partition is None or all(mask is None for mask in masks):
        return plan
    allowed = count_allowed(view, masks)
    rows = sum(segment.rows for segment in view.segments)
    share = min(1.0, usual_rows(first, view) / max(1, allowed))
    in_lists = share * rows * (view.partition.code_bytes + LIST_ROW_BYTES)
    following = Plan(plan.stages[1:] or [exact_stage(view.segments[0].layout)])
    alone = allowed * bytes_per_row(following.stages[0], nesting, renormalise=renormalise)
    return following if alone <= in_lists + bytes_before(first, view.partition) else plan


def scan_lists(
    stage: Stage,
    queries: NDArray[np.float32],
    view: View,
    masks: Sequence[Mask],
    keep: int,
) -> tuple[list[Rows], list[Scores], int]:
    """The rows of the lists nearest to each query, scored.

    A query looks into ``stage.probes`` lists; then, until it has seen ``keep`` rows, into the next ones.
    Where a filter or deletions leave fewer rows in each list, it goes on until it has seen as many as it
    would have without. Rows of lists without codes, and all rows of segments without lists, are scored by
    :func:`stage_without_codes`.

    Returns
    -------
    rows, scores : list of ndarray, one a query, each of at least ``keep`` rows
        Numbered over all segments.
    scored : int
        Rows, over all queries.
    """
    assert view.partition is not None  # execute() has checked
    probes = min(stage.probes or view.partition.lists, view.partition.lists)
    masked = any(mask is not None for mask in masks)
    allowed = sum(
        segment.rows if mask is None else int(np.count_nonzero(mask))
        for segment, mask in zip(view.segments, masks, strict=True)
    )
    want = min(allowed, max(keep, usual_rows(stage, view))) if masked else keep
    all_rows, all_scores, scored = [], [], 0
    layout = view.segments[0].layout
    for number in range(len(queries)):
        scorer = make_scorer(
            stage_without_codes(layout), queries[number : number + 1], layout.nesting, renormalise=False
        )
        probe = Probe.of(view.partition, queries[number], probes)
        found: list[tuple[Rows, Scores]] = []
        seen = 0
        for i in range(view.partition.lists):
            if i >= probes and seen >= want:
                break
            for s, (lists, mask) in enumerate(zip(view.lists, masks, strict=True)):
                if lists is None:
                    continue
                rows, scores = _list(probe, i, lists, mask, s, scorer, view)
                seen += len(rows)
                found.append((rows + view.starts[s], scores))
        for s, lists in enumerate(view.lists):
            if lists is None:
                rows = np.arange(view.segments[s].rows)
                mask = masks[s]
                rows = rows if mask is None else rows[mask]
                found.append((rows + view.starts[s], _by_stage(scorer, view, s, rows)))
        all_rows.append(np.concatenate([rows for rows, _ in found]))
        all_scores.append(np.concatenate([scores for _, scores in found]))
        scored += len(all_rows[-1])
    return all_rows, all_scores, scored


def _list(
    probe: Probe, i: int, lists: SegmentLists, mask: Mask, s: int, scorer: Scorer, view: View
) -> tuple[Rows, Scores]:
    """The allowed rows of one list in one segment."""
    number = int(probe.lists[i])
    rows = lists.rows_of(number)
    if len(rows) and rows.max() >= view.segments[s].rows:
        raise damaged_lists(f"row {rows.max()} of a segment of {view.segments[s].rows}")
    if lists.coded:
        _, sums = kernels.nibble_hits(np.ascontiguousarray(lists.blocks_of(number)), probe.tables, 0)
        stretches = lists.stretches_of(number) / np.float64(STRETCH_STEPS)
        residual = stretches * (probe.offset + probe.delta * sums[: len(rows)].astype(np.float64))
        with np.errstate(over="ignore"):
            scores = (probe.scores[i] + residual).astype(np.float32)
    else:
        scores = _by_stage(scorer, view, s, rows)
    if mask is not None:
        rows, scores = rows[mask[rows]], scores[mask[rows]]
    return rows, scores


def damaged_lists(what: object) -> ChecksumError:
    """Searches read lists without comparing checksums: this is what they say of rows that there cannot be."""
    return ChecksumError(f"a file of lists is damaged: {what}; verify() says which")


def _by_stage(scorer: Scorer, view: View, s: int, rows: Rows) -> Scores:
    (scores,) = scorer.score(view.segments[s], np.ascontiguousarray(rows[None]), 1)
    return np.asarray(scores)
