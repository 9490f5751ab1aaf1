"""ScaNN: a tree of about the root of n leaves, anisotropic hashing (2 dims a block), reordering."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape, power_of_two

__all__ = ["ENGINE", "ScannTree"]

SHARES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
REORDERED = (40, 100, 250, 600)


class ScannTree(Engine):
    """Its own three phases: partition, score by AH, reorder. It takes no prefix; AH codes all dims."""

    title = "ScaNN"
    packages = ("scann",)
    modules = ("scann",)
    guide = "google-research/scann/docs/algorithms.md; AlloyDB ScaNN index reference (leaves up to n / 100)"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        root = power_of_two(shape.rows**0.5)
        return [
            {"leaves": 2 * root, "threshold": 0.2, "block": 2, "reorder": "float32"},
            {"leaves": 2 * root, "threshold": 0.2, "block": 4, "reorder": "float32"},
            {"leaves": 4 * root, "threshold": 0.2, "block": 2, "reorder": "float32"},
            {"leaves": 2 * root, "threshold": 0.2, "block": 2, "reorder": "int8"},
        ]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        leaves = dict.fromkeys(max(1, round(share * build["leaves"])) for share in SHARES)
        return [{"leaves": some, "reorder": count} for some, count in product(leaves, REORDERED)]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import scann

        sample = min(len(base), 250_000)
        builder = scann.scann_ops_pybind.builder(np.ascontiguousarray(base), 10, "dot_product")
        builder = builder.set_n_training_threads(threads)
        builder = builder.tree(
            num_leaves=build["leaves"], num_leaves_to_search=10, training_sample_size=sample
        )
        builder = builder.score_ah(
            build["block"],
            anisotropic_quantization_threshold=build["threshold"],
            training_sample_size=min(len(base), 100_000),
        )
        searcher = builder.reorder(100, quantize=build["reorder"] == "int8").build()
        searcher.serialize(str(folder))

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        import scann

        self._searcher = scann.scann_ops_pybind.load_searcher(str(folder))
        self._searcher.set_num_threads(threads)
        self._threads = threads
        self._held = 4 * base.shape[0] * base.shape[1] if build["reorder"] == "float32" else 0

    def configure(self, search: Params) -> None:
        self._leaves: int = search["leaves"]
        self._reorder: int = search["reorder"]

    def one(self, query: Floats, k: int) -> Ids:
        found, _ = self._searcher.search(
            query,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=self._reorder,
            leaves_to_search=self._leaves,
        )
        row: Ids = self._full(found[None], k)[0]
        return row

    def batch(self, queries: Floats, k: int) -> Ids:
        search = (
            self._searcher.search_batched_parallel if self._threads > 1 else self._searcher.search_batched
        )
        found, _ = search(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=self._reorder,
            leaves_to_search=self._leaves,
        )
        return self._full(found, k)

    @staticmethod
    def _full(found: Ids, k: int) -> Ids:
        """Leaves with fewer than k rows give fewer: -1 for the rest."""
        padded = np.full((len(found), k), -1, dtype=np.int64)
        padded[:, : found.shape[1]] = found
        return padded

    def full_vectors(self) -> int:
        return self._held


ENGINE = ScannTree
