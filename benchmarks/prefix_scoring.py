"""Should a prefix stage renormalise? `python -m benchmarks.prefix_scoring DATA`.

For real vectors of models served without a projection: recall@10 of a prefix by the partial dot product of
the unit vectors, and by the cosine of the renormalised prefixes. This decides what
`kukla.search.stages` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.plans import SEED, SETS, K
from kukla import truncate


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/ in it")
    folder = parser.parse_args().data / "vectors"
    table = Table(
        "vectors", "dims", "partial dot product", "renormalised", title=f"recall@{K} of a float32 prefix"
    )
    for title, pattern in SETS:
        vectors = np.concatenate([np.load(path) for path in sorted(folder.glob(pattern))])
        vectors = truncate(vectors.astype(np.float32), vectors.shape[1])
        order = np.random.default_rng(SEED).permutation(len(vectors))
        split = len(vectors) // 5
        queries, documents = vectors[order[:split]], vectors[order[split:]]
        exact = _top(queries @ documents.T)
        for fraction in (2, 4, 8, 16):
            dim = vectors.shape[1] // fraction
            partial = _top(queries[:, :dim] @ documents[:, :dim].T)
            renormalised = _top(truncate(queries, dim) @ truncate(documents, dim).T)
            table.add_row(
                title, str(dim), f"{_recall(partial, exact):.3f}", f"{_recall(renormalised, exact):.3f}"
            )
    Console(width=120).print(table)


def _recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)]))


def _top(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :K]


if __name__ == "__main__":
    main()
