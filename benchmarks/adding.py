"""Adding ready vectors: rows a second, memory, bytes, beside what the machine allows.

    python -m benchmarks.adding [--rows 100000] [--dims 128 --dims 512 --dims 1536] [--runs 3] [--growth]
                                [--against OTHER/src] [--profile | --segments]

Each run is a process of its own, pinned to one core (on Linux), that makes an index, adds one array with
`Index.add`, finds the last row, and compacts. Runs of the cases, and of the version in OTHER/src (another
checkout, with its native build beside its sources), take turns, so that a busy machine slows all alike; shown
are the best run and the slowest. cpu is the time of the process itself; with neighbours on the machine it is
the fairer figure. The limit is the sum of what cannot be left out, each measured alone in this run: reading
the vectors, writing the file and its fsync, its CRC-32 by zlib, the rows in SQLite. Rows are patterns of
topics, tiled: no time depends on their values. --growth: 10k, 100k and 1M rows of 128 dims, and exponents.
--profile: where the time of one run with the first dim goes, instead. --segments: what a search of 200,000 x
256 takes when they lie in 1, 8, 16 and 64 segments, instead.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import os
import pstats
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernels import best_seconds, pattern_rows

IDS = ("none", "array", "list", "shuffled", "strings")


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kukla-adding-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def given_ids(kind: str, rows: int) -> Any:
    """Integers in order as an array or a list, out of order, or strings out of order."""
    mixed = np.random.default_rng(0).permutation(rows)
    return {
        "none": lambda: None,
        "array": lambda: np.arange(rows),
        "list": lambda: list(range(rows)),
        "shuffled": lambda: mixed,
        "strings": lambda: [f"document-{number}" for number in mixed.tolist()],
    }[kind]()


def status(name: str, file: str = "status") -> int:
    """A number that Linux keeps of this process."""
    with Path("/proc/self", file).open(encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


def one(rows: int, dim: int, ids: str, profile: cProfile.Profile | None = None) -> dict[str, float]:
    """One run, in this process."""
    import kukla

    vectors, given = pattern_rows(rows, dim), given_ids(ids, rows)
    with folder() as path, kukla.Index.create(path / "index", dim=dim) as index:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        peak, bytes_before = status("VmHWM"), status("write_bytes", "io")
        cpu, start = time.process_time(), time.perf_counter()
        with profile or nullcontext():
            index.add(vectors, ids=given)
        result = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        result["written"] = (status("write_bytes", "io") - bytes_before) / vectors.nbytes
        result["peak_mb"] = (status("VmHWM") - peak) / 1024
        if len(index) != rows or not index.search(vectors[-1:], k=1).scores[0, 0] > 0.99:
            raise SystemExit("what was added is not there")
        result["bytes"] = sum(file.stat().st_size for file in (path / "index" / "segments").iterdir()) / rows
        result["segments"] = len(list((path / "index" / "segments").iterdir()))
        start = time.perf_counter()
        index.compact()
        result["compact"] = time.perf_counter() - start
    return result


def in_process(rows: int, dim: int, ids: str, source: str | None) -> dict[str, float]:
    """One run in a process of its own, of this Kukla or that of another folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if source is not None:
        environment["PYTHONPATH"] = source
    code = "import sys, json; sys.path.append('.'); from benchmarks.adding import one\n"
    code += "print(json.dumps(one(*json.loads(sys.argv[1]))))"
    pin = {os.sched_getaffinity(0).copy().pop()} if hasattr(os, "sched_setaffinity") else None
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, json.dumps([rows, dim, ids])],
        check=True, capture_output=True, text=True, env=environment,
        preexec_fn=(lambda: os.sched_setaffinity(0, pin)) if pin else None,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def segments() -> None:
    """Milliseconds a query of the default plan, the best of five rounds of 50 queries."""
    import kukla
    from kukla.storage import store

    store.MERGE_FACTOR = 1 << 30
    vectors = pattern_rows(200_000, 256)
    for parts in (1, 8, 16, 64):
        with folder() as path, kukla.Index.create(path / "index", dim=256) as index:
            index.add(vectors, batch_rows=len(vectors) // parts)

            def search(index: kukla.Index = index) -> None:
                for row in vectors[:50]:
                    index.search(row, 10)

            print(f"{parts:>3} segments: {best_seconds(search, 5) / 50 * 1e3:.2f} ms a query", flush=True)


def limits() -> dict[str, float]:
    """Seconds a byte of reading, of writing to disk, of zlib's CRC-32; seconds a row of SQLite."""
    from kukla.kernels.checksum import crc32  # not in older versions, which run other parts of this file

    data = np.resize(np.arange(251, dtype=np.uint8), 1 << 27)
    ones = data.view(np.int64)
    piece = data[: 1 << 20]

    def write() -> None:
        with folder() as path, (path / "file").open("wb", buffering=0) as file:
            for _ in range(len(data) // len(piece)):
                file.write(piece.data)
            os.fsync(file.fileno())

    def insert() -> None:
        with folder() as path, closing(sqlite3.connect(path / "db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE documents (key INTEGER PRIMARY KEY, id UNIQUE, crc INTEGER)")
            connection.execute("BEGIN")
            values = ",".join(["(?,?,?)"] * 100)
            for start in range(0, 100_000, 100):
                row = [value for key in range(start, start + 100) for value in (key, key, 1 << 31)]
                connection.execute(f"INSERT OR FAIL INTO documents VALUES {values}", row)
            connection.execute("COMMIT")

    return {
        "read": best_seconds(ones.max, 5) / len(data),
        "write": best_seconds(write, 5) / len(data),
        "crc": best_seconds(lambda: zlib.crc32(piece), 9) / len(piece),
        "row": best_seconds(insert, 3) / 100_000,
        "our crc": best_seconds(lambda: crc32(piece), 9) / len(piece),
    }


def least_seconds(limit: dict[str, float], dim: int, bytes_per_row: float) -> float:
    """What one row costs at least."""
    return 4 * dim * limit["read"] + bytes_per_row * (limit["write"] + limit["crc"]) + limit["row"]


def measure(cases: list[tuple[int, int, str]], sources: list[str | None], runs: int) -> list[list[Any]]:
    """Runs of each case and source, taking turns."""
    found: list[list[Any]] = [[[] for _ in sources] for _ in cases]
    for _ in range(runs):
        for case, lines in zip(cases, found, strict=True):
            for source, line in zip(sources, lines, strict=True):
                line.append(in_process(*case, source))
    return found


def show(
    case: tuple[int, int, str], name: str, runs: list[dict[str, float]], limit: dict[str, float]
) -> None:
    rows, dim, ids = case
    best = min(runs, key=lambda run: run["seconds"])
    cpu, slowest = min(run["cpu"] for run in runs), max(run["seconds"] for run in runs)
    compact = min(run["compact"] for run in runs)
    least = least_seconds(limit, dim, best["bytes"])
    print(
        f"{rows:>9,} {dim:>5} {ids:9} {name:7} {rows / best['seconds']:>10,.0f} {rows / slowest:>10,.0f} "
        f"{rows / cpu:>10,.0f} {4e-6 * rows * dim / best['seconds']:>6.0f} {best['peak_mb']:>8.0f} "
        f"{best['written']:>8.2f} {best['bytes'] / (4 * dim):>7.2f} {best['segments']:>4.0f} {compact:>8.2f} "
        f"{1 / least:>10,.0f} {best['seconds'] / rows / least:>6.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, action="append")
    parser.add_argument("--ids", action="append", choices=IDS, help="with 512 dims; all by default")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--segments", action="store_true")
    parser.add_argument("--against", help="the sources of another checkout, with its native build")
    options = parser.parse_args()
    sources = [None, *([str(Path(options.against).absolute())] if options.against else [])]

    if options.segments:
        segments()
        return
    if options.profile:
        profile = cProfile.Profile()
        for runs in (None, profile):  # the first is a warm-up
            one(options.rows, (options.dims or [512])[0], "none", runs)
        pstats.Stats(profile).sort_stats("tottime").print_stats(16)
        return

    limit = limits()
    print(
        f"alone: reading {1e-9 / limit['read']:.1f} GB/s, write and fsync {1e-9 / limit['write']:.2f} GB/s, "
        f"CRC-32 {1e-9 / limit['crc']:.1f} GB/s (Kukla's {1e-9 / limit['our crc']:.1f}), "
        f"SQLite {1 / limit['row']:,.0f} rows/s; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"{'rows':>9} {'dims':>5} {'ids':9} {'':7} {'adds/s':>10} {'slowest':>10} {'cpu':>10} {'MB/s':>6} "
        f"{'peak MB':>8} {'written':>8} {'on disk':>7} {'segs':>4} {'compact':>8} {'limit':>10} {'/limit':>6}"
    )
    cases = [(options.rows, dim, "none") for dim in options.dims or (128, 512, 1536)]
    cases += [(options.rows, 512, kind) for kind in options.ids or IDS[1:] if kind != "none"]
    if options.growth:
        cases += [(rows, 128, "none") for rows in (10_000, 100_000, 1_000_000)]
    found = measure(cases, sources, options.runs)
    for case, lines in zip(cases, found, strict=True):
        for name, runs in zip(("now", "before"), lines, strict=False):
            show(case, name, runs, limit)
        if options.against:
            wall, cpu = (
                min(run[what] for run in lines[1]) / min(run[what] for run in lines[0])
                for what in ("seconds", "cpu")
            )
            print(f"{'':25} before / now: {wall:.2f} in time, {cpu:.2f} in cpu")
    if options.growth:
        for name, i in (("time", "seconds"), ("cpu", "cpu")):
            values = [min(run[i] for run in lines[0]) for lines in found[-3:]]
            print(
                f"exponent of {name}: {math.log10(values[1] / values[0]):.2f} from 10k to 100k, "
                f"{math.log10(values[2] / values[1]):.2f} from 100k to 1M"
            )


if __name__ == "__main__":
    main()
