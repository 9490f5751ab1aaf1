"""Resident memory of this process, with whole vectors left out. Linux only: it reads /proc.

*Private* memory is what libraries allocate. *Mapped* memory is pages of the index's own files that are in
memory for this process; the system may drop them, and reads them again. Pages of given ranges of files (the
float32 vectors that every engine may map to rescore) are counted apart. Which pages are present,
/proc/self/pagemap says. The code of libraries is not counted: it does not grow with the vectors.
"""

from __future__ import annotations

import gc
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Memory", "Range", "disk_bytes", "resident"]

Range = tuple[Path, int, int]
"""A file, the first byte, how many."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes resident: `private`; `mapped` of the index's files; `left_out`: pages of the ranges."""

    private: int
    mapped: int
    left_out: int

    def beside(self, before: Memory, full_vectors: int) -> int:
        """What was added since `before`, without whole float32 vectors in private memory."""
        return self.private - before.private - full_vectors + self.mapped - before.mapped


def resident(folder: Path, ranges: Iterable[Range]) -> Memory:
    """Measure now: the index is in `folder`; ranges may be in its files or in others."""
    gc.collect()
    private = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in {"RssAnon", "RssShmem"}:
            private += int(value.split()[0]) * 1024
    inside = str(folder.resolve()) + "/"
    mapped = left_out = 0
    wanted = [(str(path.resolve()), start, start + count) for path, start, count in ranges]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, _, _, *path_of = line.split(maxsplit=5)
        if not path_of:
            continue
        low, high = (int(part, 16) for part in span.split("-"))
        first = int(offset, 16)
        parts = [(start, stop) for path, start, stop in wanted if path == path_of[0]]
        apart = sum(_present(low, first, high - low, start, stop) for start, stop in parts)
        left_out += apart
        if path_of[0].startswith(inside):
            mapped += _present(low, first, high - low, 0, first + high - low) - apart
    return Memory(private, mapped, left_out)


def _present(address: int, offset: int, length: int, start: int, stop: int) -> int:
    """Bytes of the pages present at `address`, where `length` bytes of a file from `offset` on are mapped, of
    those that hold bytes `start` to `stop` of the file; a page that holds others too counts whole."""
    page = mmap.PAGESIZE
    first, last = max(start, offset), min(stop, offset + length)
    if last <= first:
        return 0
    pages = (last - 1) // page - first // page + 1
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek((address + first - offset) // page * 8)
        entries = np.frombuffer(pagemap.read(pages * 8), dtype=np.uint64)
    return int((entries >> np.uint64(63)).sum()) * page


def disk_bytes(folder: Path) -> int:
    """The size of every file in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
