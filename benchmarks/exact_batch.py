"""Exact search in batches, native beside torch: `python -m benchmarks.exact_batch INDEX QUESTIONS.jsonl`.

Asks the questions (a field `text`) of an index, such as the one that `python -m benchmarks.passages DATA --to
INDEX` keeps, in batches of several sizes, and compares every id and score. Fails where one differs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Index, load_embedder
from kukla.evaluate import ExactResult, exact_search

K = 10
BATCHES = (1, 10, 100)
REPEATS = 3


def main() -> None:
    """Time and compare; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the native kernels; torch has its own")
    options = parser.parse_args()
    with options.questions.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, max(BATCHES))]
    with Index.open(options.index, embedder=load_embedder(), read_only=True) as index:
        queries = index.embedder.encode_queries(texts)
        table = Table("queries", "native, ms a query", "device, ms a query", "widened")
        exact_search(index, queries[:1], K, device=options.device)  # reads the pages, starts the device
        for count in BATCHES:
            batch = queries[:count]
            native, slow = _timed(lambda batch=batch: exact_search(index, batch, K, threads=options.threads))
            found, fast = _timed(lambda batch=batch: exact_search(index, batch, K, device=options.device))
            if not (np.array_equal(native.ids, found.ids) and np.array_equal(native.scores, found.scores)):
                raise SystemExit(f"{count} queries: {found.device} and the native kernels differ")
            each = 1e3 / len(batch)
            table.add_row(f"{len(batch)}", f"{slow * each:.2f}", f"{fast * each:.2f}", f"{found.widened}")
        table.title = f"{len(index):,} x {index.nesting.full}, k={K}, {found.device}; same ids and scores"
        Console().print(table)


def _timed(search: Callable[[], ExactResult]) -> tuple[ExactResult, float]:
    """The result, and the median of a few runs in seconds."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = search()
        seconds.append(time.perf_counter() - started)
    return found, median(seconds)


if __name__ == "__main__":
    main()
