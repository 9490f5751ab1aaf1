"""Growth: time, memory and building at rising sizes of one set, and the exponents they grow with.

    python -m benchmarks.growth FOLDER [--count N]... [--plan TEXT]... [--partition [LISTS]] [--json FILE]

By default the sizes are 100 thousand, 1 million, 4 million and all, as far as base.npy has rows: sizes are
first rows of one file of real vectors, nothing is made up. Each size is built in a process of its own and
searched in another. An exponent e says that a quantity grows like rows^e (the slope of a line through the
logarithms, and between neighbouring sizes). "read" is what the plan itself says that a query reads: time that
grows faster than what is read has left a cache; slower, and a constant part was seen. Memory is what opening
and searching added, without the float32 vectors (`benchmarks.peers.memory`).

A set of 4 million:

    python -m benchmarks.peers make wikipedia OUT --data DATA --count 4000000 --dims 256 --overlap
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.common import (
    K,
    in_fresh_process,
    machine_line,
    make_index,
    one_thread,
    parser,
    partition,
    plans_of,
    save_json,
    scratch_folder,
    take_turns,
)  # fmt: skip
from benchmarks.peers.engines.kukla_index import float_ranges
from benchmarks.peers.memory import disk_bytes, resident
from benchmarks.peers.workloads import Workload
from kukla import Index

SIZES = (100_000, 1_000_000, 4_000_000)
WHY = (
    "Why: a plan whose first stage scans everything reads each row once: what it reads grows with exponent 1 "
    "and time follows; below 1, the constant part of a query (Python, later stages) is still seen; above 1, "
    "the codes no longer fit a cache. With lists, a query looks at all centroids and at some lists: with "
    "about sqrt(rows) lists and as many probes at each size, both parts grow with exponent 1/2. Building "
    "reads, encodes and writes each row once (and compacts once): 1; training and assigning lists costs rows "
    "x lists: up to 3/2. Memory is bits per row times rows: 1."
)


class PrivatePeak(threading.Thread):
    """The most private memory of this process while the `with` lasts, looked at every 10 ms: bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = private_bytes()
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.01):
            self.peak = max(self.peak, private_bytes())

    def __enter__(self) -> PrivatePeak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


def private_bytes() -> int:
    """Anonymous memory that is resident, of /proc/self/status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise SystemExit("benchmarks.growth reads /proc/self/status, which is Linux only")


def build(folder: str, rows: int, path: str, lists: int | None) -> dict[str, float]:
    """In a process of its own: seconds of adding (and compacting) and partitioning, memory, bytes on disk."""
    base = Workload.open(folder, rows).base()
    for start in range(0, rows, 1 << 16):
        base[start : start + (1 << 16)].max()  # from disk to memory, so that the disk is not timed
    with PrivatePeak() as memory:
        started, cpu = time.perf_counter(), time.process_time()
        with make_index(Path(path), base) as index:
            added = time.perf_counter()
            partition(index, lists)
            done = time.perf_counter()
    return {
        "add_seconds": added - started,
        "partition_seconds": done - added,
        "build_seconds": done - started,
        "build_cpu_seconds": time.process_time() - cpu,
        "build_peak_bytes": memory.peak - memory.before,
        "disk_bytes": disk_bytes(Path(path)),
    }


def search(folder: str, rows: int, path: str, plans: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own, for each plan: recall, time, what it reads, what is resident."""
    workload = Workload.open(folder, rows)
    queries, truth = workload.queries()[: options["queries"]], workload.truth()
    ranges = [(workload.folder / "base.npy", 0, 1 << 62), *float_ranges(Path(path))]
    found = {}
    for plan in plans:
        before = resident(Path(path), ranges)
        with Index.open(path, read_only=True) as index:
            run = partial(index.search, k=K, plan=plan)
            times = take_turns(
                {plan: run},
                queries, repeats=options["repeats"], seconds=options["seconds"],
            )  # fmt: skip
            answers = index.search(queries, K, plan=plan)
            after = resident(Path(path), ranges)
            found[plan] = {
                **times[plan].to_dict(),
                "recall": float(truth.recall(answers.ids).mean()),
                "read_bytes": answers.bytes_read / len(queries),
                "memory_bytes": after.beside(before, 0),
            }
    return found


