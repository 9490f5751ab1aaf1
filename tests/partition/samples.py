"""Vectors that gather in places, as those of texts do, and small indexes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import Index

__all__ = ["clustered", "same_everywhere", "three_segments"]


def clustered(
    count: int, dim: int, *, seed: int = 0, places: int = 25, spread: float = 0.6
) -> NDArray[np.float32]:
    """float32 (count, dim); the places are the same for every seed, later dims say less."""
    centres = np.random.default_rng(99).standard_normal((places, dim))
    rng = np.random.default_rng([3, seed])
    scale = 1 / np.sqrt(1 + np.arange(dim) / 8)
    noise = spread * rng.standard_normal((count, dim))
    return ((centres[rng.integers(0, places, count)] + noise) * scale).astype(np.float32)


def three_segments(
    folder: Path, dim: int, *, strings: bool = False, lists: int = 150, seed: int = 0, **settings: Any
) -> Index:
    """2,100 documents: two segments with lists, of which those of the second are shorter, and a small one
    without; some deleted. Metadata ``n`` goes from 0 to 99."""
    rows = clustered(2450, dim, seed=seed)
    order = np.random.default_rng(1).permutation(len(rows))
    index = Index.create(folder, dim=dim, **settings)
    for low, high in ((0, 1300), (1300, 2400), (2400, 2450)):
        part = order[low:high]
        index.add(
            rows[part],
            ids=[f"d{i}" for i in part] if strings else [int(i) for i in part],
            metadata=[{"n": int(i) % 100} for i in part],
        )
    index.partition(lists, code_bytes=16)
    gone = range(0, 2450, 7)
    index.delete([f"d{i}" for i in gone] if strings else gone)
    view = index._opened.store.current()
    assert [lists is None for lists in view.lists] == [False, False, True], "one of each kind of segment"
    return index


def same_everywhere(index: Index, queries: NDArray[np.float32], k: int, plan: str, **options: Any) -> Any:
    """Search with every implementation: ids, scores, reports and gaps are NumPy's, to the bit."""
    from kukla import kernels

    with kernels.use("numpy"):
        expected = index.search(queries, k, plan=plan, **options)
    for name in kernels.available():
        if name == "numpy":
            continue
        with kernels.use(name):
            found = index.search(queries, k, plan=plan, **options)
        assert found.plan == expected.plan
        np.testing.assert_array_equal(found.ids, expected.ids, err_msg=name)
        np.testing.assert_array_equal(found.scores, expected.scores, err_msg=name)
        assert reports(found) == reports(expected), name
        np.testing.assert_array_equal(found.evidence.cuts, expected.evidence.cuts, err_msg=name)
    return expected


def reports(result: Any) -> Sequence[tuple[object, ...]]:
    """What stages say of themselves, but for the time."""
    return [(one.stage, one.scored, one.kept, one.bytes_read) for one in result.stages]
