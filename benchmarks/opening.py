"""The first answer of a fresh process: opening an index and one query, with a cold and a warm page cache.

    python -m benchmarks.opening FOLDER [--count N] [--index PATH] [--plan TEXT]... [--json FILE]

Each run is a process of its own: Python starts, imports kukla, opens the index, asks queries one by one.
Cold: the index's files are dropped from the page cache before (posix_fadvise DONTNEED, after an fsync; what
stays resident is counted by mincore and printed). Python's own start and the imports are shown and not
counted: they do not depend on the index. The goal is open + first query below 100 ms for a million vectors.
Linux only. --index takes an index that is there already, of the same vectors.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.common import (
    machine_line,
    make_index,
    one_thread,
    parser,
    plans_of,
    save_json,
    scratch_folder,
)
from benchmarks.peers.memory import disk_bytes
from benchmarks.peers.workloads import Workload
from kukla import Index

ASKED = 22
GOAL_MS = 100
PARTS = ("python", "imports", "open", "first", "second", "later")


def drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the pages of every file in a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_share(folder: Path) -> float:
    """Which share of the bytes of a folder's files is in the page cache now."""
    libc = ctypes.CDLL(None, use_errno=True)
    present = total = 0
    for path in folder.rglob("*"):
        if not path.is_file() or not path.stat().st_size:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            pages = -(-len(mapped) // mmap.PAGESIZE)
            resident = np.zeros(pages, dtype=np.uint8)
            view = np.frombuffer(mapped, dtype=np.uint8)
            address = ctypes.c_void_p(view.ctypes.data)
            told = ctypes.c_void_p(resident.ctypes.data)
            failed = libc.mincore(address, ctypes.c_size_t(len(mapped)), told)
            del view  # else the map cannot be closed
            if failed:
                raise OSError(ctypes.get_errno(), "mincore", str(path))
            present += int((resident & 1).sum())
            total += pages
    return present / max(1, total)


def open_once(index: Path, queries: Path, plan: str) -> dict[str, float]:
    """One fresh process: seconds of each part."""
    child = Path(__file__).with_name("open_once.py")
    command = [sys.executable, str(child), repr(time.time()), str(index), str(queries), plan]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{child.name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def measure(index: Path, queries: Path, plan: str, repeats: int, *, cold: bool) -> dict[str, Any]:
    """Several runs; what was still cached before a cold one."""
    runs, cached = [], []
    if not cold:
        open_once(index, queries, plan)
    for _ in range(repeats):
        if cold:
            drop_from_cache(index)
        cached.append(cached_share(index))
        runs.append(open_once(index, queries, plan))
    totals = [run["open"] + run["first"] for run in runs]
    return {
        "plan": plan, "cache": "cold" if cold else "warm",
        "cached_before": max(cached) if cold else min(cached),
        "open_and_first_ms": statistics.median(totals) * 1e3, "low_ms": min(totals) * 1e3,
        "high_ms": max(totals) * 1e3,
        **{f"{part}_ms": statistics.median(run[part] for run in runs) * 1e3 for part in PARTS}, "runs": runs,
    }  # fmt: skip


def main() -> None:
    """Print a line for each plan and state of the cache."""
    asking = parser(__doc__)
    asking.add_argument("--count", type=int, help="only the first rows")
    asking.add_argument("--index", type=Path, help="an index that is there already")
    options = asking.parse_args()
    if not hasattr(os, "posix_fadvise") or sys.platform != "linux":
        raise SystemExit("benchmarks.opening drops files from the page cache, which it can do on Linux only")
    one_thread()
    workload = Workload.open(options.folder, options.count)
    console = Console(width=150)
    console.print(machine_line())
    with scratch_folder(options.scratch) as folder:
        path = options.index or folder / "index"
        if options.index is None:
            make_index(path, workload.base(), lists=options.partition).close()
        with Index.open(path, read_only=True) as index:
            documents, full = len(index), index.nesting.full
        with tempfile.NamedTemporaryFile(suffix=".npy", dir=folder) as queries:
            np.save(queries.name, workload.queries()[:ASKED])
            lines = [
                measure(path, Path(queries.name), plan, options.repeats, cold=cold)
                for plan in plans_of(options.plan, full)
                for cold in (True, False)
            ]
        size = disk_bytes(path)
    table = Table(
        "plan", "page cache", "open + first", "open", "first", "second", "later", "(Python)", "(imports)",
        title=f"{documents:,} x {full}, {size / 1e6:,.0f} MB on disk; milliseconds, medians of "
        f"{options.repeats} processes; goal: open + first below {GOAL_MS}",
    )  # fmt: skip
    for line in lines:
        kept = f"{line['cache']} ({line['cached_before']:.0%} cached)"
        whole = f"{line['open_and_first_ms']:,.1f} ({line['low_ms']:,.1f}-{line['high_ms']:,.1f})"
        parts = ("open", "first", "second", "later", "python", "imports")
        table.add_row(line["plan"], kept, whole, *(f"{line[f'{part}_ms']:,.2f}" for part in parts))
    console.print(table)
    console.print(machine_line())
    save_json(options.json, workload, {"documents": documents, "disk_bytes": size, "lines": lines})


if __name__ == "__main__":
    main()
