"""A first stage over partitioned lists, in NumPy: the specification of ``native/list_scan.hpp``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.cost import bytes_before, bytes_per_row, bytes_per_survivor, survivors
from kukla.errors import ChecksumError
from kukla.kernels.partition import RECORD_TAIL, STRETCH_STEPS
from kukla.nesting import Nesting
from kukla.partition.model import SHORTLIST
from kukla.partition.probe import Probe
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.certificate import exact_stage
from kukla.search.masks import count_allowed
from kukla.search.stages import Mask, Rows, Scorer, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["damaged_lists", "scan_lists", "stage_without_codes", "usual_rows", "without_lists"]

MOST_OF_A_LIST = 2.0**126
"""Short scores are float32 from the start: a list's own beyond this are taken for this."""


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
    plan: Plan, k: int, view: View, masks: Sequence[Mask], nesting: Nesting, *, renormalise: bool
) -> Plan:
    """The plan to run under these masks: without its lists, where a scan of the allowed rows reads less.

    The fewer rows a filter leaves, the more lists a query would have to look into to see enough of them.
    """
    first, partition = plan.stages[0], view.partition
    if first.precision is not Precision.PQ4 or partition is None or all(mask is None for mask in masks):
        return plan
    allowed = count_allowed(view, masks)
    share = min(1.0, usual_rows(first, view) / max(1, allowed))
    row_bytes = bytes_per_row(first, nesting, renormalise=renormalise, partition=partition)
    in_lists = share * sum(segment.rows for segment in view.segments) * row_bytes
    twice = survivors(first, round(share * allowed), first.kept(k)) * bytes_per_survivor(first, partition)
    following = Plan(plan.stages[1:] or [exact_stage(view.segments[0].layout)])
    alone = allowed * bytes_per_row(following.stages[0], nesting, renormalise=renormalise)
    return following if alone <= in_lists + twice + bytes_before(first, partition) else plan


def scan_lists(
    stage: Stage,
    queries: NDArray[np.float32],
    view: View,
    masks: Sequence[Mask],
    keep: int,
) -> tuple[list[Rows], list[Scores], int]:
    """The most promising rows of the lists nearest to each query, scored.

    A query looks into ``stage.probes`` lists; then, until it has seen ``keep`` rows, into the next ones.
    Where a filter or deletions leave fewer rows in each list, it goes on until it has seen as many as it
    would have without. The rows it sees are scored by their short codes, and the best ``SHORTLIST * keep``
    of them, ties by id, by their long codes. Rows of lists without codes, and all rows of segments without
    lists, are scored by :func:`stage_without_codes`.

    Returns
    -------
    rows, scores : list of ndarray, one a query, each of at least ``keep`` rows
        Numbered over all segments. Scores of long codes, or of :func:`stage_without_codes`.
    scored : int
        Rows that were seen, over all queries.
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
        coded: list[_Seen] = []
        others: list[tuple[Rows, Scores]] = []
        seen = 0
        for i in range(view.partition.lists):
            if i >= probes and seen >= want:
                break
            for s, (lists, mask) in enumerate(zip(view.lists, masks, strict=True)):
                if lists is None:
                    continue
                if lists.coded:
                    coded.append(_see(probe, i, view, s, mask))
                    seen += len(coded[-1].rows)
                else:
                    rows = _allowed(_rows_of(probe, i, view, s), mask)
                    others.append((rows + view.starts[s], _by_stage(scorer, view, s, rows)))
                    seen += len(rows)
        for s, lists in enumerate(view.lists):
            if lists is None:
                rows = _allowed(np.arange(view.segments[s].rows), masks[s])
                others.append((rows + view.starts[s], _by_stage(scorer, view, s, rows)))
                seen += len(rows)
        if coded:
            others.append(_survivors(probe, _Seen.joined(coded), view, SHORTLIST * keep))
        all_rows.append(np.concatenate([rows for rows, _ in others]))
        all_scores.append(np.concatenate([scores for _, scores in others]))
        scored += seen
    return all_rows, all_scores, scored


@dataclass(frozen=True, slots=True)
class _Seen:
    """Rows with codes that a query has seen.

    ``rows`` are numbered over all segments, ``scores`` are those of short codes, ``records`` say where in
    their segments the long codes are, and ``lists`` in which of the probe's lists the rows are.
    """

    rows: Rows
    scores: Scores
    records: NDArray[np.int64]
    lists: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[_Seen]) -> _Seen:
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.records for part in parts]),
            np.concatenate([part.lists for part in parts]),
        )


def _see(probe: Probe, i: int, view: View, s: int, mask: Mask) -> _Seen:
    """The allowed rows of one list in one segment with codes."""
    lists = view.lists[s]
    assert lists is not None
    rows = _rows_of(probe, i, view, s)
    base = np.float32(np.clip(probe.scores[i], -MOST_OF_A_LIST, MOST_OF_A_LIST))
    blocks = np.ascontiguousarray(lists.blocks_of(int(probe.lists[i])))
    tables = probe.short
    scores = kernels.nibble_scores(blocks, tables.entries, float(base), tables.offset, tables.delta)
    where = np.arange(len(rows)) if mask is None else np.flatnonzero(mask[rows])
    first = int(lists.offsets[probe.lists[i]])
    return _Seen(rows[where] + view.starts[s], scores[where], where + first, np.full(len(where), i))


def _survivors(probe: Probe, seen: _Seen, view: View, count: int) -> tuple[Rows, Scores]:
    """The best ``count`` by short codes, scored by their long codes."""
    chosen, _ = best(seen.rows[None], seen.scores[None], min(count, len(seen.rows)), view, ordered=False)
    order = np.argsort(seen.rows)
    where = order[np.searchsorted(seen.rows[order], np.sort(chosen[0]))]
    rows, tables = seen.rows[where], probe.long
    scores = np.empty(len(rows), dtype=np.float32)
    segments = np.searchsorted(view.starts, rows, side="right") - 1
    for s in np.unique(segments):
        inside = segments == s
        lists = view.lists[s]
        assert lists is not None
        records = lists.longs[seen.records[where[inside]]]
        sums = kernels.nibble_sums(records, tables.entries).astype(np.float64)
        stretches = records[:, -RECORD_TAIL] / np.float64(STRETCH_STEPS)
        residuals = stretches * (tables.offset + tables.delta * sums)
        with np.errstate(over="ignore"):
            scores[inside] = (probe.scores[seen.lists[where[inside]]] + residuals).astype(np.float32)
    return rows, scores


def _rows_of(probe: Probe, i: int, view: View, s: int) -> Rows:
    """The rows of one list in one segment."""
    lists = view.lists[s]
    assert lists is not None
    rows = lists.rows_of(int(probe.lists[i]))
    if len(rows) and rows.max() >= view.segments[s].rows:
        raise damaged_lists(f"row {rows.max()} of a segment of {view.segments[s].rows}")
    return rows


def _allowed(rows: Rows, mask: Mask) -> Rows:
    return rows if mask is None else rows[mask[rows]]


def damaged_lists(what: object) -> ChecksumError:
    """Searches read lists without comparing checksums: this is what they say of rows that there cannot be."""
    return ChecksumError(f"a file of lists is damaged: {what}; verify() says which")


def _by_stage(scorer: Scorer, view: View, s: int, rows: Rows) -> Scores:
    (scores,) = scorer.score(view.segments[s], np.ascontiguousarray(rows[None]), 1)
    return np.asarray(scores)
