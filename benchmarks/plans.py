"""Recall of a few plans on real model output: `python -m benchmarks.plans DATA`.

Each set of vectors is split by a fixed seed into documents (four fifths) and queries (one fifth); the truth
is an exact float32 search. Sets where the model was never trained for prefixes are the losing cases.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Index
from kukla.evaluate import exact_answers

SETS = (
    ("text-embedding-3-small, 319 entities", "oai3small_dickens/entities.npy"),
    ("text-embedding-3-small, 359 relationships", "oai3small_dickens/relationships.npy"),
    ("nomic-embed-text, 1,022 texts", "nomic_books_vi/*.npy"),
    ("ada-002 (never trained for prefixes), 101 products", "products_ada002_3small256/ada002_1536.npy"),
    ("bge-base (never trained for prefixes), 76 codes", "bge_base_hscodes76/*.npy"),
)
K = 10
SEED = 1


def plans(full: int) -> tuple[str, ...]:
    """A quarter and a sixteenth of the dims, and the default plan of an uncalibrated index."""
    quarter, sixteenth = full // 4, full // 16
    return (
        f"{full}:binary@20x > {full}:int8@4x > {full}:float32",
        f"{quarter}:int8@5x > {full}:float32",
        f"{quarter}:binary@5x > {full}:int8@2x > {full}:float32",
        f"{sixteenth}:int8@5x > {full}:float32",
        f"{quarter}:float32",
    )


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/ in it")
    console = Console(width=120)
    folder = parser.parse_args().data / "vectors"
    for title, pattern in SETS:
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise SystemExit(f"no vectors match {folder / pattern}")
        vectors = np.concatenate([np.load(path) for path in paths]).astype(np.float32)
        console.print(_table(title, vectors))


def _table(title: str, vectors: np.ndarray) -> Table:
    order = np.random.default_rng(SEED).permutation(len(vectors))
    split = len(vectors) // 5
    queries, documents = vectors[order[:split]], vectors[order[split:]]
    full = documents.shape[1]
    table = Table("plan", f"recall@{K}", "bytes/vector in memory", "less than float32", title=title)
    with tempfile.TemporaryDirectory() as folder:
        nesting = (full // 16, full // 4, full)
        index = Index.create(Path(folder) / "set.kukla", dim=full, nesting=nesting)
        index.add(documents)
        exact = exact_answers(index, queries, k=K)
        for plan in plans(full):
            found = index.search(queries, K, plan=plan)
            cost = index.explain(plan, k=K)
            per_vector = cost.resident_bytes / len(documents)
            table.add_row(
                plan,
                f"{exact.recall(found.ids).mean():.3f}",
                f"{per_vector:,.0f}",
                f"{cost.memory_ratio:.1f}x",
            )
        index.close()
    return table


if __name__ == "__main__":
    main()
