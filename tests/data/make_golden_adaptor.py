"""Write the golden index with an adaptor into ``tests/data/golden-v1-adaptor``, the argument.

Run once and committed, as `make_golden.py` is: what it wrote must load forever, and readers from before
adaptors refuse it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import Index
from kukla.projection import Adaptor

DIM, HIDDEN, NESTING, COUNT = 24, 10, (8, 24), 30
PLANS = ("24:float32", "8:int8@3x > 24:float32", "8:float32")


def numbers(rows: int, columns: int, seed: int) -> NDArray[np.float32]:
    """Whole numbers from -50 to 50."""
    i, j = np.arange(rows)[:, None], np.arange(columns)
    return ((i * i * 31 + i * j * 17 + j * j * 7 + seed * 13) % 101 - 50).astype(np.float32)


def adaptor() -> Adaptor:
    """A reflection, then a network that moves vectors by about a tenth."""
    normal = numbers(1, DIM, 5)[0].astype(np.float64)
    reflection = np.eye(DIM) - 2 * np.outer(normal, normal) / (normal @ normal)
    inner, outer = numbers(DIM, HIDDEN, 1) / 256, numbers(HIDDEN, DIM, 2) / 1024
    return Adaptor(reflection, inner, outer, renormalises_prefixes=False, about={"fit": "golden"})


def write(folder: Path) -> None:
    with Index.create(folder, dim=DIM, nesting=NESTING, projection=adaptor()) as index:
        index.add(numbers(COUNT, DIM, 3), ids=[f"doc-{i:02d}" for i in range(COUNT)])


def answers(index: Index) -> dict[str, Any]:
    """What the index says, JSON-able."""
    found = {plan: index.search(numbers(COUNT + 3, DIM, 4)[-3:], 5, plan=plan) for plan in PLANS}
    return {
        plan: {"ids": one.ids.tolist(), "scores": [[float(f"{x:.8g}") for x in row] for row in one.scores]}
        for plan, one in found.items()
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target)
    with Index.open(target, read_only=True) as golden:
        said = json.dumps(answers(golden), indent=1)
    target.with_suffix(".json").write_text(said + "\n", encoding="utf-8")
