"""A first stage over partitioned lists, in NumPy: the specification of ``native/list_scan.hpp``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.cost import bytes_of_means, bytes_per_row, bytes_per_survivor, rows_in_lists, survivors
from kukla.errors import ChecksumError
from kukla.kernels.partition import BLOCK_ROWS, RECORD_TAIL, STRETCH_STEPS
from kukla.nesting import Nesting
from kukla.partition.model import SHORTLIST, rows_wanted
from kukla.partition.probe import Probe
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.certificate import exact_stage
from kukla.search.masks import count_allowed
from kukla.search.stages import Mask, Rows, Scorer, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["damaged_lists", "scan_lists", "stage_without_lists", "usual_rows", "without_lists"]

MOST = float(np.finfo(np.float32).max)
MOST_OF_A_LIST = 2.0**126
"""Short scores are float32 from the start: a list's own beyond this are taken for this."""


def usual_rows(stage: Stage, view: View) -> int:
    """How many live rows the lists that a stage looks into hold on average."""
    assert view.partition is not None  # execute() has checked
    return rows_in_lists(stage, view.partition, view.count)


def stage_without_lists(layout: Layout) -> Stage:
    """What scores rows of segments without lists: all dims in int8, or as floats where int8 is not kept."""
    int8 = Precision.INT8 in layout.precisions
    return Stage(layout.nesting.full, Precision.INT8 if int8 else layout.float_precision)


def without_lists(
    plan: Plan, k: int, view: View, masks: Sequence[Mask], nesting: Nesting, *, renormalise: bool
) -> Plan:
    """The plan to run under these masks: without its lists, where a scan of what a filter allows reads less.

    The fewer rows it leaves, the more lists a query would have to look into to see enough of them.
    """
    first, partition = plan.stages[0], view.partition
    if first.precision is not Precision.PQ4 or partition is None or masks is view.live:
        return plan
    allowed, rows = count_allowed(view, masks), sum(segment.rows for segment in view.segments)
    share = min(1.0, usual_rows(first, view) / max(1, allowed))  # of all rows is looked at
    probes, keep = min(first.probes or partition.lists, partition.lists), first.kept(k)
    scored = rows_wanted(round(share * allowed), probes, partition.lists, keep)
    # Blocks are read whole, of however few of their rows a filter leaves.
    read = min(share * rows, scored * rows / max(1, allowed))
    in_lists = read * bytes_per_row(first, nesting, renormalise=renormalise, partition=partition)
    in_lists += survivors(first, scored, keep) * bytes_per_survivor(first, partition)
    before = partition.choosing_bytes(probes) + bytes_of_means(partition, round(share * rows))
    following = Plan(plan.stages[1:] or [exact_stage(view.segments[0].layout)])
    alone = allowed * bytes_per_row(following.stages[0], nesting, renormalise=renormalise)
    return following if alone <= in_lists + before else plan


