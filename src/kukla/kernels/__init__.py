"""Kernels: scan all rows for the best few, score given rows, bound, select, pool.

Every function checks its arguments and then runs one implementation: the NumPy reference, which is the
specification, or native code for the instruction set that `active` names. n is the number of documents, nq of
queries, S of shells, m of results per query. Arrays must be C-contiguous with exactly the stated dtype
(nothing is converted or copied); results are new arrays.

Scans return ``m = min(keep, rows allowed by mask)`` results per query in a strict total order, ties by row,
NaN last: the same for any number of threads and, but for the rounding of the float kernels, on any machine.
A scan costs O(n * nq * width). Beside the result it needs about 16 * min(keep, n) bytes for each of at most
64 queries at a time and for each thread.

Every function raises `VectorError` for arrays of a wrong type, dtype, shape or layout or with values out of
range, and `InputError` for a number out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kukla.errors import VectorError
from kukla.kernels import checks, dispatch, reference
from kukla.kernels.dispatch import active, available, forced, use
from kukla.kernels.partition import at_least, nibble_codes, nibble_scores, nibble_stretches, nibble_sums
from kukla.kernels.reach import Checkpoint, Reached, bound_int8, reach_int8
from kukla.kernels.rows import encode_rows, unit_queries, unit_rows

if TYPE_CHECKING:
    from kukla.kernels._native import Runner

__all__ = [
    "Checkpoint",
    "Reached",
    "active",
    "at_least",
    "available",
    "bound_int8",
    "encode_rows",
    "forced",
    "nibble_codes",
    "nibble_scores",
    "nibble_stretches",
    "nibble_sums",
    "pool_rows",
    "reach_int8",
    "runner",
    "scan_binary",
    "scan_float",
    "scan_int8",
    "score_binary",
    "score_float",
    "score_int8",
    "top_k",
    "unit_queries",
    "unit_rows",
    "use",
]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def scan_binary(
    shells: Sequence[Array],
    queries: Sequence[Array],
    keep: int,
    *,
    mask: Array | None = None,
    threads: int = 1,
) -> tuple[I64, I32]:
    """Find the rows of smallest Hamming distance, summed over shells.

    Parameters
    ----------
    shells : sequence of uint8 (n, bytes_s)
        Packed bits, at least one shell; unused bits of a last byte are zero in shells and queries alike.
    queries : sequence of uint8 (nq, bytes_s)
        The same shells of the queries.
    keep : int
        Results per query, 0 or more.
    mask : bool or uint8 (n,), optional
        Rows that may be returned (non-zero); all by default.
    threads : int
        At most this many threads; small scans use fewer.

    Returns
    -------
    rows : int64 (nq, m)
    distances : int32 (nq, m)
        Ascending, equal distances by ascending row. Exact.
    """
    n, nq = checks.binary_shells(shells, queries)
    mask, keep, threads = _limits(n, keep, mask, threads)
    rows, distances = np.empty((nq, keep), dtype=np.int64), np.empty((nq, keep), dtype=np.int32)
    if not rows.size:
        return rows, distances
    if (isa := active()) == "numpy":
        return reference.scan_binary(shells, queries, keep, mask)
    dispatch.native.scan_binary(isa, list(shells), list(queries), mask, threads, rows, distances)
    return rows, distances


def scan_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    keep: int,
    *,
    norms: Array | None = None,
    mask: Array | None = None,
    threads: int = 1,
) -> tuple[I64, F32]:
    """Find the rows of largest scaled integer dot product, summed over shells.

    With ``dot_s`` the exact integer dot product of a shell's codes, a score is
    ``float32(sum_s(float64(dot_s) * (query_scales[q, s] * float64(scales_s[row]))) / norms[row])``, summed in
    float64 in the order of the shells and rounded once: the same to the bit in every implementation.

    Parameters
    ----------
    shells : sequence of int8 (n, w_s)
        Codes, at least one shell, each at most 65,536 wide.
    scales : sequence of float32 (n,)
        What one code unit of each row is worth, per shell.
    query_codes : sequence of int16 (nq, w_s)
        Of magnitude at most 8191.
    query_scales : float64 (nq, S)
        What one query code unit is worth.
    keep : int
        Results per query, 0 or more.
    norms : float32 (n,), optional
        Divisors; a row of norm 0 scores 0. No division by default.
    mask : bool or uint8 (n,), optional
        Rows that may be returned (non-zero); all by default.
    threads : int
        At most this many threads; small scans use fewer.

    Returns
    -------
    rows : int64 (nq, m)
    scores : float32 (nq, m)
        Descending, equal scores by ascending row.
    """
    n, nq = checks.int8_shells(shells, scales, query_codes, query_scales)
    norms = checks.norms_of(norms, n)
    mask, keep, threads = _limits(n, keep, mask, threads)
    rows, scores = np.empty((nq, keep), dtype=np.int64), np.empty((nq, keep), dtype=np.float32)
    if not rows.size:
        return rows, scores
    if (isa := active()) == "numpy":
        return reference.scan_int8(shells, scales, query_codes, query_scales, keep, norms, mask)
    dispatch.native.scan_int8(
        isa, list(shells), list(scales), list(query_codes), query_scales, norms, mask, threads, rows, scores
    )
    return rows, scores


def scan_float(
    vectors: Array,
    queries: Array,
    dim: int,
    keep: int,
    *,
    norms: Array | None = None,
    mask: Array | None = None,
    threads: int = 1,
) -> tuple[I64, F32]:
    """Find the rows of largest dot product over the first `dim` coordinates.

    Products are exact in float64 and are added in float64; the sum is divided by the norm and rounded once
    to float32. All native kernels add in the same order, so they agree to the bit; the reference may differ
    from them by ``dim * 2**-53 * |q||x|`` before the rounding (see ``native/float_dot.hpp``).

    Parameters
    ----------
    vectors : float32 or float16 (n, D)
        Stored rows, D >= dim.
    queries : float32 (nq, D')
        D' >= dim.
    dim : int
        Coordinates read from every row.
    keep : int
        Results per query, 0 or more.
    norms : float32 (n,), optional
        Divisors; a row of norm 0 scores 0. No division by default.
    mask : bool or uint8 (n,), optional
        Rows that may be returned (non-zero); all by default.
    threads : int
        At most this many threads; small scans use fewer.

    Returns
    -------
    rows : int64 (nq, m)
    scores : float32 (nq, m)
        Descending, equal scores by ascending row, NaN last.
    """
    n, nq, dim = checks.float_rows(vectors, queries, dim)
    norms = checks.norms_of(norms, n)
    mask, keep, threads = _limits(n, keep, mask, threads)
    rows, scores = np.empty((nq, keep), dtype=np.int64), np.empty((nq, keep), dtype=np.float32)
    if not rows.size:
        return rows, scores
    if (isa := active()) == "numpy":
        return reference.scan_float(vectors, queries, dim, keep, norms, mask)
    dispatch.native.scan_float(isa, _bits(vectors), queries, dim, norms, mask, threads, rows, scores)
    return rows, scores


def score_binary(shells: Sequence[Array], queries: Sequence[Array], rows: Array, *, threads: int = 1) -> I32:
    """Hamming distances of given rows, as `scan_binary` computes them.

    Parameters
    ----------
    shells, queries, threads
        As in `scan_binary`.
    rows : int64 (nq, m)
        Row numbers in 0..n-1 for each query, in any order, repeats allowed.

    Returns
    -------
    int32 (nq, m)
    """
    n, nq = checks.binary_shells(shells, queries)
    rows, threads = checks.row_numbers(rows, n, nq), checks.count("threads", threads, 1)
    if (isa := active()) == "numpy":
        return reference.score_binary(shells, queries, rows)
    distances = np.empty(rows.shape, dtype=np.int32)
    dispatch.native.score_binary(isa, list(shells), list(queries), rows, threads, distances)
    return distances


def score_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    rows: Array,
    *,
    norms: Array | None = None,
    threads: int = 1,
) -> F32:
    """Scores of given rows, to the bit those of `scan_int8`.

    Parameters
    ----------
    shells, scales, query_codes, query_scales, norms, threads
        As in `scan_int8`.
    rows : int64 (nq, m)
        Row numbers in 0..n-1 for each query, in any order, repeats allowed.

    Returns
    -------
    float32 (nq, m)
    """
    n, nq = checks.int8_shells(shells, scales, query_codes, query_scales)
    norms = checks.norms_of(norms, n)
    rows, threads = checks.row_numbers(rows, n, nq), checks.count("threads", threads, 1)
    if (isa := active()) == "numpy":
        return reference.score_int8(shells, scales, query_codes, query_scales, rows, norms)
    scores = np.empty(rows.shape, dtype=np.float32)
    dispatch.native.score_int8(
        isa, list(shells), list(scales), list(query_codes), query_scales, norms, rows, threads, scores
    )
    return scores


def score_float(
    vectors: Array, queries: Array, dim: int, rows: Array, *, norms: Array | None = None, threads: int = 1
) -> F32:
    """Scores of given rows, as `scan_float` computes them.

    Parameters
    ----------
    vectors, queries, dim, norms, threads
        As in `scan_float`.
    rows : int64 (nq, m)
        Row numbers in 0..n-1 for each query, in any order, repeats allowed.

    Returns
    -------
    float32 (nq, m)
    """
    n, nq, dim = checks.float_rows(vectors, queries, dim)
    norms = checks.norms_of(norms, n)
    rows, threads = checks.row_numbers(rows, n, nq), checks.count("threads", threads, 1)
    if (isa := active()) == "numpy":
        return reference.score_float(vectors, queries, dim, rows, norms)
    scores = np.empty(rows.shape, dtype=np.float32)
    dispatch.native.score_float(isa, _bits(vectors), queries, dim, norms, rows, threads, scores)
    return scores


def top_k(scores: Array, rows: Array, k: int) -> tuple[I64, F32]:
    """Select the best `k` of each line of scored rows.

    Parameters
    ----------
    scores : float32 (nq, m)
    rows : int64 (nq, m)
        Any numbers.
    k : int
        0 or more.

    Returns
    -------
    rows : int64 (nq, min(k, m))
    scores : float32 (nq, min(k, m))
        Descending, equal scores by ascending row, NaN last. O(m log k) per line.
    """
    checks.array("scores", scores, [np.float32], 2)
    checks.array("rows", rows, [np.int64], 2)
    if rows.shape != scores.shape:
        raise VectorError(f"rows must have the shape of scores, {scores.shape}, got {rows.shape}")
    k = min(checks.count("k", k, 0), scores.shape[1])
    if active() == "numpy":
        return reference.top_k(scores, rows, k)
    out_rows = np.empty((len(rows), k), dtype=np.int64)
    out_scores = np.empty((len(rows), k), dtype=np.float32)
    dispatch.native.top_k(scores, rows, out_rows, out_scores)
    return out_rows, out_scores


def pool_rows(vectors: Array, scales: Array, ids: Array, offsets: Array, dim: int) -> F32:
    """Sum the scaled rows of every text's ids: the pooling of a static embedding.

    Parameters
    ----------
    vectors : int8 (V, D)
        One row of codes per token.
    scales : float32 (V,)
        What one code unit of a row is worth.
    ids : int32 (T,)
        Token ids of all texts, one after the other, each in 0..V-1.
    offsets : int64 (n + 1,)
        Text i has ``ids[offsets[i]:offsets[i + 1]]``; rises from 0 to T.
    dim : int
        Columns to pool, at most D.

    Returns
    -------
    float32 (n, dim)
        Sums, not normalised; zeros for a text without ids. Each product and each addition is rounded to
        float32, in the order of the ids, so every implementation agrees to the bit. O(T * dim).
    """
    dim = checks.token_lists(vectors, scales, ids, offsets, dim)
    if (isa := active()) == "numpy":
        return reference.pool_rows(vectors, scales, ids, offsets, dim)
    out = np.empty((len(offsets) - 1, dim), dtype=np.float32)
    dispatch.native.pool_rows(isa, vectors, scales, ids, offsets, out)
    return out


def runner(
    isa: str,
    ends: Sequence[int],
    stages: Sequence[tuple[str, int, bool, int]],
    partition: tuple[Array, ...] | None,
    live: int,
) -> Runner:
    """A native runner of a plan: see ``native/runner.hpp`` and :mod:`kukla.search.native`.

    Parameters
    ----------
    isa : str
        One of `available` but "numpy".
    ends : sequence of int
        The dims of the nesting.
    stages : sequence of (precision, dim, renormalise, probes)
    partition : tuple of arrays, optional
        Heads, tails, scales, routes, worths, order, ends and books: see ``native/lists.hpp``.
    live : int
        Rows that are not deleted.
    """
    return dispatch.native.Runner(isa, ends, stages, partition, live)


def _limits(n: int, keep: int, mask: Array | None, threads: int) -> tuple[Array | None, int, int]:
    """The mask as uint8, `keep` cut to the allowed rows, the threads."""
    packed = checks.packed_mask(mask, n)
    allowed = n if packed is None else int(np.count_nonzero(packed))
    return packed, min(checks.count("keep", keep, 0), allowed), checks.count("threads", threads, 1)


def _bits(vectors: Array) -> Array:
    """float16 as its bits: C++17 has no half type to hand over."""
    return vectors.view(np.uint16) if vectors.dtype == np.float16 else vectors
