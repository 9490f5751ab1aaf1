"""A first stage over partitioned lists, in NumPy: the specification of ``native/list_scan.hpp``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.partition.lists import SegmentLists
from kukla.partition.probe import Probe
from kukla.plan import Stage
from kukla.search.stages import Mask, Rows, Scorer, Scores
from kukla.storage.store import View

__all__ = ["scan_lists", "usual_rows"]


def usual_rows(stage: Stage, view: View) -> int:
    """How many live rows the lists that a stage looks into hold on average."""
    assert view.partition is not None  # execute() has checked
    lists = view.partition.lists
    return -(-min(stage.probes or lists, lists) * view.count // lists)


def scan_lists(
    stage: Stage,
    scorers: Sequence[Scorer],
    queries: NDArray[np.float32],
    view: View,
    masks: Sequence[Mask],
    keep: int,
) -> tuple[list[Rows], list[Scores], int]:
    """The rows of the lists nearest to each query, scored.

    A query looks into ``stage.probes`` lists; then, until it has seen ``keep`` rows, into the next ones. Where a
    filter or deletions leave fewer rows in each list, it goes on until it has seen as many as it would have
    without. Rows of lists without codes, and all rows of segments without lists, are scored by ``scorers``, one a
    query, of the stage after.

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
    for number in range(len(queries)):
        probe = Probe.of(view.partition, queries[number], probes)
        found: list[tuple[Rows, Scores]] = []
        seen = 0
        for i in range(view.partition.lists):
            if i >= probes and seen >= want:
                break
            for s, (lists, mask) in enumerate(zip(view.lists, masks, strict=True)):
                if lists is None:
                    continue
                rows, scores = _list(probe, i, lists, mask, s, scorers[number], view)
                seen += len(rows)
                found.append((rows + view.starts[s], scores))
        for s, lists in enumerate(view.lists):
            if lists is None:
                rows = np.arange(view.segments[s].rows)
                mask = masks[s]
                rows = rows if mask is None else rows[mask]
                found.append((rows + view.starts[s], _by_stage(scorers[number], view, s, rows)))
        all_rows.append(np.concatenate([rows for rows, _ in found]))
        all_scores.append(np.concatenate([scores for _, scores in found]))
        scored += len(all_rows[-1])
    return all_rows, all_scores, scored


def _list(
    probe: Probe, i: int, lists: SegmentLists, mask: Mask, s: int, scorer: Scorer, view: View
) -> tuple[Rows, Scores]:
    """The allowed rows of one list in one segment."""
    number = int(probe.lists[i])
    begin, end = int(lists.offsets[number]), int(lists.offsets[number + 1])
    rows = lists.rows[begin:end].astype(np.int64)
    if lists.coded:
        blocks = lists.codes[int(lists.blocks[number]) : int(lists.blocks[number + 1])]
        _, sums = kernels.nibble_hits(np.ascontiguousarray(blocks), probe.tables, 0)
        base = probe.scores[i] + probe.offset
        scores = (base + probe.delta * sums[: end - begin].astype(np.float64)).astype(np.float32)
    else:
        scores = _by_stage(scorer, view, s, rows)
    if mask is not None:
        rows, scores = rows[mask[rows]], scores[mask[rows]]
    return rows, scores


def _by_stage(scorer: Scorer, view: View, s: int, rows: Rows) -> Scores:
    return scorer.score(view.segments[s], np.ascontiguousarray(rows[None]), 1)[0]