def scan_lists(
    stage: Stage,
    queries: NDArray[np.float32],
    view: View,
    masks: Sequence[Mask],
    keep: int,
) -> tuple[list[Rows], list[Scores], int]:
    """The most promising rows of the lists nearest to each query, scored.

    A query looks into ``stage.probes`` lists; then, until it has seen ``keep`` rows, into the next ones.
    Where a filter leaves fewer rows in each list, it goes on until it has seen as many as it would have
    without. Of the blocks of these lists it takes those whose means score best, ties by segment
    and place, until they have :func:`rows_wanted`. Their rows are scored by their short codes, and the best
    ``SHORTLIST * keep`` of them, ties by id, by their long codes. Rows of segments without lists are
    scored by :func:`stage_without_lists`.

    Returns
    -------
    rows, scores : list of ndarray, one a query, each of at least ``keep`` rows
        Numbered over all segments. Scores of long codes, or of :func:`stage_without_lists`.
    scored : int
        Rows that were scored, over all queries.
    """
    assert view.partition is not None  # execute() has checked
    all_lists = view.partition.lists
    probes = min(stage.probes or all_lists, all_lists)
    filtered = count_allowed(view, masks) < view.count
    allowed = sum(
        segment.rows if mask is None else int(np.count_nonzero(mask))
        for segment, lists, mask in zip(view.segments, view.lists, masks, strict=True)
        if lists is not None
    )
    want = min(allowed, max(keep, usual_rows(stage, view))) if filtered else keep
    all_rows, all_scores, scored = [], [], 0
    layout = view.segments[0].layout
    for number in range(len(queries)):
        scorer = make_scorer(
            stage_without_lists(layout), queries[number : number + 1], layout.nesting, renormalise=False
        )
        probe = Probe.of(view.partition, queries[number], probes)
        blocks: list[_Blocks] = []
        others: list[tuple[Rows, Scores]] = []
        seen = 0
        for i in range(all_lists):
            if i >= probes and seen >= want:
                break
            for s, (lists, mask) in enumerate(zip(view.lists, masks, strict=True)):
                if lists is None:
                    continue
                blocks.append(_look(probe, i, view, s, mask))
                seen += int(blocks[-1].open.sum())
        for s, lists in enumerate(view.lists):
            if lists is None:
                rows = _allowed(np.arange(view.segments[s].rows), masks[s])
                others.append((rows + view.starts[s], _by_stage(scorer, view, s, rows)))
        scored += sum(len(rows) for rows, _ in others)
        if blocks:
            found = _Blocks.joined(blocks)
            chosen = found.best(rows_wanted(int(found.open.sum()), probes, all_lists, keep))
            if len(chosen.places):
                coded = _see(probe, chosen, view, masks)
                scored += len(coded.rows)
                others.append(_survivors(probe, coded, view, SHORTLIST * keep))
        all_rows.append(np.concatenate([rows for rows, _ in others]))
        all_scores.append(np.concatenate([scores for _, scores in others]))
    return all_rows, all_scores, scored


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Blocks that a query may score: ``segments`` and ``places`` say where they are, ``lists`` in which of
    the probe's lists, ``scores`` what their means score, ``open`` how many of their rows are allowed."""

    segments: NDArray[np.int64]
    places: NDArray[np.int64]
    lists: NDArray[np.int64]
    scores: Scores
    open: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[_Blocks]) -> _Blocks:
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def part(self, where: NDArray[Any]) -> _Blocks:
        return _Blocks(*(getattr(self, field.name)[where] for field in fields(self)))

    def best(self, rows: int) -> _Blocks:
        """Those with the best means that have so many rows together."""
        filled = self.part(self.open > 0)
        order = np.lexsort((filled.places, filled.segments, -filled.scores))
        before = np.cumsum(filled.open[order]) - filled.open[order]
        return filled.part(order[before < rows])


def _look(probe: Probe, i: int, view: View, s: int, mask: Mask) -> _Blocks:
    """The blocks of one list in one segment with codes."""
    lists = view.lists[s]
    assert lists is not None
    number, rows = int(probe.lists[i]), _rows_of(probe, i, view, s)
    first, last = int(lists.blocks[number]), int(lists.blocks[number + 1])
    places = np.arange(first, last)
    allowed = np.ones(len(rows), dtype=np.int64) if mask is None else mask[rows].astype(np.int64)
    means = np.ascontiguousarray(lists.means[first // BLOCK_ROWS : -(-last // BLOCK_ROWS)])
    tables = probe.mean
    residuals = kernels.nibble_scores(means, tables.entries, 0.0, tables.offset, tables.delta)
    residuals = residuals[places - first // BLOCK_ROWS * BLOCK_ROWS]
    with np.errstate(over="ignore", invalid="ignore"):  # by routes of a damaged file
        scores = (_base(probe, i) + residuals) * lists.routes[first:last]
    scores = np.nan_to_num(scores, nan=-MOST, posinf=MOST, neginf=-MOST)
    return _Blocks(
        np.full(len(places), s),
        places,
        np.full(len(places), i),
        scores,
        np.bincount(np.arange(len(rows)) // BLOCK_ROWS, allowed, len(places)).astype(np.int64),
    )


def _base(probe: Probe, i: int) -> np.float32:
    return np.float32(np.clip(probe.scores[i], -MOST_OF_A_LIST, MOST_OF_A_LIST))


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


def _see(probe: Probe, blocks: _Blocks, view: View, masks: Sequence[Mask]) -> _Seen:
    """The allowed rows of these blocks."""
    tables, parts = probe.short, []
    for s, place, i in zip(blocks.segments, blocks.places, blocks.lists, strict=True):
        lists, mask = view.lists[s], masks[s]
        assert lists is not None
        number = int(probe.lists[i])
        at = int(place - lists.blocks[number].astype(np.int64)) * BLOCK_ROWS
        rows = lists.rows_of(number)[at : at + BLOCK_ROWS]
        block = np.ascontiguousarray(lists.shorts[place : place + 1])
        scores = kernels.nibble_scores(
            block, tables.entries, float(_base(probe, i)), tables.offset, tables.delta
        )
        where = np.arange(len(rows)) if mask is None else np.flatnonzero(mask[rows])
        records = where + int(lists.offsets[number]) + at
        parts.append((rows[where] + view.starts[s], scores[where], records, np.full(len(where), i)))
    return _Seen(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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
