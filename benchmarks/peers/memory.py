"""Resident memory of this process, with whole vectors left out. Linux only: it reads /proc.

*Private* memory is anonymous: what a library allocates. *Mapped* memory is pages of files that are in memory
for this process; the system may drop them, and reads them again. Pages of given ranges of files (the float32
vectors that every engine may map to rescore) are counted apart by /proc/self/pagemap.
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
    """Bytes resident: `private`, `mapped` without the pages of the ranges, and `left_out`, those pages."""

    private: int
    mapped: int
    left_out: int

    def beside(self, before: Memory, full_vectors: int) -> int:
        """What was added since `before`, without whole float32 vectors in private memory."""
        return self.private - before.private - full_vectors + self.mapped - before.mapped


def resident(ranges: Iterable[Range] = ()) -> Memory:
    """Measure now."""
    gc.collect()
    fields = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in {"RssAnon", "RssFile", "RssShmem"}:
            fields[name] = int(value.split()[0]) * 1024
    left_out = sum(_present(*part) for part in ranges)
    mapped = fields["RssFile"] + fields["RssShmem"]
    return Memory(fields["RssAnon"], max(0, mapped - left_out), left_out)


def _present(path: Path, start: int, count: int) -> int:
    """Bytes of the pages of a file's range that are present; a page that is shared counts whole."""
    page = mmap.PAGESIZE
    total = 0
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, _, offset, _, _, *name = line.split(maxsplit=5)
            if not name or name[0] != str(path):
                continue
            low, high = (int(part, 16) for part in span.split("-"))
            first = max(start, int(offset, 16))
            last = min(start + count, int(offset, 16) + high - low)
            if last <= first:
                continue
            pages = (last - 1) // page - first // page + 1
            pagemap.seek((low + first - int(offset, 16)) // page * 8)
            entries = np.frombuffer(pagemap.read(pages * 8), dtype=np.uint64)
            total += int((entries >> np.uint64(63)).sum()) * page
    return total


def disk_bytes(folder: Path) -> int:
    """The size of every file in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
