"""Certificates: what a result says about itself.

A search cuts its candidates after every stage. It was exact if the best that any dropped document could
score, its codes' errors and its unread tail included (:mod:`kukla.search.bounds`), is below the k-th exact
score that was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.bounds import FLOAT16, FLOAT16_STEP, LARGEST, QueryBounds
from kukla.storage.layout import Layout
from kukla.storage.store import View

__all__ = ["Certificate", "Evidence", "Grounds", "Promise", "exact_stage"]

PROBABILITY = 0.95


@dataclass(frozen=True, slots=True)
class Certificate:
    """How sure one query's answer is.

    ``exact``: proven to be what an exact search of the stored vectors returns; after a projection that is not
    orthonormal (an adaptor) these are not the model's own. ``probable``: at least ``recall`` with
    ``probability``, for queries drawn as those of the calibration. ``none``: not certified.
    """

    kind: Literal["exact", "probable", "none"]
    recall: float
    probability: float

    def __str__(self) -> str:
        if self.kind == "exact":
            return "exact"
        if self.kind == "none":
            return "not certified"
        return f"recall >= {self.recall:.3g} with probability {self.probability:.3g}"


EXACT = Certificate("exact", 1.0, 1.0)
NONE = Certificate("none", 0.0, 0.0)


class Promise(Protocol):
    """What a calibration knows of the recall of single queries."""

    def recalls(self, gaps: NDArray[np.float64], probability: float) -> NDArray[np.float64]:
        """The recall that a query of this gap (see :meth:`Evidence.gaps`) reaches with a probability."""
        ...


def exact_stage(layout: Layout) -> Stage:
    """The stage that scores by whole vectors in the best precision kept: the truth of an index."""
    return Stage(layout.nesting.full, layout.float_precision)


Grounds = tuple[NDArray[np.float32], View, Layout, bool, Promise | None]
"""Queries, view, layout, renormalise and promise: what evidence needs beside what was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What certificates are made of.

    Parameters
    ----------
    plan : Plan
    queries : ndarray of float32, shape (n_queries, full)
    cuts : ndarray of float32, shape (stages, n_queries)
        See :class:`kukla.search.result.Found`.
    kth : ndarray of float32, shape (n_queries,)
        The last score of each result; ``inf`` where there are no results.
    view : View
    layout : Layout
    renormalise : bool
        Whether stages ranked by the cosine of prefixes.
    proven : bool
        Every result was proven already.
    promise : Promise, optional
    """

    plan: Plan
    queries: NDArray[np.float32]
    cuts: NDArray[np.float32]
    kth: NDArray[np.float32]
    view: View
    layout: Layout
    renormalise: bool
    proven: bool = False
    promise: Promise | None = None

    @classmethod
    def of(
        cls,
        plan: Plan,
        scores: NDArray[np.float32],
        cuts: NDArray[np.float32],
        queries: NDArray[np.float32],
        view: View,
        layout: Layout,
        renormalise: bool,
        promise: Promise | None,
    ) -> Self:
        """Of the scores ``(n_queries, m)`` that a plan found."""
        kth = scores[:, -1] if scores.shape[1] else np.full(len(queries), np.inf, dtype=np.float32)
        return cls(plan, queries, cuts, kth, view, layout, renormalise, promise=promise)

    def certificates(self, probability: float = PROBABILITY) -> tuple[Certificate, ...]:
        """One for each query."""
        exact = self.exact()
        if self.promise is None or exact.all():
            return tuple(EXACT if proven else NONE for proven in exact)
        recalls = self.promise.recalls(self.gaps(), probability)
        return tuple(
            EXACT if proven else Certificate("probable", float(recall), probability) if recall > 0 else NONE
            for proven, recall in zip(exact, recalls, strict=True)
        )

    def gaps(self) -> NDArray[np.float64]:
        """How far the k-th score lies above the worst that the first stage kept; ``inf`` if it kept all."""
        return np.asarray(self.kth.astype(np.float64) - self.cuts[0])

    def exact(self) -> NDArray[np.bool_]:
        """Which results are proven to be those of an exact search."""
        if self.proven or not self.view.segments:
            return np.ones(len(self.queries), dtype=np.bool_)
        if self.plan.stages[-1] != exact_stage(self.layout):
            return np.zeros(len(self.queries), dtype=np.bool_)
        cut = self.cuts[:-1]
        nothing_dropped: NDArray[np.bool_] = np.all(cut == -np.inf, axis=0)
        if nothing_dropped.all():
            return nothing_dropped
        bounds = QueryBounds.of(self.queries, self.layout)
        dropped = np.stack(
            [
                line + self._error(stage, bounds)
                for line, stage in zip(cut.astype(np.float64), self.plan.stages, strict=False)
            ]
        )
        return np.asarray(np.all(dropped < np.minimum(self.kth, LARGEST), axis=0))

    def _error(self, stage: Stage, bounds: QueryBounds) -> NDArray[np.float64]:
        """How much more than a stage's score a document's exact score can be, for each query."""
        nothing = np.full(len(self.queries), np.inf)
        segments, full = self.view.segments, self.layout.nesting.full
        if stage.precision in (Precision.BINARY, Precision.PQ4):
            return nothing
        if stage.dim < full and (self.renormalise or not self.layout.cosine):
            return nothing
        error = bounds.slack.copy()
        shells = self.layout.nesting.shells_of(stage.dim)
        if stage.dim < full:
            norm = min(segment.least(f"norms.{stage.dim}") for segment in segments)
            error += bounds.tails[len(shells) - 1] * np.sqrt(max(0.0, 1 + 1e-6 - norm * norm))
        if stage.precision is Precision.INT8:
            for s, (low, high) in enumerate(shells):
                scale = max(segment.largest(f"int8.scales.{low}-{high}") for segment in segments)
                error += bounds.margins[:, s] * scale
        elif stage.precision is not self.layout.float_precision:
            error += FLOAT16 + FLOAT16_STEP * np.sqrt(stage.dim) if self.layout.cosine else np.inf
        return error
