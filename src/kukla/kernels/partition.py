"""The kernels of partitioned lists: making codes, and scanning them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.kernels import dispatch
from kukla.kernels.dispatch import active

__all__ = ["BLOCK_ROWS", "nearest_lists", "nibble_codes", "nibble_hits"]

BLOCK_ROWS = 32
"""Of codes: see ``native/nibbles.hpp``."""

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]


def nearest_lists(
    rows: F32, near: F32, centroids: F32, halves: F32, looks: int, *, threads: int = 1
) -> npt.NDArray[np.int64]:
    """The nearest centroid of each row, among those that a cheap score puts first.

    Parameters
    ----------
    rows : float32 (n, dim)
    near : float32 (n, lists)
        The cheap scores: higher is nearer.
    centroids : float32 (lists, dim)
    halves : float32 (lists,)
        Half the squared length of each.
    looks : int
        How many centroids are compared as a whole.

    Returns
    -------
    int64 (n,)
        Of those, the one with the largest ``<row, centroid> - half``; of equals the first.
    """
    lists = np.empty(len(rows), dtype=np.int64)
    if (isa := active()) != "numpy":
        dispatch.native.nearest_lists(isa, rows, near, centroids, halves, looks, threads, lists)
        return lists
    best = np.sort(np.argsort(-near, axis=1, kind="stable")[:, :looks], axis=1)
    exact = np.einsum("nld,nd->nl", centroids[best].astype(np.float64), rows.astype(np.float64)) - halves[best]
    lists[:] = np.take_along_axis(best, exact.argmax(axis=1)[:, None], axis=1)[:, 0]
    return lists


def nibble_codes(
    values: F32, ends: npt.NDArray[np.uint64], books: F32, halves: F32, *, threads: int = 1
) -> npt.NDArray[np.uint8]:
    """The codewords nearest to each group of dims, two codes a byte, the first of them low.

    Parameters
    ----------
    values : float32 (n, used)
        Dims in the order of the groups.
    ends : uint64 (groups,)
        Where groups end; the last is ``used``.
    books : float32 (used, 16)
        Weighted codewords.
    halves : float32 (groups, 16)
        Half the weighted squared length of each.

    Returns
    -------
    uint8 (n, groups / 2)
        Of the largest ``sum of value * book - half``, in float32, dim after dim; of equals the first.
    """
    codes = np.empty((len(values), len(ends) // 2), dtype=np.uint8)
    if (isa := active()) != "numpy":
        dispatch.native.nibble_codes(isa, values, ends, books, halves, threads, codes)
        return codes
    chosen = np.empty((len(values), len(ends)), dtype=np.uint8)
    start = 0
    for group, end in enumerate(ends.astype(np.int64).tolist()):
        scores = np.zeros((len(values), books.shape[1]), dtype=np.float32)
        for d in range(start, end):
            scores += values[:, d, None] * books[d]
        chosen[:, group] = (scores - halves[group]).argmax(axis=1)
        start = end
    codes[:] = chosen[:, ::2] | chosen[:, 1::2] << 4
    return codes


def nibble_hits(
    codes: npt.NDArray[np.uint8], tables: npt.NDArray[np.uint8], least: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
    """Rows whose codes' table entries sum to at least ``least``.

    Parameters
    ----------
    codes : uint8 (blocks, pairs, 32)
    tables : uint8 (groups, 16)
        At most 127 each. ``groups`` is ``2 * pairs``, a multiple of four and at most 256.
    least : int
        0..65535.

    Returns
    -------
    positions : uint32 (hits,)
        Ascending, over all blocks.
    sums : uint16 (hits,)
    """
    if (isa := active()) == "numpy":
        low, high = codes & 15, codes >> 4
        pairs = np.arange(codes.shape[1])[:, None]
        sums = tables[2 * pairs, low].astype(np.uint32) + tables[2 * pairs + 1, high]
        total = sums.sum(axis=1).reshape(-1).astype(np.uint16)
        positions = np.flatnonzero(total >= least).astype(np.uint32)
        return positions, total[positions]
    room = codes.shape[0] * BLOCK_ROWS
    positions, found = np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint16)
    hits = dispatch.native.nibble_hits(isa, codes, expanded(tables), least, positions, found)
    order = np.argsort(positions[:hits])
    return positions[:hits][order], found[:hits][order]


def expanded(tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Tables ``(groups, 16)`` as native code reads them: see ``native/nibbles.hpp``."""
    four = tables.reshape(-1, 4, 16)[:, [0, 2, 1, 3]]  # the low groups of two pairs, then the high ones
    return np.ascontiguousarray(np.repeat(four[:, :, None, :], 2, axis=2)).reshape(-1)
