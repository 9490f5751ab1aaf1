"""One process: build an index, or open one and search it. Started by `run`; speaks JSON lines on a pipe.

    python -m benchmarks.peers.worker FD JOB

The job is JSON. Threads are bound by the environment (set before any library starts), by the engine, and by
the processors this process may run on, so that a single thread is one whatever a library believes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import engines
from benchmarks.peers.engines.base import Engine, Params
from benchmarks.peers.measure import Effort, measure_batch, measure_single
from benchmarks.peers.memory import Memory, Range, disk_bytes, resident
from benchmarks.peers.workloads import Workload

__all__ = ["main"]

ENOUGH = 0.9995


def main(fd: int, job: dict[str, Any]) -> None:
    """Do a job; every finished measurement is one line."""
    with os.fdopen(fd, "w", encoding="utf-8") as pipe:

        def say(record: dict[str, Any]) -> None:
            pipe.write(json.dumps(record) + "\n")
            pipe.flush()

        _end_with(os.getppid())
        _first_to_go()
        _keep_to(job["threads"])
        workload = Workload.open(job["workload"], job["rows"])
        engine = engines.load(job["engine"])
        folder = Path(job["folder"])
        if job["kind"] == "build":
            say(_build(engine, workload, folder, job))
        else:
            _search(engine, workload, folder, job, say)


def _end_with(parent: int) -> None:
    """A run that is killed takes its worker with it, however long a library stays in its own code."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _first_to_go() -> None:
    """Where memory does not suffice, the system ends this process, not the run: an error in the results."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def _keep_to(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-threads:])


def _build(engine: Engine, workload: Workload, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    base = workload.base()
    for start in range(0, len(base), 1 << 16):
        base[start : start + (1 << 16)].max()  # from disk to memory, so that the disk is not timed
    started = time.perf_counter()
    engine.build(base, folder, job["build"], job["threads"])
    seconds = time.perf_counter() - started
    import resource

    return {
        "build_seconds": round(seconds, 3),
        "disk_bytes": disk_bytes(folder),
        "build_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _search(engine: Engine, workload: Workload, folder: Path, job: dict[str, Any], say: Any) -> None:
    base, queries, truth = workload.base(), workload.queries(), workload.truth()
    # A slow engine is asked the first queries only: they must not all be of one kind.
    order = np.random.default_rng(0).permutation(len(queries))
    queries, truth = np.ascontiguousarray(queries[order]), truth.of(order)
    effort = Effort(**job["effort"])
    ranges: list[Range] = [(workload.folder / "base.npy", 0, 1 << 62)]
    for module in engine.modules:
        import_module(module)
    before = resident(folder, ranges)
    started = time.perf_counter()
    engine.open(base, folder, job["build"], job["threads"])
    opened = time.perf_counter() - started
    ranges += engine.full_vector_ranges()
    enough: list[Params] = []
    for search in job["searches"]:
        if cheaper := next((found for found in enough if _dearer(search, found)), None):
            why = f"{json.dumps(cheaper)} asks for no more and reached recall {ENOUGH}"
            say({"search": search, "status": "skipped", "why": why})
            continue
        engine.configure(search)
        if job["kind"] == "single":
            result = measure_single(engine, queries, truth, effort)
            result |= _memory(engine, before, resident(folder, ranges))
            result |= {"open_seconds": round(opened, 4), "bytes_read": engine.bytes_read()}
        else:
            result = measure_batch(engine, queries, truth, effort)
        if result["recall"] >= ENOUGH:
            enough.append(search)
        say({"search": search, "status": "ok", "load": round(os.getloadavg()[0], 2), **result})


def _dearer(search: Params, other: Params) -> bool:
    """Whether a search asks for at least as much as another in every number, and is like it in the rest."""
    return search.keys() == other.keys() and all(
        value >= other[name] if isinstance(value, int | float) else value == other[name]
        for name, value in search.items()
    )


def _memory(engine: Engine, before: Memory, after: Memory) -> dict[str, int]:
    return {
        "memory_bytes": after.beside(before, engine.full_vectors()),
        "memory_private_bytes": after.private - before.private,
        "memory_mapped_bytes": after.mapped - before.mapped,
        "full_vectors_private_bytes": engine.full_vectors(),
        "full_vectors_mapped_bytes": after.left_out - before.left_out,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
