"""What can still belong to the best k: bounds of all rows, then of fewer and fewer, then whole vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.plan import Stage
from kukla.precision import Precision
from kukla.search.best import best
from kukla.search.certificate import exact_stage
from kukla.search.execute import rescore
from kukla.search.masks import count_allowed
from kukla.search.narrow import NarrowBounds
from kukla.search.result import ProofStep
from kukla.search.stages import Mask, Rows, Scores, make_scorer
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["FIRST_SHARE", "Refinement", "first_dim"]

HELD = 1 << 24
"""So many bounds of rows, float32, are held at a time."""

FIRST_SHARE = 8
"""All rows are bounded by this part of the dims before any is ruled out: fewer hardly rule out any."""

NORM_BYTES = 4


def first_dim(layout: Layout) -> int:
    """The dim at which rows are compared first. Without norms only the last shell decides."""
    nesting = layout.nesting
    if not layout.cosine:
        return nesting.full
    return next(dim for dim in nesting if FIRST_SHARE * dim >= nesting.full)


@dataclass(slots=True, eq=False)
class Refinement:
    """Exact answers for queries of which a k-th score is known, and the count of what that reads.

    Parameters
    ----------
    view, masks, threads
        As in :func:`kukla.search.execute.execute`; the view has segments.
    layout : Layout
        With int8.
    """

    view: View
    masks: Sequence[Mask]
    layout: Layout
    threads: int
    scored: NDArray[np.int64] = field(init=False)
    rescored: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.scored = np.zeros(len(self.dims), dtype=np.int64)

    @property
    def dims(self) -> tuple[int, ...]:
        """Where rows are compared with what they must reach."""
        start = first_dim(self.layout)
        return tuple(dim for dim in self.layout.nesting if dim >= start)

    def tiles(self, count: int) -> list[slice]:
        """As many of the queries as their bounds fit in memory together."""
        step = max(1, HELD // max(1, int(self.view.starts[-1])))
        return [slice(start, min(start + step, count)) for start in range(0, count, step)]

    def bound(
        self, bounds: NarrowBounds, keep: int, *, renormalise: bool
    ) -> tuple[list[NDArray[np.float32]], Rows, Scores]:
        """Bounds of all rows at the first dim, by segment; the ``keep`` largest, and their values.

        ``renormalise``: of bounds divided by the prefix norm.
        """
        dim, full = self.dims[0], self.layout.nesting.full
        totals, rows, values = [], [], []
        for segment, mask, start in zip(self.view.segments, self.masks, self.view.starts, strict=False):
            sums, found, value = kernels.bound_int8(
                segment.shells("int8", full),
                segment.shells("int8.scales", full),
                bounds.codes,
                bounds.scales,
                bounds.margins,
                self.layout.nesting.dims.index(dim) + 1,
                keep=keep,
                norms=segment.norms(dim) if renormalise and dim < full else None,
                mask=mask,
                threads=self.threads,
            )
            totals.append(sums)
            rows.append(found + start)
            values.append(value)
        return totals, np.concatenate(rows, axis=1), np.concatenate(values, axis=1)

    def finish(
        self,
        bounds: NarrowBounds,
        totals: Sequence[NDArray[np.float32]],
        queries: NDArray[np.float32],
        scores: NDArray[np.float32],
        k: int,
    ) -> tuple[Rows, Scores]:
        """The exact answers ``(nq, k)``; their k-th scores are known to be at least ``scores`` (nq,)."""
        needed = bounds.thresholds(scores)
        reached = [self._reach(s, bounds, total, needed) for s, total in enumerate(totals)]
        last = exact_stage(self.layout)
        rows = np.empty((len(queries), k), dtype=np.int64)
        found = np.empty((len(queries), k), dtype=np.float32)
        for i in range(len(queries)):
            left = np.concatenate(
                [
                    part.rows[part.offsets[i] : part.offsets[i + 1]] + start
                    for part, start in zip(reached, self.view.starts, strict=False)
                ]
            )[None]
            scorer = make_scorer(last, queries[i][None], self.layout.nesting, renormalise=False)
            values = rescore(scorer, left, self.view, self.view.starts, self.threads)
            chosen, kept = best(left, values, k, self.view, ordered=True)
            rows[i], found[i] = chosen[0], kept[0]
            self.rescored += left.size
        return rows, found

    def _reach(
        self, s: int, bounds: NarrowBounds, totals: NDArray[np.float32], needed: NDArray[np.float32]
    ) -> kernels.Reached:
        segment, nesting = self.view.segments[s], self.layout.nesting
        points = []
        for dim in self.dims:
            at = nesting.dims.index(dim)
            norms = segment.norms(dim) if dim < nesting.full else None
            points.append(kernels.Checkpoint(at + 1, needed[at], norms, bounds.tails[at]))
        reached = kernels.reach_int8(
            segment.shells("int8", nesting.full),
            segment.shells("int8.scales", nesting.full),
            bounds.codes,
            bounds.scales,
            bounds.margins,
            totals,
            points,
            mask=self.masks[s],
            threads=self.threads,
        )
        self.scored += reached.scored
        return reached

    def steps(self, kept: int, *, bound: bool, renormalised: bool) -> list[ProofStep]:
        """What was read, ``kept`` results in the end.

        ``bound``, ``renormalised``: the codes of the first dim, and its norms, were read before the proof.
        """
        last = exact_stage(self.layout)
        stages = [Stage(dim, Precision.INT8) for dim in self.dims]
        sizes = [self._new_bytes(stage) for stage in stages]
        if bound:
            sizes[0] = NORM_BYTES * (stages[0].dim < self.layout.nesting.full and not renormalised)
        left = [*self.scored[1:].tolist(), self.rescored]
        return [
            *(
                ProofStep(stage, int(count), after, int(count) * size)
                for stage, count, after, size in zip(stages, self.scored, left, sizes, strict=True)
            ),
            ProofStep(last, self.rescored, kept, self.rescored * last.precision.bytes_for(last.dim)),
        ]

    def _new_bytes(self, stage: Stage) -> int:
        """Bytes of a row that a checkpoint reads beyond those before it."""
        nesting = self.layout.nesting
        shells = nesting.shells_of(stage.dim)
        new = shells if stage.dim == self.dims[0] else shells[-1:]
        read = sum(Precision.INT8.bytes_for(high - low) for low, high in new)
        return read + (NORM_BYTES if stage.dim < nesting.full else 0)

    @property
    def allowed(self) -> int:
        """Rows that may be returned."""
        return count_allowed(self.view, self.masks)
