"""Write the golden index of a format version: ``python tests/data/make_golden.py tests/data/golden-v1``.

Run once for each version of the format and committed; what it wrote must load forever. Everything in it is
computed from whole numbers, so a second run writes the same vectors on any machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import Index

DIM, NESTING, COUNT, DELETED = 40, (8, 24, 40), 60, "doc-07"
PRECISIONS = ("binary", "int8", "float16", "float32")
PLANS = (
    "40:float32",
    "40:float16",
    "40:int8",
    "40:binary",
    "24:float32",
    "8:binary@20 > 24:int8@10 > 40:float32",
    "24:binary@5x > 40:int8@2x > 40:float16",
)
FILTER = {"$and": [{"third": {"$lt": 2}}, {"tags": "b"}]}


def vectors(first: int, count: int) -> NDArray[np.float32]:
    """Whole numbers from -50 to 50 that shrink over the coordinates; no two rows are parallel."""
    i, j = np.arange(first, first + count)[:, None], np.arange(DIM)
    values = (i * i * 31 + i * j * 17 + j * j * 7) % 101 - 50
    return (values / (1 + j // 8)).astype(np.float32)


def text(i: int) -> str | None:
    return None if i % 10 == 9 else f"The doll number {i} holds a smaller one — матрёшка {i}."


def metadata(i: int) -> dict[str, Any]:
    return {} if i % 10 == 8 else {"third": i % 3, "tags": ["a", "b"] if i % 2 else ["c"], "at": {"x": i / 4}}


def write(folder: Path) -> None:
    with Index.create(
        folder, dim=DIM, nesting=NESTING, precisions=PRECISIONS, plan="24:binary@4x > 40:float32"
    ) as index:
        for first, count in ((0, 45), (45, COUNT - 45)):
            rows = range(first, first + count)
            index.add(
                vectors(first, count),
                ids=[f"doc-{i:02d}" for i in rows],
                texts=[text(i) for i in rows],
                metadata=[metadata(i) for i in rows],
            )
        index.delete(DELETED)


def answers(index: Index) -> dict[str, Any]:
    """What the index says, JSON-able."""

    def found(**options: Any) -> dict[str, Any]:
        result = index.search(vectors(100, 3), 6, **options)
        return {
            "ids": result.ids.tolist(),
            "scores": [[float(f"{x:.8g}") for x in row] for row in result.scores],
        }

    return {
        "count": len(index),
        "default plan": str(index.plan),
        "plans": {plan: found(plan=plan) for plan in PLANS},
        "filtered": found(filter=FILTER, plan="40:float32"),
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target)
    with Index.open(target, read_only=True) as golden:
        said = json.dumps(answers(golden), indent=1, ensure_ascii=False)
    target.with_suffix(".json").write_text(said + "\n", encoding="utf-8")
