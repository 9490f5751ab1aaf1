"""Kukla in ann-benchmarks (github.com/erikbern/ann-benchmarks): copy this folder to its `algorithms/`.

Its runner calls `fit` with all vectors, then for every line of `query_args` `set_query_arguments` and one
`query` per test vector (or one `batch_query` with --batch). A query argument is a plan in which `{full}`
stands for all dims of the data set.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from kukla import Index, Plan

from ..base.module import BaseANN

METRICS = {"angular": "cosine"}


class Kukla(BaseANN):
    """An index in a temporary folder, searched by plans.

    Parameters
    ----------
    metric : str
        `angular`; Kukla ranks by cosine or inner product, not by Euclidean distance.
    build : dict
        `projection`: `none`, or `pca` fitted on the vectors; `nesting` (optional): the dims kept.
    """

    def __init__(self, metric: str, build: dict) -> None:
        if metric not in METRICS:
            raise NotImplementedError(f"Kukla ranks by {', '.join(METRICS)}, not by {metric}")
        self._metric = METRICS[metric]
        self._build = build
        self._folder = Path(tempfile.mkdtemp(prefix="kukla-"))
        self._index: Index | None = None
        self.name = f"Kukla({build})"

    def fit(self, X: np.ndarray) -> None:
        """Index the rows of X; row numbers are the ids."""
        rows = np.asarray(X, dtype=np.float32)
        projection = None
        if self._build.get("projection", "none") == "pca":
            from kukla.projection import fit_pca

            projection = fit_pca(rows)
        path = self._folder / "index"
        self._index = Index.create(
            path,
            dim=rows.shape[1],
            metric=self._metric,
            nesting=self._build.get("nesting"),
            projection=projection,
        )
        self._index.add(rows, ids=range(len(rows)))
        self._index.compact()

    def set_query_arguments(self, plan: str) -> None:
        """The plan of the queries that follow."""
        self._plan = Plan.parse(plan.format(full=self._index.nesting.full))
        self._read = 0
        self._asked = 0
        self.name = f"Kukla({self._build}, {self._plan})"

    def query(self, q: np.ndarray, n: int) -> np.ndarray:
        """Row numbers of the best n, best first."""
        found = self._index.search(q, n, plan=self._plan)
        self._count(found, 1)
        return found.ids[0]

    def batch_query(self, X: np.ndarray, n: int) -> None:
        """All rows of X in one call, in as many threads as there are processors."""
        found = self._index.search(X, n, plan=self._plan, threads=os.cpu_count() or 1)
        self._count(found, len(X))
        self.res = found.ids

    def get_batch_results(self) -> np.ndarray:
        return self.res

    def get_additional(self) -> dict:
        """Bytes that a query read, on average."""
        return {"bytes_read": self._read / max(1, self._asked)}

    def done(self) -> None:
        if self._index is not None:
            self._index.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _count(self, found, queries: int) -> None:
        self._read += found.bytes_read
        self._asked += queries
