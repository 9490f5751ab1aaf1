"""What both zvec engines share: a collection of one field, its fast path to internal ids."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params

__all__ = ["ZvecEngine"]

INSERT_ROWS = 1000


class ZvecEngine(Engine):
    """A collection with an index; searched by `query_internal_ids`, which materialises no documents."""

    packages = ("zvec",)
    modules = ("zvec",)
    _param: Any
    guide = "zvec.org docs, vector index; parameter docstrings of zvec 0.8"

    def index_param(self, build: Params) -> Any:
        """zvec's index parameters."""
        raise NotImplementedError

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=threads, optimize_threads=threads)
        field = zvec.VectorSchema("v", zvec.DataType.VECTOR_FP32, base.shape[1], self.index_param(build))
        schema = zvec.CollectionSchema(name="peer", vectors=field)
        collection = zvec.create_and_open(path=str(folder / "collection"), schema=schema)
        for start in range(0, len(base), INSERT_ROWS):
            block = np.asarray(base[start : start + INSERT_ROWS])
            docs = [zvec.Doc(id=str(start + at), vectors={"v": row}) for at, row in enumerate(block)]
            for status in collection.insert(docs):
                if not status.ok():
                    raise RuntimeError(f"zvec refused a row: {status}")
        collection.optimize(option=zvec.OptimizeOption(concurrency=threads))
        collection.flush()
        collection.close()

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=threads, optimize_threads=1)
        option = zvec.CollectionOption(read_only=True, enable_mmap=True)
        self._collection = zvec.open(str(folder / "collection"), option=option)
        self._query = zvec.Query
        self._row_of = self._external(len(base))
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def _external(self, rows: int) -> Ids:
        """Our row of each internal id."""
        names = self._collection.resolve_internal_ids(np.arange(rows))
        return np.array([int(name or -1) for name in names], dtype=np.int64)

    def one(self, query: Floats, k: int) -> Ids:
        asked = self._query(field_name="v", vector=query, param=self._param)
        found: Any = self._collection.query_internal_ids(asked, topk=k)
        return np.where(found >= 0, self._row_of[found], -1)

    def batch(self, queries: Floats, k: int) -> Ids:
        """zvec has no call for a batch: one query a call, from as many Python threads."""
        if self._pool is None:
            return np.stack([self.one(query, k) for query in queries])
        return np.stack(list(self._pool.map(lambda query: self.one(query, k), queries)))
