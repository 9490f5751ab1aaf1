"""Write the golden index with lists: ``python tests/data/make_golden_lists.py tests/data/golden-lists-v3``.

Run once for each version of the format of lists and committed, as `make_golden.py` is. Vectors are computed
from whole numbers; centroids and codebooks are trained, and so what is committed is the only one of its kind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import Index

DIM, LARGE, SMALL, LISTS, CODE_BYTES, DELETED = 16, 1030, 30, 12, 8, 77
PLANS = (
    "16:pq4",
    "16:pq4/1@2 > 16:float16",
    "16:pq4/6@3 > 16:float16",
    "16:pq4/3@40 > 16:int8@12 > 16:float16",
    "16:pq4@2000 > 16:float16",
    "16:float16",
)
FILTER = {"third": 1}


def vectors(first: int, count: int, dim: int = DIM) -> NDArray[np.float32]:
    """Whole numbers from -50 to 50 that shrink over the coordinates, in places of their own."""
    i, j = np.arange(first, first + count)[:, None], np.arange(dim)
    place = (i % 9 * 41 + i % 9 * j * 29 + j * j * 13) % 101 - 50
    values = 2 * place + (i * i * 31 + i * j * 17 + j * j * 7) % 101 - 50
    return (values / (1 + j // 3)).astype(np.float32)


def write(folder: Path) -> None:
    with Index.create(folder, dim=DIM, precisions=("int8", "float16")) as index:
        index.add(vectors(0, LARGE), metadata=[{"third": i % 3} for i in range(LARGE)])
        index.partition(LISTS, code_bytes=CODE_BYTES)
        index.add(vectors(LARGE, SMALL))
        index.delete(DELETED)


def answers(index: Index) -> dict[str, Any]:
    """What the index says, JSON-able."""

    def found(**options: Any) -> dict[str, Any]:
        result = index.search(vectors(5000, 3), 6, **options)
        return {
            "ids": result.ids.tolist(),
            "scores": [[float(f"{x:.8g}") for x in row] for row in result.scores],
            "scored": result.stages[0].scored,
        }

    partition = index._opened.store.current().partition
    assert partition is not None
    return {
        "count": len(index),
        "lists": partition.lists,
        "fingerprint": partition.fingerprint,
        "plans": {plan: found(plan=plan) for plan in PLANS},
        "filtered": found(filter=FILTER, plan=PLANS[2]),
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target)
    with Index.open(target, read_only=True) as golden:
        said = json.dumps(answers(golden), indent=1)
    target.with_suffix(".json").write_text(said + "\n", encoding="utf-8")
