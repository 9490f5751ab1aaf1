"""The lists of one segment: which rows are in each, their short codes in blocks, their long codes in records.

They are made from the segment's vectors, in a file of their own beside it: ``docs/format.md``. Without that
file the segment is searched all the same, by scanning it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import ForeignFileError
from kukla.kernels.partition import BLOCK_ROWS, RECORD_TAIL
from kukla.partition.blocks import in_blocks
from kukla.partition.model import NEAR_DIMS, Partition
from kukla.progress import Progress
from kukla.storage.container import Section, open_container, write_container

__all__ = ["LEAST_ROWS", "SegmentLists", "lists_path", "without_means", "write_lists"]

LEAST_ROWS = 1024
"""A segment with fewer rows has no lists: scanning it costs less than a file more."""

STEP_ROWS = 1 << 16

LEAST_LENGTH = 1e-3
"""A mean of unit vectors that is shorter has no direction: it is compared as its list is."""


def lists_path(segment: Path, number: int) -> Path:
    """``segments/00000042.3.lists`` for ``segments/00000042.seg`` and partition number 3."""
    return segment.with_name(f"{segment.stem}.{number}.lists")


def without_means(path: Path) -> bool:
    """Whether the version before this one wrote a file of lists: it takes our partition without its means."""
    names = open_container(path)[1].keys()
    return names >= {"offsets", "shorts", "longs"} and names.isdisjoint({"means", "routes"})


class SegmentLists:
    """Rows of each list and their codes, mapped.

    Parameters
    ----------
    path : Path
    partition : Partition
    rows : int
        Of the segment.

    Attributes
    ----------
    origin : dict
        The checksums of the headers of the ``segment`` and the ``partition`` that they were made of; of the
        first lists none.
    offsets : ndarray of uint64, shape (lists + 1,)
        Of each list's first row, in the order of lists.
    rows : ndarray of uint32, shape (n,)
        The numbers of rows in the order of lists; every 32 of a list are a block, inside which they ascend.
    blocks : ndarray of uint64, shape (lists + 1,)
        Of each list's first block.
    shorts : ndarray of uint8, shape (blocks, short_bytes + 1, 32)
        A block is 32 rows of one list; the last one of a list is filled with zeros. Line p < short_bytes
        holds byte p of their short codes, the last line the stretches of these.
    means : ndarray of uint8, shape (blocks / 32, mean_bytes + 1, 32)
        The codes of the means of blocks, less the centroids of their lists, in the same form.
    routes : ndarray of float32, shape (blocks,)
        What scores of means are multiplied by to compare blocks: see ``Partition.routes``.
    longs : ndarray of uint8, shape (n, code_bytes)
        In the order of ``rows`` the long code of each, its stretch, and a zero.
    """

    def __init__(self, path: Path, partition: Partition, rows: int) -> None:
        header, arrays = open_container(path)
        self.path = path
        self.bytes: int = header["bytes"]
        self.origin: dict[str, str] = {
            name: header[name] for name in ("segment", "partition") if name in header
        }
        try:
            self.offsets: NDArray[np.uint64] = arrays["offsets"]
            self.rows: NDArray[np.uint32] = arrays["rows"]
            self.blocks: NDArray[np.uint64] = arrays["blocks"]
            self.means: NDArray[np.uint8] = arrays["means"]
            self.routes: NDArray[np.float32] = arrays["routes"]
            self.shorts: NDArray[np.uint8] = arrays["shorts"]
            self.longs: NDArray[np.uint8] = arrays["longs"]
            self._check(partition, rows)
        except (KeyError, ValueError, IndexError) as error:
            raise ForeignFileError(
                f"{path} holds no lists of this partition ({error}); it is made from the segment: remove the "
                "file, and partition the index again"
            ) from None

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """The rows of one list."""
        return self.rows[int(self.offsets[number]) : int(self.offsets[number + 1])].astype(np.int64)

    def _check(self, partition: Partition, rows: int) -> None:
        lists, counts = partition.lists, np.diff(self.offsets.astype(np.int64))
        if self.offsets.dtype.str != "<u8" or self.offsets.shape != (lists + 1,):
            raise ValueError(f"offsets {self.offsets.dtype.str} {self.offsets.shape}, lists {lists}")
        if int(self.offsets[0]) != 0 or (counts < 0).any() or int(self.offsets[-1]) != rows:
            raise ValueError(f"offsets do not rise from 0 to {rows}")
        lines = partition.short_bytes + 1
        if self.shorts.dtype.str != "|u1" or self.shorts.shape[1:] != (lines, BLOCK_ROWS):
            raise ValueError(f"shorts {self.shorts.dtype.str} {self.shorts.shape}")
        if self.rows.dtype.str != "<u4" or self.rows.shape != (rows,):
            raise ValueError(f"rows {self.rows.dtype.str} {self.rows.shape}, the segment has {rows}")
        if self.longs.dtype.str != "|u1" or self.longs.shape != (rows, partition.code_bytes):
            raise ValueError(f"longs {self.longs.dtype.str} {self.longs.shape}, the segment has {rows} rows")
        blocks = np.concatenate([[0], np.cumsum(-(-counts // BLOCK_ROWS))])
        if (
            self.blocks.dtype.str != "<u8"
            or not np.array_equal(self.blocks, blocks)
            or blocks[-1] != len(self.shorts)
        ):
            raise ValueError("blocks do not fit the offsets")
        means = -(-len(self.shorts) // BLOCK_ROWS), partition.mean_bytes + 1, BLOCK_ROWS
        if self.means.dtype.str != "|u1" or self.means.shape != means:
            raise ValueError(f"means {self.means.dtype.str} {self.means.shape}, expected {means}")
        if self.routes.dtype.str != "<f4" or self.routes.shape != (len(self.shorts),):
            raise ValueError(f"routes {self.routes.dtype.str} {self.routes.shape}, blocks {len(self.shorts)}")


def write_lists(
    path: Path,
    partition: Partition,
    vectors: NDArray[np.floating[Any]],
    *,
    cosine: bool = True,
    origin: Mapping[str, str] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> int:
    """Write the lists of a segment's vectors ``(rows, dim)``, and what they are made of; returns bytes.

    Vectors are read twice: in the order of rows for their lists and codes, in that of blocks for the means.
    """
    count = len(vectors)
    lists = np.empty(count, dtype=np.int64)
    shorts = np.empty((count, partition.short_bytes + 1), dtype=np.uint8)
    longs = np.zeros((count, partition.code_bytes), dtype=np.uint8)
    near = np.empty((count, min(NEAR_DIMS, partition.dim)), dtype=np.float16)
    for part, rows in _steps(vectors):
        lists[part] = partition.assign(rows)
        (
            shorts[part, :-1],
            shorts[part, -1],
            longs[part, :-RECORD_TAIL],
            longs[part, -RECORD_TAIL],
        ) = partition.encode(rows, lists[part], threads=threads)
        near[part] = _as_half(rows[:, : near.shape[1]])
        if progress is not None:
            progress(part.stop, count)
    sizes = np.bincount(lists, minlength=partition.lists)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(lists, kind="stable")
    for number in np.flatnonzero(sizes > BLOCK_ROWS):
        start, stop = offsets[number], offsets[number + 1]
        members = order[start:stop]
        order[start:stop] = members[in_blocks(near[members].astype(np.float32), BLOCK_ROWS)]
    del near
    blocks = np.concatenate([[0], np.cumsum(-(-sizes // BLOCK_ROWS))])
    # The place of each row, in the order of lists: lists begin with a new block.
    place = np.arange(count) + np.repeat(blocks[:-1] * BLOCK_ROWS - offsets[:-1], sizes)
    list_of = np.repeat(np.arange(partition.lists), np.diff(blocks))
    codes, routes = _means(partition, vectors, order, place, list_of, cosine=cosine, threads=threads)

    def section(name: str, dtype: str, array: NDArray[Any]) -> Section:
        return Section(name, dtype, array.shape, lambda: (array,))

    lines = partition.short_bytes + 1
    return write_container(
        path,
        [
            section("offsets", "<u8", offsets),
            section("rows", "<u4", order),
            section("blocks", "<u8", blocks),
            section("means", "|u1", np.concatenate([*_lines(codes, np.arange(len(codes)))])),
            section("routes", "<f4", routes),
            Section("shorts", "|u1", (len(codes), lines, BLOCK_ROWS), lambda: _lines(shorts, place, order)),
            Section("longs", "|u1", longs.shape, lambda: (longs[order[part]] for part in _parts(count))),
        ],
        {"rows": count, **(origin or {})},
    )


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, STEP_ROWS):
        yield slice(start, min(start + STEP_ROWS, count))


def _steps(vectors: NDArray[np.floating[Any]]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    for part in _parts(len(vectors)):
        yield part, np.ascontiguousarray(vectors[part], dtype=np.float32)


def _as_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Only to say which rows are like each other: what float16 cannot hold is cut off."""
    most = np.float32(np.finfo(np.float16).max)
    return np.clip(values, -most, most).astype(np.float16)


