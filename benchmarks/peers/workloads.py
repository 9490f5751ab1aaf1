"""A workload: vectors, queries, and the exact answers. A folder with `base.npy` and `queries.npy`, float32.

Any such folder will do (the ann-benchmarks sets after conversion, `gen.py`'s output, what `make_sets.py`
writes). Rows are of length 1, so that inner product and cosine rank alike. A workload may be the first `rows`
rows of a larger file: sizes of one set share it. Exact answers are computed once and kept beside the vectors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.evaluate import recall_at_k
from kukla.evaluate.recall import TOLERANCE

__all__ = ["K", "Truth", "Workload", "exact_truth"]

K = 10
DEPTH = 64
BLOCK_ROWS = 16_384
UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class Workload:
    """Its folder, and how many of its rows (`rows` of `of_rows`) are searched."""

    folder: Path
    rows: int
    dim: int
    n_queries: int
    of_rows: int

    @classmethod
    def open(cls, folder: str | Path, rows: int | None = None) -> Workload:
        """Check the two files by their headers, and that the first rows have length 1."""
        folder = Path(folder)
        shapes = {}
        for name in ("base", "queries"):
            path = folder / f"{name}.npy"
            if not path.is_file():
                raise SystemExit(f"{folder} is no workload: it has no {name}.npy (float32, one row a vector)")
            array = np.load(path, mmap_mode="r")
            if array.dtype != np.float32 or array.ndim != 2:
                raise SystemExit(f"{path}: {array.dtype} {array.shape}; a workload has float32 (n, dim)")
            lengths = np.linalg.norm(array[:1000], axis=1)
            if np.abs(lengths - 1).max() > UNIT:
                raise SystemExit(
                    f"{path}: rows of length {lengths.min():.3f} to {lengths.max():.3f}, not 1; the peers "
                    "disagree about what a cosine of other rows is, so normalise them first"
                )
            shapes[name] = array.shape
        count, dim = shapes["base"]
        if shapes["queries"][1] != dim:
            raise SystemExit(f"{folder}: vectors of {dim} dims, queries of {shapes['queries'][1]}")
        if rows is not None and not K <= rows <= count:
            raise SystemExit(f"{folder} has {count:,} rows; asked for the first {rows:,} (at least {K})")
        return cls(folder.resolve(), rows or count, dim, shapes["queries"][0], count)

    @property
    def name(self) -> str:
        """As results are keyed: `wikipedia/1000000x512`."""
        return f"{self.folder.name}/{self.rows}x{self.dim}"

    @property
    def about(self) -> str:
        """What the vectors are, where the maker of the set has said it."""
        path = self.folder / "workload.json"
        return str(json.loads(path.read_text())["about"]) if path.is_file() else self.folder.name

    def base(self) -> NDArray[np.float32]:
        """(rows, dim), mapped."""
        mapped: NDArray[np.float32] = np.load(self.folder / "base.npy", mmap_mode="r")[: self.rows]
        return mapped

    def queries(self) -> NDArray[np.float32]:
        """(n_queries, dim), in memory."""
        loaded: NDArray[np.float32] = np.load(self.folder / "queries.npy")
        return loaded

    def truth(self, report: Any = None) -> Truth:
        """The exact answers: from the cache, or computed and cached."""
        path = self.folder / f"truth-{self.rows}-k{K}.npz"
        if path.is_file():
            cached = np.load(path)
            return Truth(cached["ids"], cached["scores"])
        if report is not None:
            report(f"{self.name}: exact answers to {self.n_queries:,} queries (once, then cached)")
        truth = exact_truth(self.base(), self.queries())
        scratch = path.with_suffix(".tmp.npz")
        np.savez(scratch, ids=truth.ids, scores=truth.scores)
        scratch.replace(path)
        return truth


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Exact ids and scores (n_queries, depth), deep enough to hold every row tied with the k-th."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]

    def recall(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """recall@K of the first `len(ids)` queries; a row tied with the k-th counts (`kukla.evaluate`)."""
        count = len(ids)
        return recall_at_k(ids, self.ids[:count], self.scores[:count], k=K)

    def of(self, rows: NDArray[np.int64]) -> Truth:
        """Of some queries, in the order given."""
        return Truth(self.ids[rows], self.scores[rows])


def exact_truth(
    base: NDArray[np.float32], queries: NDArray[np.float32], *, k: int = K, depth: int = DEPTH
) -> Truth:
    """Inner products of all rows with all queries, block by block; the best again in float64.

    The matrix product sums in float32; its best `2 * depth` rows are scored again in float64, so that order
    and ties do not depend on the order in which a BLAS adds. Where a query's k-th score is shared by more
    rows than `depth`, everything is done again four times as deep.
    """
    depth = min(depth, len(base))
    wide = min(2 * depth, len(base))
    ids = np.empty((len(queries), 0), dtype=np.int64)
    scores = np.empty((len(queries), 0), dtype=np.float32)
    for start in range(0, len(base), BLOCK_ROWS):
        block = np.asarray(base[start : start + BLOCK_ROWS])
        products = queries @ block.T
        if (keep := min(wide, len(block))) < len(block):
            local = np.argpartition(-products, keep - 1, axis=1)[:, :keep]
        else:
            local = np.broadcast_to(np.arange(len(block)), (len(queries), len(block)))
        ids = np.concatenate([ids, local + start], axis=1)
        scores = np.concatenate([scores, np.take_along_axis(products, local, axis=1)], axis=1)
        if ids.shape[1] > wide:
            best = np.argpartition(-scores, wide - 1, axis=1)[:, :wide]
            ids, scores = np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)
    exact = np.empty((len(queries), depth), dtype=np.float32)
    order = np.empty((len(queries), depth), dtype=np.int64)
    for row, found in enumerate(ids):
        found = np.sort(found)
        values = base[found].astype(np.float64) @ queries[row].astype(np.float64)
        best = np.lexsort((found, -values))[:depth]
        order[row], exact[row] = found[best], values[best]
    if k < depth < len(base) and (exact[:, -1] >= exact[:, k - 1] - TOLERANCE).any():
        return exact_truth(base, queries, k=k, depth=4 * depth)
    return Truth(order, exact)
