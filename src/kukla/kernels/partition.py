"""The kernels of partitioned lists: making codes, and scanning them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kukla.kernels import dispatch
from kukla.kernels.dispatch import active

__all__ = [
    "BLOCK_ROWS",
    "RECORD_TAIL",
    "STRETCH_STEPS",
    "at_least",
    "nibble_codes",
    "nibble_scores",
    "nibble_stretches",
    "nibble_sums",
]

BLOCK_ROWS = 32
"""Of codes: see ``native/nibbles.hpp``."""

RECORD_TAIL = 2
"""Bytes after a long code: its stretch, and zero."""

AT_LEAST_ROOM = 16

STRETCH_STEPS = 64
"""A stretch of 1 is stored as so much."""

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]


def group_widths(ends: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """How many dims each group has, from where groups end."""
    widths = ends.astype(np.int64)
    widths[1:] -= ends[:-1].astype(np.int64)
    return widths


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


def nibble_stretches(
    values: F32,
    codes: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.uint64],
    books: F32,
    *,
    threads: int = 1,
) -> npt.NDArray[np.uint8]:
    """How much longer rows are than what their codes stand for, along themselves.

    Parameters
    ----------
    values : float32 (n, used)
        Dims in the order of the groups.
    codes : uint8 (n, groups / 2)
        Of :func:`nibble_codes`.
    ends : uint64 (groups,)
    books : float32 (used, 16)
        Codewords.

    Returns
    -------
    uint8 (n,)
        ``|row|^2 / <row, codewords>`` in steps of 1/64, rounded, from 0.5 to 255/64; 1 where there is
        nothing to stretch.
    """
    stretched = np.empty(len(values), dtype=np.uint8)
    if active() != "numpy":
        dispatch.native.nibble_stretches(values, codes, ends, books, threads, stretched)
        return stretched
    nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), len(ends))
    chosen = np.repeat(nibbles, group_widths(ends), axis=1)
    words = books[np.arange(len(books)), chosen].astype(np.float64)
    rows = values.astype(np.float64)
    squares, dots = np.einsum("ij,ij->i", rows, rows), np.einsum("ij,ij->i", rows, words)
    there = (dots > 0) & (squares > 0)
    stretch = np.where(there, squares / np.where(there, dots, 1.0), 1.0)
    stretched[:] = np.clip(np.rint(stretch * STRETCH_STEPS), STRETCH_STEPS / 2, 255)
    return stretched


def nibble_scores(
    blocks: npt.NDArray[np.uint8],
    tables: npt.NDArray[np.uint8],
    base: float,
    offset: float,
    delta: float,
) -> F32:
    """What rows of one list score by their short codes.

    Parameters
    ----------
    blocks : uint8 (blocks, pairs + 1, 32)
        The last line of a block are stretches.
    tables : uint8 (groups, 16)
        Those of a pair of groups add up to at most 255. ``groups`` is ``2 * pairs``, a multiple of four and
        at most 256.
    base, offset, delta : float
        Rounded to float32.

    Returns
    -------
    float32 (32 * blocks,)
        ``base + stretch * (offset + delta * sum of entries)``, each step rounded to float32.
    """
    scores = np.empty(len(blocks) * BLOCK_ROWS, dtype=np.float32)
    if (isa := active()) != "numpy":
        dispatch.native.nibble_scores(isa, blocks, expanded(tables), base, offset, delta, scores)
        return scores
    sums = _sums(
        np.ascontiguousarray(blocks[:, :-1].transpose(0, 2, 1)).reshape(-1, len(tables) // 2), tables
    )
    stretches = blocks[:, -1].reshape(-1).astype(np.float32) * np.float32(1 / STRETCH_STEPS)
    scores[:] = np.float32(base) + stretches * (
        np.float32(offset) + np.float32(delta) * sums.astype(np.float32)
    )
    return scores


def nibble_sums(records: npt.NDArray[np.uint8], tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """The sums of the table entries of long codes.

    Parameters
    ----------
    records : uint8 (n, pairs + 2)
        The last two bytes are something else.
    tables : uint8 (groups, 16)
        As in :func:`nibble_scores`.

    Returns
    -------
    uint16 (n,)
    """
    if (isa := active()) == "numpy":
        return _sums(records[:, :-RECORD_TAIL], tables)
    sums = np.empty(len(records), dtype=np.uint16)
    dispatch.native.nibble_sums(isa, np.ascontiguousarray(records), expanded(tables), sums)
    return sums


def _sums(codes: npt.NDArray[np.uint8], tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    pairs = np.arange(codes.shape[1])
    sums = tables[2 * pairs, codes & 15].astype(np.uint16) + tables[2 * pairs + 1, codes >> 4]
    found: npt.NDArray[np.uint16] = sums.sum(axis=1, dtype=np.uint16)
    return found


def at_least(values: F32, least: float) -> npt.NDArray[np.uint32]:
    """Where ``values`` (n,) are at least ``least``, ascending."""
    if (isa := active()) == "numpy":
        return np.flatnonzero(values >= np.float32(least)).astype(np.uint32)
    places = np.empty(len(values) + AT_LEAST_ROOM, dtype=np.uint32)
    return places[: dispatch.native.at_least(isa, values, least, places)]


def expanded(tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Tables ``(groups, 16)`` as native code reads them: see ``native/nibbles.hpp``."""
    four = tables.reshape(-1, 4, 16)[:, [0, 2, 1, 3]]  # the low groups of two pairs, then the high ones
    return np.ascontiguousarray(np.repeat(four[:, :, None, :], 2, axis=2)).reshape(-1)