def _means(
    partition: Partition,
    vectors: NDArray[np.floating[Any]],
    order: NDArray[np.int64],
    place: NDArray[np.int64],
    list_of: NDArray[np.int64],
    *,
    cosine: bool,
    threads: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The codes of the means of blocks, with stretches: uint8 ``(blocks, mean_bytes + 1)``; and routes."""
    count = len(list_of)
    codes = np.empty((count, partition.mean_bytes + 1), dtype=np.uint8)
    routes = partition.routes[list_of]
    filled = np.bincount(place // BLOCK_ROWS, minlength=count).astype(np.float32)
    inside = place % BLOCK_ROWS
    for part, begin, end in _block_parts(place, count):
        by_row = np.argsort(order[begin:end])  # as they lie in the file
        rows = np.empty((end - begin, partition.dim), dtype=np.float32)
        rows[by_row] = vectors[order[begin:end][by_row]]
        means = np.zeros((part.stop - part.start, partition.dim), dtype=np.float32)
        for i in range(BLOCK_ROWS):  # at most one row of each block
            some = np.flatnonzero(inside[begin:end] == i)
            means[place[begin + some] // BLOCK_ROWS - part.start] += rows[some]
        means /= filled[part, None]
        if cosine:
            lengths = np.linalg.norm(means, axis=1)
            there = lengths > LEAST_LENGTH
            routes[part] = np.where(there, 1 / np.where(there, lengths, 1), routes[part])
        residuals = means - partition.centroids[list_of[part]]
        codes[part, :-1], codes[part, -1] = partition.mean.encode(residuals, threads=threads)
    return codes, routes


def _block_parts(place: NDArray[np.int64], blocks: int) -> Iterator[tuple[slice, int, int]]:
    """Some blocks at a time, and which places are in them: ``place`` ascends."""
    step = STEP_ROWS // BLOCK_ROWS
    for first in range(0, blocks, step):
        last = min(first + step, blocks)
        begin, end = np.searchsorted(place, [first * BLOCK_ROWS, last * BLOCK_ROWS])
        yield slice(first, last), int(begin), int(end)


def _lines(
    codes: NDArray[np.uint8], place: NDArray[np.int64], order: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Blocks of codes ``(n, bytes)``: code i, or ``order[i]``, at ``place[i]``, which ascends; else zeros."""
    for part, begin, end in _block_parts(place, int(place[-1]) // BLOCK_ROWS + 1):
        filled = np.zeros(((part.stop - part.start) * BLOCK_ROWS, codes.shape[1]), dtype=np.uint8)
        chosen = codes[begin:end] if order is None else codes[order[begin:end]]
        filled[place[begin:end] - part.start * BLOCK_ROWS] = chosen
        yield filled.reshape(-1, BLOCK_ROWS, codes.shape[1]).transpose(0, 2, 1)