def sizes_of(counts: Sequence[int] | None, rows: int) -> list[int]:
    """The sizes asked for, or `SIZES` and all rows, as far as there are so many; at least two."""
    wanted = sorted(set(counts or (*(size for size in SIZES if size <= rows), rows)))
    if len(wanted) < 2:
        wanted = [max(K, rows // 10), *wanted]
    if wanted[-1] > rows or wanted[0] < K:
        raise SystemExit(f"the set has {rows:,} rows; --count is from {K} to that, got {wanted}")
    return wanted


def exponents(sizes: Sequence[int], values: Sequence[float]) -> tuple[float, list[float]]:
    """The slope of log(value) over log(size) by least squares, and between neighbours."""
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.maximum(np.asarray(values, dtype=float), 1e-12))
    slope = float(np.polyfit(x, y, 1)[0])
    return slope, [float(step) for step in np.diff(y) / np.diff(x)]


def exponent_text(sizes: Sequence[int], values: Sequence[float]) -> str:
    """`1.02 (0.98, 1.06)`: of all sizes, and between neighbours."""
    if min(values) <= 0:
        return "-"
    whole, steps = exponents(sizes, values)
    return f"{whole:.2f}" + (f" ({', '.join(f'{step:.2f}' for step in steps)})" if len(steps) > 1 else "")


def main() -> None:
    """Print a table of building, one of searching, and why."""
    asking = parser(__doc__)
    asking.add_argument("--count", type=int, action="append", help="a size; may be repeated")
    options = asking.parse_args()
    one_thread()
    workload = Workload.open(options.folder)
    sizes, plans = sizes_of(options.count, workload.rows), plans_of(options.plan, workload.dim)
    console = Console(width=150)
    console.print(machine_line())
    built, searched = [], []
    given = {"queries": options.queries, "repeats": options.repeats, "seconds": options.seconds}
    for rows in sizes:
        Workload.open(options.folder, rows).truth(console.print)
        with scratch_folder(options.scratch) as folder:
            place = (str(workload.folder), rows, str(folder / "index"))
            built.append(in_fresh_process(build, *place, options.partition))
            searched.append(in_fresh_process(search, *place, plans, given))
    table = Table("", *(f"{rows:,}" for rows in sizes), "exponent", title=f"{workload.name}: building")
    for name, unit, scale in (
        ("add_seconds", "s", 1), ("partition_seconds", "s", 1), ("build_cpu_seconds", "s", 1),
        ("build_peak_bytes", "MB", 1e6), ("disk_bytes", "MB", 1e6),
    ):  # fmt: skip
        values = [line[name] / scale for line in built]
        title = f"{name.rsplit('_', 1)[0].replace('_', ' ')}, {unit}"
        table.add_row(title, *(f"{value:,.2f}" for value in values), exponent_text(sizes, values))
    console.print(table)
    for plan in plans:
        table = Table("", *(f"{rows:,}" for rows in sizes), "exponent", title=f"{workload.name}: {plan}")
        for name, title, scale in (
            ("ms", "ms/query", 1), ("cpu_ms", "cpu ms/query", 1), ("read_bytes", "read, MB/query", 1e6),
            ("memory_bytes", "resident beside float32, MB", 1e6), ("recall", "recall@10", 1),
        ):  # fmt: skip
            values = [line[plan][name] / scale for line in searched]
            grows = "" if name == "recall" else exponent_text(sizes, values)
            table.add_row(title, *(f"{value:,.3f}" for value in values), grows)
        console.print(table)
    console.print(WHY, highlight=False)
    console.print(machine_line())
    save_json(options.json, workload, {"sizes": sizes, "build": built, "search": searched})


if __name__ == "__main__":
    main()
