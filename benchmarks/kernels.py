"""Speed of every kernel on every instruction set this machine has, beside the speed of plain reading.

    python -m benchmarks.kernels [--megabytes 512] [--threads 1] [--runs 5] [--isa avx2 --isa avx512]

Each figure is the best of some runs after a warm-up: gigabytes (10^9) of rows per second, counted once per
query. With one query the limit is what memory delivers; with a batch, rows are read from memory once and a
kernel may exceed it. Rows are patterns of topics, tiled; no kernel's time depends on their values, but for
the few that enter a list of results. Memory: about twice --megabytes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from kukla import kernels

KEEP = 100
BATCH = 32
Case = tuple[str, int, Callable[[], object]]


def pattern_rows(n: int, width: int) -> Any:
    """float32 (n, width): 4096 rows around 50 topics with falling spread, tiled to n."""
    rng = np.random.default_rng(0)
    spread = np.linspace(2.0, 0.3, width)
    topics = rng.standard_normal((50, width)) * spread
    rows = topics[rng.integers(0, 50, 4096)] + 0.5 * spread * rng.standard_normal((4096, width))
    return np.resize(rows.astype(np.float32), (n, width))


def best_seconds(run: Callable[[], object], runs: int) -> float:
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def read_speed(total: int, threads: int, runs: int) -> float:
    """Bytes per second of the fastest reduction of NumPy, in `threads` threads."""
    parts = np.array_split(np.ones(total // 8, dtype=np.int64), threads)
    with ThreadPoolExecutor(threads) as pool:
        reductions = (np.max, np.bitwise_or.reduce, np.sum)
        seconds = [best_seconds(partial(_each, pool, f, parts), runs) for f in reductions]
    return total / min(seconds)


def _each(pool: ThreadPoolExecutor, reduction: Callable[[Any], object], parts: list[Any]) -> None:
    for future in [pool.submit(reduction, part) for part in parts]:
        future.result()


def cases(total: int, threads: int) -> Iterator[Case]:
    """(name, bytes of rows read, call) of each kernel, over `total` bytes of rows."""
    for bits in (256, 1536):
        n = total // (bits // 8)
        shells = [np.resize(np.packbits(pattern_rows(4096, bits) > 0, axis=1), (n, bits // 8))]
        for nq in (1, BATCH):
            queries = [shells[0][:nq].copy()]
            yield (
                f"scan_binary {bits} bits, {nq} queries",
                nq * shells[0].nbytes,
                partial(kernels.scan_binary, shells, queries, KEEP, threads=threads),
            )
    for width in (256, 1536):
        n = total // width
        codes = [
            np.resize(np.clip(np.rint(pattern_rows(4096, width) * 20), -127, 127).astype(np.int8), (n, width))
        ]
        scales = [np.ones(n, dtype=np.float32)]
        for nq in (1, BATCH):
            query_codes, query_scales = [codes[0][:nq].astype(np.int16) * 64], np.ones((nq, 1))
            yield (
                f"scan_int8 {width} dims, {nq} queries",
                nq * codes[0].nbytes,
                partial(kernels.scan_int8, codes, scales, query_codes, query_scales, KEEP, threads=threads),
            )
    rows = np.random.default_rng(1).integers(0, n, (8, 5000))
    query_codes, query_scales = [codes[0][:8].astype(np.int16) * 64], np.ones((8, 1))
    yield (
        "score_int8 1536 dims, 8 x 5000 random rows",
        rows.size * 1536,
        partial(kernels.score_int8, codes, scales, query_codes, query_scales, rows, threads=threads),
    )
    tokens = codes[0][:30_000]
    ids = np.random.default_rng(2).integers(0, len(tokens), 40_000).astype(np.int32)
    offsets = np.arange(0, 40_001, 200, dtype=np.int64)
    yield (
        "pool_rows 200 texts of 200 tokens, 1024 dims",
        len(ids) * 1024,
        partial(kernels.pool_rows, tokens, scales[0][: len(tokens)], ids, offsets, 1024),
    )
    for dtype in (np.float16, np.float32):
        width = 1536
        n = total // (width * np.dtype(dtype).itemsize)
        vectors = np.resize(pattern_rows(4096, width).astype(dtype), (n, width))
        for dim, nq in ((width, 1), (width, BATCH), (256, 1)):
            queries = [vectors[:nq].astype(np.float32)]
            yield (
                f"scan_float {np.dtype(dtype).name} {dim} of {width} dims, {nq} queries",
                nq * n * dim * vectors.itemsize,
                partial(kernels.scan_float, vectors, queries[0], dim, KEEP, threads=threads),
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--megabytes", type=int, default=512, help="rows per scan; take several times the last cache"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--isa", action="append", choices=kernels.available(), help="all but numpy by default"
    )
    options = parser.parse_args()
    names = options.isa or [name for name in kernels.available() if name != "numpy"] or ["numpy"]
    total = options.megabytes * 1_000_000

    limit = read_speed(total, options.threads, options.runs)
    print(
        f"{options.megabytes} MB of rows, {options.threads} threads, GB/s; reading alone: {limit / 1e9:.1f}"
    )
    print(f"{'':52}" + "".join(f"{name:>10}" for name in names))
    for title, size, run in cases(total, options.threads):
        line = ""
        for name in names:
            with kernels.use(name):
                line += f"{size / best_seconds(run, options.runs) / 1e9:10.1f}"
        print(f"{title:52}{line}", flush=True)


if __name__ == "__main__":
    main()
