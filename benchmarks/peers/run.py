"""Run the grid: for each workload, engine and build one process that builds, and two that search.

What is in the results already is not measured again. An index stays in the scratch folder until all searches
of it are done, so that a killed run does not build it twice. A process that fails, or takes too long, becomes
a record with its error; the others go on. So does an engine that has used up its time on a workload: what was
left is measured by a later run with `--retry` or more time.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.peers import engines
from benchmarks.peers.engines.base import Params, Shape
from benchmarks.peers.limits import describe_machine, measure_limits
from benchmarks.peers.measure import Effort
from benchmarks.peers.report import machines
from benchmarks.peers.results import Record, Results
from benchmarks.peers.workloads import Workload

__all__ = ["Options", "run"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
BATCH_THREADS = 2
BATCH_SHARE = 0.4
"""Of the time that is left to an engine is kept for its batches while single queries are measured."""
OUT_OF_TIME = "this engine's {:,.0f} minutes on this workload are used up"
ERROR_CHARS = 1500
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    """What to run and how hard; `builds` and `searches`: at most so many of each grid; `quick`: the builds
    known best; `engine_seconds`: of one engine on one workload, in all."""

    scratch: Path
    names: Sequence[str] = engines.NAMES
    builds: int | None = None
    searches: int | None = None
    build_threads: int = 1
    limit_seconds: float = 3 * 3600
    engine_seconds: float = math.inf
    quick: bool = False
    effort: Effort = field(default_factory=Effort)
    retry: bool = False
    keep: bool = False


def run(
    results: Results, workloads: Sequence[Workload], options: Options, say: Callable[[str], None]
) -> None:
    """Measure everything that the options ask for and the results do not have."""
    machine = describe_machine()
    if results.find({"kind": "machine", "cpu": machine["cpu"]}) is None:
        results.add({"kind": "machine", "at": _now(), **machine, **measure_limits()})
    say(machines(results))
    for workload in workloads:
        workload.truth(say)
        part = "" if workload.rows == workload.of_rows else f"The first {workload.rows:,} rows of: "
        about = {"about": part + workload.about, "queries": workload.n_queries}
        results.add({"kind": "workload", "workload": workload.name, "at": _now(), **about})
        for name in options.names:
            ends = time.monotonic() + options.engine_seconds
            for job in _jobs(workload, name, options):
                _one_build(results, workload, job, options, say, ends)


def _jobs(workload: Workload, name: str, options: Options) -> Iterator[Record]:
    engine = engines.load(name)
    try:
        version = engine.version()
    except ImportError as error:
        version = "not installed"
        reason = f"{error}; pip install {' '.join(engine.packages)}"
        yield {**_key(workload, name, version, {}), "searches": [], "missing": reason}
        return
    shape = Shape(workload.rows, workload.dim)
    builds = engine.quick_builds(shape) if options.quick else engine.builds(shape)
    for build in builds[: options.builds]:
        searches = engine.searches(shape, build)
        if options.searches and len(searches) > options.searches:
            # Evenly spaced, so that a grid of two parameters is crossed along its diagonal.
            searches = [searches[round(at)] for at in np.linspace(0, len(searches) - 1, options.searches)]
        yield {**_key(workload, name, version, build), "searches": searches}


def _key(workload: Workload, name: str, version: str, build: Params) -> Record:
    return {"workload": workload.name, "engine": name, "version": version, "build": build}


def _one_build(
    results: Results,
    workload: Workload,
    job: Record,
    options: Options,
    say: Callable[[str], None],
    ends: float,
) -> None:
    key = {name: job[name] for name in ("workload", "engine", "version", "build")}
    build_key = {**key, "kind": "build", "threads": options.build_threads}
    done = _done(results, build_key, options)
    if "missing" in job:
        if done is None:
            say(f"{job['engine']}: {job['missing']}")
            results.add({**build_key, "status": "failed", "at": _now(), "error": job["missing"]})
        return
    todo = {
        kind: [
            search
            for search in job["searches"]
            if _done(results, {**key, "kind": kind, "search": search, "threads": threads}, options) is None
        ]
        for kind, threads in (("single", 1), ("batch", BATCH_THREADS))
    }
    if done is not None and (done["status"] == "failed" or not any(todo.values())):
        return
    title = f"{workload.name} {job['engine']} {json.dumps(job['build'])}"
    folder = options.scratch / f"{zlib.crc32(json.dumps(key, sort_keys=True).encode()):08x}"
    common = {"workload": str(workload.folder), "rows": workload.rows, "engine": job["engine"]}
    common |= {"build": job["build"], "folder": str(folder), "effort": asdict(options.effort)}
    if done is None or not (folder / "whole").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"{title}: building")
        lines: list[Record] = []
        build_job = {**common, "kind": "build", "threads": options.build_threads}
        error = _work(build_job, options, lines.append, ends)
        found = lines[0] if lines else {}
        status = {"status": "failed", "error": error} if error or not lines else {"status": "ok"}
        results.add({**build_key, **found, **status, "at": _now()})
        if error or not lines:
            say(f"{title}: FAILED: {(error or 'no result').splitlines()[-1]}")
            shutil.rmtree(folder, ignore_errors=True)
            return
        (folder / "whole").touch()
    for kind, threads in (("single", 1), ("batch", BATCH_THREADS)):
        until = ends
        if kind == "single" and todo["batch"] and math.isfinite(ends):
            until -= BATCH_SHARE * max(0.0, ends - time.monotonic())
        full_key = {**key, "kind": kind, "threads": threads}
        _searches(results, full_key, todo[kind], common, options, say, title, until)
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)


def _searches(
    results: Results,
    key: Record,
    searches: list[Params],
    common: Record,
    options: Options,
    say: Callable[[str], None],
    title: str,
    ends: float,
) -> None:
    if not searches:
        return
    left = list(searches)

    def take(line: Record) -> None:
        left.remove(line["search"])
        results.add({**key, **line, "at": _now()})
        if line["status"] == "ok":
            measured = f"{line['recall']:.4f} {line['qps']:,.0f}/s"
            say(f"{title} {json.dumps(line['search'])} {key['kind']}: {measured}")

    job = {**common, "kind": key["kind"], "threads": key["threads"], "searches": searches}
    while error := _work(job | {"searches": list(left)}, options, take, ends):
        # What failed is the first search that gave no result; those after it get a process of their own.
        if late := time.monotonic() >= ends:
            error = f"{error}; {len(left)} searches of this kind were left"
        results.add({**key, "search": left[0], "status": "failed", "error": error, "at": _now()})
        say(f"{title} {json.dumps(left[0])} {key['kind']}: FAILED: {error.splitlines()[-1]}")
        del left[0]
        if late or not left:
            break


def _work(job: Record, options: Options, take: Callable[[Record], None], ends: float) -> str | None:
    """Run a worker; hand over its lines as they come. The error, or None when it ended well."""
    if time.monotonic() >= ends:
        return OUT_OF_TIME.format(options.engine_seconds / 60)
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(job["threads"]))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [environment.get("PYTHONPATH")])])
    reader, writer = os.pipe()
    log = Path(job["folder"]) / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", str(writer), json.dumps(job)],
            pass_fds=(writer,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    os.close(writer)
    try:
        in_time = _read_lines(reader, options.limit_seconds, take, ends)
    finally:
        os.close(reader)
        if process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            process.kill()
        code = process.wait()
    if not in_time and time.monotonic() >= ends:
        return OUT_OF_TIME.format(options.engine_seconds / 60)
    if not in_time:
        return f"no result within {options.limit_seconds:,.0f} s"
    if code == 0:
        return None
    said = log.read_text(errors="replace")[-ERROR_CHARS:].strip()
    return f"exit status {code}: {said or 'it said nothing'}"


def _read_lines(reader: int, limit: float, take: Callable[[Record], None], ends: float) -> bool:
    """Take lines until the pipe closes; False when none came within the limit, or before the end."""
    held = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while selector.select(min(limit, max(0.0, ends - time.monotonic()))):
            chunk = os.read(reader, 1 << 16)
            if not chunk:
                return True
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                take(json.loads(line))
    return False


def _done(results: Results, key: Record, options: Options) -> Record | None:
    found = results.find(key)
    return None if found and options.retry and found["status"] == "failed" else found


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")
