"""Exact search in batches: on the native kernels, or on a GPU with the same answers.

On a device of torch the matrix product only chooses candidates (:mod:`kukla.evaluate.device`). They are
scored again by the kernels, and a query whose candidates are not proven to hold its answer gets four times as
many: ids and scores are those of the native exact search, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.evaluate.device import Block, find_device, scan
from kukla.index import Index, Queries
from kukla.plan import Plan, Stage
from kukla.precision import Precision
from kukla.search.best import best, ids_of
from kukla.search.execute import rescore
from kukla.search.masks import count_allowed
from kukla.search.stages import make_scorer
from kukla.storage.store import View

__all__ = ["ExactResult", "exact_plan", "exact_search"]

MARGIN = 64
"""Candidates beyond ``k``: enough to prove nearly every answer of a million vectors in the first scan."""

BLOCK_BYTES = 256 << 20
CANDIDATES = 1 << 25
"""Over all queries that are on the device together: 400 MB of row numbers and scores."""

RESCORED = 1 << 20
"""Candidates scored again at a time, over all queries."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactResult:
    """What an exact search found.

    Parameters
    ----------
    ids : ndarray, shape (n_queries, min(k, documents))
        By descending score, ties by ascending id.
    scores : ndarray of float32, same shape
    device : str
        ``cpu``: the native kernels; else the device of torch.
    widened : int
        Queries that needed more candidates than those of the first scan; 0 on the native kernels.
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    device: str
    widened: int


def exact_plan(index: Index) -> Plan:
    """One stage over whole vectors in the index's best precision: the truth that plans are held against."""
    return Plan([_stage(index, index.nesting.full)])


def exact_search(
    index: Index,
    queries: Queries,
    k: int,
    *,
    dim: int | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> ExactResult:
    """Search whole vectors, or prefixes, exactly: the same ids and scores on every device.

    Parameters
    ----------
    index : Index
    queries : str, sequence of str, or array of float (n_queries, dim)
    k : int
    dim : int, optional
        Of the nesting: search the prefixes, in the best precision that the index keeps.
    device : str
        ``cpu``: the native kernels. ``cuda``, ``cuda:1``, ``mps``: torch on that GPU. ``auto``: a GPU if
        torch sees one, else the native kernels. ``torch:cpu``: torch without a GPU. However large the index,
        a device holds blocks of at most 256 MB of vectors, of queries, of scores and of candidates: with
        what is in between, about 3 GB.
    threads : int
        Of the kernels.

    Returns
    -------
    ExactResult

    Raises
    ------
    InputError
        No such device, or it is not there.
    MissingExtraError
        A device of torch without torch: the extra ``gpu``.
    PlanError
        A dim that the index does not serve.
    """
    chosen = find_device(device)
    plan = Plan([_stage(index, index.nesting.full if dim is None else dim)])
    view = index._opened.store.current()
    allowed = count_allowed(view, view.live)
    if chosen is None or not allowed:
        found = index.search(queries, k, plan=plan, threads=threads)
        return ExactResult(found.ids, found.scores, "cpu", 0)
    plan.check(index.nesting, index._opened.settings.precisions)
    wanted = min(check_count(k, what="k"), allowed)
    search = _Search(index, plan.stages[0], view, index._opened.query_vectors(queries), threads)
    rows, scores, widened = search.run(wanted, allowed, chosen)
    return ExactResult(ids_of(view, rows), scores, f"torch:{chosen}" if chosen == "cpu" else chosen, widened)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    index: Index
    stage: Stage
    view: View
    queries: NDArray[np.float32]
    threads: int

    def run(self, k: int, allowed: int, device: str) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
        rows = np.empty((len(self.queries), k), dtype=np.int64)
        scores = np.empty((len(self.queries), k), dtype=np.float32)
        asked, keep, widened = np.arange(len(self.queries)), k + MARGIN, 0
        while len(asked):
            keep, unproven = min(keep, allowed), []
            step = max(1, min(CANDIDATES // keep, BLOCK_BYTES // (4 * self.stage.dim)))
            for start in range(0, len(asked), step):
                part = asked[start : start + step]
                found = scan(self._blocks(), self._prefixes(part), keep, device)
                proven = found.proven(k) if keep < allowed else np.ones(len(part), dtype=np.bool_)
                done = part[proven]
                rows[done], scores[done] = self._rescored(done, found.rows[proven], k)
                unproven.append(part[~proven])
            asked, keep = np.concatenate(unproven), 4 * keep
            widened = widened or len(asked)
        return rows, scores, widened

    def _rescored(
        self, asked: NDArray[np.int64], candidates: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best ``k`` of the candidates, by the kernels; in row order, which decides ties."""
        rows = np.empty((len(asked), k), dtype=np.int64)
        scores = np.empty((len(asked), k), dtype=np.float32)
        step = max(1, RESCORED // candidates.shape[1])
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            scorer = make_scorer(
                self.stage,
                self.queries[asked[part]],
                self.index.nesting,
                renormalise=self.index._opened.settings.renormalises_prefixes,
            )
            some = np.sort(candidates[part], axis=1)
            exact = rescore(scorer, some, self.view, self.view.starts, self.threads)
            rows[part], scores[part] = best(some, exact, k, self.view, ordered=True)
        return rows, scores

    @property
    def _divides(self) -> bool:
        return self.index._opened.settings.renormalises_prefixes and self.stage.dim < self.index.nesting.full

    def _prefixes(self, asked: NDArray[np.int64]) -> NDArray[np.float32]:
        prefixes = np.ascontiguousarray(self.queries[asked, : self.stage.dim])
        if not self._divides:
            return prefixes
        norms = np.sqrt(np.einsum("ij,ij->i", prefixes, prefixes, dtype=np.float64))
        return np.asarray(prefixes / np.where(norms > 0, norms, 1.0)[:, None], dtype=np.float32)

    def _blocks(self) -> Iterator[Block]:
        """The live rows of all segments."""
        height = max(1, BLOCK_BYTES // (4 * self.stage.dim))
        for segment, live, first in zip(self.view.segments, self.view.live, self.view.starts, strict=False):
            stored = segment.floats(self.stage.precision.value)
            norms = segment.norms(self.stage.dim) if self._divides else None
            for start in range(0, segment.rows, height):
                part: slice | NDArray[np.int64] = slice(start, min(start + height, segment.rows))
                if live is not None:
                    part = start + np.flatnonzero(live[start : start + height])
                numbers = np.arange(segment.rows)[part]
                if len(numbers):
                    divisors = None if norms is None else norms[part]
                    yield Block(stored[part, : self.stage.dim], numbers + first, divisors)


def _stage(index: Index, dim: int) -> Stage:
    kept = index.info().precisions
    return Stage(dim, Precision.FLOAT32 if Precision.FLOAT32 in kept else Precision.FLOAT16)
