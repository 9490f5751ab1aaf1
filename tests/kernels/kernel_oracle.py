"""Whole score matrices and full sorts, written without the package: what every kernel must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def patterns(rng: np.random.Generator, n: int, width: int) -> Array:
    """float32 (n, width) like embeddings: topics, falling spread, a spike, and some exact duplicates."""
    topics = rng.standard_normal((7, width)) * np.linspace(2.0, 0.3, width)
    rows = topics[rng.integers(0, 7, n)] + 0.5 * rng.standard_normal((n, width))
    if width:
        rows[:, width // 3] += 4.0
    if n > 10:
        rows[rng.integers(0, n, n // 5)] = rows[rng.integers(0, n, n // 5)]
    return rows.astype(np.float32)


def bits(values: Array) -> Array:
    """Packed signs, uint8 (n, ceil(width / 8)), pad bits zero."""
    return np.packbits(values > 0, axis=1)


def codes(values: Array, largest: int, dtype: type[np.generic]) -> tuple[Array, Array]:
    """Integer codes of each row and the size of their unit."""
    unit = np.abs(values).max(axis=1, initial=1e-6) / largest
    return np.rint(values / unit[:, None]).astype(dtype), unit.astype(np.float32)


def distances(shells: Sequence[Array], queries: Sequence[Array]) -> Array:
    total = np.zeros((len(queries[0]), len(shells[0])), dtype=np.int64)
    for shell, query in zip(shells, queries, strict=True):
        a, b = (np.unpackbits(x, axis=1).astype(np.float64) for x in (query, shell))
        total += np.rint(a.sum(1)[:, None] + b.sum(1)[None, :] - 2 * (a @ b.T)).astype(np.int64)
    return total.astype(np.int32)


def int8_scores(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    norms: Any,
) -> Array:
    total = np.zeros((len(query_scales), len(shells[0])), dtype=np.float64)
    for s, (shell, scale, query) in enumerate(zip(shells, scales, query_codes, strict=True)):
        dots = np.rint(query.astype(np.float64) @ shell.astype(np.float64).T).astype(np.int64)
        for q in range(len(query_scales)):
            total[q] += dots[q].astype(np.float64) * (query_scales[q, s] * scale.astype(np.float64))
    return divided(total, norms).astype(np.float32)


def divided(total: Array, norms: Any) -> Array:
    if norms is None:
        return total
    return np.where(norms == 0, 0.0, total / np.where(norms == 0, 1, norms).astype(np.float64))


def best(values: Array, keep: int, mask: Any, *, descending: bool) -> tuple[Array, Array]:
    """The rows and values of a full sort of the allowed rows."""
    allowed = np.arange(values.shape[1]) if mask is None else np.flatnonzero(mask)
    chosen = values[:, allowed]
    order = np.argsort(-chosen if descending else chosen, axis=1, kind="stable")[:, :keep]
    return allowed[order], np.take_along_axis(chosen, order, axis=1)


def masks(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {
        "none": None,
        "all zero": np.zeros(n, dtype=np.bool_),
        "half": rng.random(n) < 0.5,
        "few": (rng.random(n) < 0.02).astype(np.uint8) * np.uint8(7),
    }


def same(got: tuple[Array, Array], wanted: tuple[Array, Array]) -> None:
    """Equal rows and equal values, to the bit."""
    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(got[1], wanted[1])
    assert got[0].dtype == np.int64
    assert got[1].dtype == wanted[1].dtype
