"""What the commands on a folder of vectors share: arguments, the index, its plans, timing in turns, JSON.

A folder is a workload of `benchmarks.peers` (base.npy and queries.npy, float32, rows of length 1). Every
command searches in one thread, one query at a time; what is compared takes turns, pass by pass, so that a
busy moment slows all alike; a time comes with its spread, and the load of the machine is printed. Ratios are
of cpu time, which is the thread's own: with neighbours on the machine it is the fairer figure, on a quiet one
it is the same (everything is in memory, nothing waits).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.limits import describe_machine
from benchmarks.peers.run import THREAD_VARIABLES
from benchmarks.peers.workloads import K, Workload
from kukla import Index, kernels

__all__ = [
    "PLANS",
    "Floats",
    "K",
    "Timing",
    "in_fresh_process",
    "machine_line",
    "make_index",
    "one_thread",
    "parser",
    "partition",
    "plans_of",
    "save_json",
    "scratch_folder",
    "take_turns",
]

Floats = NDArray[np.float32]
PLANS = (
    "{full}:float32",
    "{full}:int8@4x > {full}:float32",
    "{full}:binary@20x > {full}:int8@3x > {full}:float32",
)
FEWEST = 5
"""Queries of a pass, however slow they are."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds a query, the mean over queries of each query's median pass; of the thread's cpu likewise;
    the fastest and the slowest pass; the 99th percentile of queries."""

    ms: float
    cpu_ms: float
    low_ms: float
    high_ms: float
    p99_ms: float
    queries: int
    repeats: int

    def __str__(self) -> str:
        return f"{self.ms:.3g} ({self.low_ms:.3g}-{self.high_ms:.3g})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def parser(
    doc: str | None, *, queries: int = 200, repeats: int = 5, seconds: float = 1.0
) -> argparse.ArgumentParser:
    """The arguments that all of these commands have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path, help="a workload: base.npy and queries.npy, float32, of length 1")
    made.add_argument("--plan", action="append", metavar="TEXT", help="{full} is all dims; may be repeated")
    made.add_argument(
        "--partition", nargs="?", type=int, const=0, metavar="LISTS", help="Index.partition after adding"
    )
    made.add_argument("--queries", type=int, default=queries)
    made.add_argument("--repeats", type=int, default=repeats, help="passes that are timed, after a warm-up")
    made.add_argument("--seconds", type=float, default=seconds, help="of one pass, at most")
    made.add_argument("--json", type=Path, help="write everything that was measured here")
    made.add_argument("--scratch", type=Path, help="where indexes are made; default: the system's")
    return made


def one_thread() -> None:
    """Start this command again with every library bound to one thread, unless it was started so.

    BLAS reads its number of threads when NumPy is imported, which is before any code of ours.
    """
    wanted = dict.fromkeys(THREAD_VARIABLES, "1")
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **wanted})


def plans_of(texts: Sequence[str] | None, full: int) -> list[str]:
    """The plans asked for, or `PLANS`, with the dims filled in."""
    return [text.replace("{full}", str(full)) for text in texts or PLANS]


@contextmanager
def scratch_folder(where: Path | None) -> Iterator[Path]:
    """A folder for indexes, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="kukla-bench-", dir=where) as folder:
        yield Path(folder)


def make_index(
    path: Path,
    rows: Floats,
    *,
    lists: int | None = None,
    ids: Iterable[int] | None = None,
    metadata: Iterable[Mapping[str, Any]] | None = None,
) -> Index:
    """An index of these rows, in one segment; their numbers are the ids. `lists`: as `partition` takes it."""
    index = Index.create(path, dim=rows.shape[1])
    index.add(rows, ids=range(len(rows)) if ids is None else ids, metadata=metadata)
    index.compact()
    partition(index, lists)
    return index


def take_turns(
    searches: Mapping[str, Callable[[Floats], object]], queries: Floats, *, repeats: int, seconds: float
) -> dict[str, Timing]:
    """Time each search on the same queries, in turns.

    A warm-up asks every search every query, as far as `seconds` allow; the passes that follow take as many
    queries as the slowest search could answer in that time.
    """
    fitting = len(queries)
    for search in searches.values():
        started = time.perf_counter()
        for at, query in enumerate(queries):
            search(query)
            if time.perf_counter() - started > seconds and at + 1 >= FEWEST:
                fitting = min(fitting, at + 1)
                break
    asked = queries[:fitting]
    taken = {name: np.empty((2, repeats, fitting)) for name in searches}
    for repeat in range(repeats):
        for name, search in searches.items():
            for at, query in enumerate(asked):
                before, cpu = time.perf_counter(), time.thread_time()
                search(query)
                taken[name][:, repeat, at] = time.perf_counter() - before, time.thread_time() - cpu
    return {name: summary(*both) for name, both in taken.items()}


def summary(wall: NDArray[np.float64], cpu: NDArray[np.float64]) -> Timing:
    """Of seconds (repeats, queries)."""
    passes, typical = wall.mean(axis=1) * 1e3, np.median(wall, axis=0) * 1e3
    return Timing(
        ms=float(typical.mean()),
        cpu_ms=float(np.median(cpu, axis=0).mean()) * 1e3,
        low_ms=float(passes.min()),
        high_ms=float(passes.max()),
        p99_ms=float(np.percentile(typical, 99)),
        queries=wall.shape[1],
        repeats=len(wall),
    )


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a module's function in a process of its own, so that memory and caches are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def machine_line() -> str:
    """What a figure belongs to; with the load now, because a busy machine's times are not to be quoted."""
    machine = describe_machine()
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    return (
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {caches}, {machine['memory_gb']} GB; "
        f"{' '.join(machine['isa'])}; {machine['system']}; kernels: {kernels.active()}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def save_json(path: Path | None, workload: Workload, results: Any) -> None:
    """The results with the machine, the load and the command that made them."""
    if path is None:
        return
    whole = {
        "command": ["python", *sys.orig_argv[1:]],
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "machine": describe_machine(),
        "load": os.getloadavg()[0],
        "workload": workload.name,
        "about": workload.about,
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def partition(index: Any, lists: int | None) -> None:
    """Nothing for None; `Index.partition()` for 0; else with so many lists."""
    if lists is not None:
        index.partition(**({"lists": lists} if lists else {}))
