"""The kernels in NumPy: the specification that every native kernel is tested against, and the fallback.

Nothing here checks its arguments (`kukla.kernels` does) and nothing depends on how rows are cut into blocks.
A block's temporaries stay near 16 MiB; beyond that a scan holds at most ``2 * keep`` candidates per query.

Candidates are ordered by one unsigned 64-bit key, smaller is better: the high half is the Hamming distance,
or the bits of the float32 score turned round so that a higher score is a smaller number (NaN is worst); the
low half is the row. Keys are unique, so selecting and sorting them is a strict total order, ties by row.

``np.bitwise_count`` came with NumPy 2.0; with 1.26 a table of 256 bit counts stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "pool_rows",
    "scan_binary",
    "scan_float",
    "scan_int8",
    "score_binary",
    "score_float",
    "score_int8",
    "top_k",
]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_BLOCK_BYTES = 16 << 20
_QUERY_TILE = 64
_LOW_HALF = np.uint64(0xFFFFFFFF)
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


# --- scans: every allowed row, the best `keep` of each query ------------------------------------------------


def scan_binary(
    shells: Sequence[Array], queries: Sequence[Array], keep: int, mask: Array | None = None
) -> tuple[I64, I32]:
    """Hamming distances summed over shells; see `kukla.kernels.scan_binary`."""
    n, nq = len(shells[0]), len(queries[0])
    width = sum(shell.shape[1] for shell in shells)
    found = np.empty((nq, _kept(n, keep, mask)), dtype=np.uint64)
    for tile in _tiles(nq):
        best = _Best(found[tile])
        for rows in _row_blocks(n, 2 * width + 24 * _QUERY_TILE, mask):
            distances = _distances([shell[rows] for shell in shells], [query[tile] for query in queries])
            best.offer(distances.astype(np.uint64), rows)
        best.finish()
    return (found & _LOW_HALF).astype(np.int64), (found >> np.uint64(32)).astype(np.int32)


def scan_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: F64,
    keep: int,
    norms: F32 | None = None,
    mask: Array | None = None,
) -> tuple[I64, F32]:
    """Scaled integer dot products summed over shells; see `kukla.kernels.scan_int8`."""
    n, nq = len(shells[0]), len(query_scales)
    width = sum(shell.shape[1] for shell in shells)
    found = np.empty((nq, _kept(n, keep, mask)), dtype=np.uint64)
    for tile in _tiles(nq):
        best = _Best(found[tile])
        codes = [query[tile] for query in query_codes]
        for rows in _row_blocks(n, 9 * width + 40 * _QUERY_TILE, mask):
            total = _int8_totals(
                [shell[rows] for shell in shells],
                [scale[rows] for scale in scales],
                codes,
                query_scales[tile],
            )
            best.offer(_descending(_rounded(total, None if norms is None else norms[rows])), rows)
        best.finish()
    return (found & _LOW_HALF).astype(np.int64), _scores(found)


def scan_float(
    vectors: Array,
    queries: F32,
    dim: int,
    keep: int,
    norms: F32 | None = None,
    mask: Array | None = None,
) -> tuple[I64, F32]:
    """Dot products of the first `dim` coordinates; see `kukla.kernels.scan_float`."""
    n, nq = len(vectors), len(queries)
    found = np.empty((nq, _kept(n, keep, mask)), dtype=np.uint64)
    for tile in _tiles(nq):
        best = _Best(found[tile])
        for rows in _row_blocks(n, 12 * dim + 32 * _QUERY_TILE, mask):
            total = _float_totals(vectors[rows, :dim], queries[tile, :dim])
            best.offer(_descending(_rounded(total, None if norms is None else norms[rows])), rows)
        best.finish()
    return (found & _LOW_HALF).astype(np.int64), _scores(found)


# --- scores of given rows -----------------------------------------------------------------------------------


def score_binary(shells: Sequence[Array], queries: Sequence[Array], rows: I64) -> I32:
    """The distances of the given rows only."""
    out = np.empty(rows.shape, dtype=np.int32)
    for q, columns in _row_lists(rows.shape, 2 * sum(shell.shape[1] for shell in shells) + 24):
        wanted = rows[q, columns]
        out[q, columns] = _distances([shell[wanted] for shell in shells], [x[q : q + 1] for x in queries])[0]
    return out


def score_int8(
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: F64,
    rows: I64,
    norms: F32 | None = None,
) -> F32:
    """The int8 scores of the given rows only."""
    out = np.empty(rows.shape, dtype=np.float32)
    for q, columns in _row_lists(rows.shape, 9 * sum(shell.shape[1] for shell in shells) + 40):
        wanted = rows[q, columns]
        total = _int8_totals(
            [shell[wanted] for shell in shells],
            [scale[wanted] for scale in scales],
            [codes[q : q + 1] for codes in query_codes],
            query_scales[q : q + 1],
        )
        out[q, columns] = _rounded(total, None if norms is None else norms[wanted])[0]
    return out


def score_float(vectors: Array, queries: F32, dim: int, rows: I64, norms: F32 | None = None) -> F32:
    """The float scores of the given rows only."""
    out = np.empty(rows.shape, dtype=np.float32)
    for q, columns in _row_lists(rows.shape, 12 * dim + 32):
        wanted = rows[q, columns]
        total = _float_totals(vectors[wanted, :dim], queries[q : q + 1, :dim])
        out[q, columns] = _rounded(total, None if norms is None else norms[wanted])[0]
    return out


# --- selection and pooling ----------------------------------------------------------------------------------


def top_k(scores: F32, rows: I64, k: int) -> tuple[I64, F32]:
    """The best `k` of each line: score descending, then row ascending, NaN last."""
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def pool_rows(vectors: Array, scales: F32, ids: I32, offsets: I64, dim: int) -> F32:
    """Sum ``scale * row`` of every text's ids in their order, rounding every product and sum to float32.

    Texts are taken longest first, so that the j-th ids of all texts that have one are one vector operation.
    """
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    longest_first = lengths[order]
    sums = np.zeros((len(lengths), dim), dtype=np.float32)
    with np.errstate(all="ignore"):
        for j in range(int(longest_first[0]) if len(lengths) else 0):
            active = int(np.searchsorted(-longest_first, -j, side="left"))
            token = ids[offsets[order[:active]] + j]
            sums[:active] += scales[token, None] * vectors[token, :dim].astype(np.float32)
    out = np.empty_like(sums)
    out[order] = sums
    return out


# --- the arithmetic -----------------------------------------------------------------------------------------


def _distances(shells: Sequence[Array], queries: Sequence[Array]) -> I32:
    """Hamming distances, int32 (nq, rows): popcount of the exclusive or, summed over shells."""
    total = np.zeros((len(queries[0]), len(shells[0])), dtype=np.int32)
    for shell, query in zip(shells, queries, strict=True):
        word = np.uint64 if shell.shape[1] % 8 == 0 else np.uint8
        words = np.ascontiguousarray(shell).view(word)
        for line, probe in zip(total, np.ascontiguousarray(query).view(word), strict=True):
            line += _bit_count(words ^ probe).sum(axis=1, dtype=np.int32)
    return total


def _bit_count(words: Array) -> Array:
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(words)
    counts: Array = _BITS_OF_BYTE[words.view(np.uint8)]
    return counts


def _int8_totals(
    shells: Sequence[Array], scales: Sequence[Array], query_codes: Sequence[Array], query_scales: F64
) -> F64:
    """float64 (nq, rows). A product of codes is below 2^20, so 65,536 of them sum exactly in float64."""
    total = np.zeros((len(query_scales), len(shells[0])), dtype=np.float64)
    with np.errstate(all="ignore"):
        for s, (shell, scale, codes) in enumerate(zip(shells, scales, query_codes, strict=True)):
            dots = codes.astype(np.float64) @ shell.astype(np.float64).T
            total += dots * (query_scales[:, s, None] * scale.astype(np.float64)[None, :])
    return total


def _float_totals(vectors: Array, queries: Array) -> F64:
    """float64 (nq, rows). A product of two float32 is exact in float64; only the additions round."""
    with np.errstate(all="ignore"):
        total: F64 = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return total


def _rounded(total: F64, norms: F32 | None) -> F32:
    """Divide by the norms (0 where a norm is 0) and round once to float32; -0 becomes 0."""
    with np.errstate(all="ignore"):
        if norms is not None:
            total = np.where(norms == 0, 0.0, total / norms.astype(np.float64))
        return total.astype(np.float32) + np.float32(0)


# --- the order ----------------------------------------------------------------------------------------------


def _descending(scores: F32) -> U64:
    """float32 scores as the high half of a key: a higher score is a smaller number, every NaN the largest."""
    bits = scores.view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return np.where(np.isnan(scores), np.uint32(0xFFFFFFFF), ~ascending).astype(np.uint64)


def _scores(keys: U64) -> F32:
    """The inverse of `_descending`, from whole keys."""
    ascending = ~(keys >> np.uint64(32)).astype(np.uint32)
    return np.where(ascending >> 31, ascending & np.uint32(0x7FFFFFFF), ~ascending).view(np.float32)


class _Best:
    """Collects the smallest keys of each query into `out`, uint64 (nq, m), in O(rows) and bounded memory."""

    def __init__(self, out: U64) -> None:
        self._out = out
        self._keep = out.shape[1]
        self._pending: list[U64] = []
        self._width = 0

    def offer(self, high_halves: U64, rows: I64) -> None:
        self._pending.append((high_halves << np.uint64(32)) | rows.astype(np.uint64))
        self._width += len(rows)
        if self._width > 2 * self._keep + (1 << 16):
            self._shrink()

    def finish(self) -> None:
        self._shrink()
        if self._pending:
            self._out[:] = np.sort(self._pending[0], axis=1)

    def _shrink(self) -> None:
        if self._pending:
            keys = np.concatenate(self._pending, axis=1)
            if keys.shape[1] > self._keep:
                keys = np.partition(keys, max(self._keep - 1, 0), axis=1)[:, : self._keep].copy()
            self._pending, self._width = [keys], keys.shape[1]


def _kept(n: int, keep: int, mask: Array | None) -> int:
    return min(keep, n if mask is None else int(np.count_nonzero(mask)))


def _tiles(nq: int) -> Iterator[slice]:
    for start in range(0, nq, _QUERY_TILE):
        yield slice(start, min(nq, start + _QUERY_TILE))


def _row_blocks(n: int, bytes_per_row: int, mask: Array | None) -> Iterator[I64]:
    """The numbers of the allowed rows, in blocks whose temporaries fit `_BLOCK_BYTES`."""
    step = max(1, _BLOCK_BYTES // bytes_per_row)
    for start in range(0, n, step):
        stop = min(n, start + step)
        if mask is None:
            yield np.arange(start, stop, dtype=np.int64)
        elif len(rows := np.flatnonzero(mask[start:stop])):
            yield rows.astype(np.int64) + start


def _row_lists(shape: tuple[int, ...], bytes_per_row: int) -> Iterator[tuple[int, slice]]:
    step = max(1, _BLOCK_BYTES // bytes_per_row)
    for q in range(shape[0]):
        for start in range(0, shape[1], step):
            yield q, slice(start, min(shape[1], start + step))
