"""Index and search passages at size: `python -m benchmarks.passages DATA [--count 200000]`.

Reads Wikipedia passages, embeds them with the built-in model, and asks real questions (XQuAD). Prints time,
bytes and peak memory of every step, and recall of plans against exact full vectors. Queries are questions and
documents are passages, which is what makes short prefixes lose more here than on documents as queries.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Document, Index, kernels, load_embedder
from kukla.cost import format_bytes
from kukla.evaluate import exact_answers

K = 10
QUERIES = 500
PLANS = (
    "512:float32",
    "512:binary@20x > 512:int8@4x > 512:float32",
    "512:int8@4x > 512:float32",
    "256:int8@20x > 512:float32",
    "128:int8@20x > 512:float32",
    "64:int8@20x > 512:float32",
    "256:binary@50x > 512:int8@4x > 512:float32",
    "128:binary@100x > 512:int8@10x > 512:float32",
)


def main() -> None:
    """Run every step and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with wikipedia/ and ir/ in it")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--to", type=Path, help="keep the index here")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as scratch:
        path = arguments.to or Path(scratch) / "passages.kukla"
        _build(console, path, arguments.data, arguments.count)
        _search(console, path, arguments.data, arguments.threads)


def _documents(data: Path, count: int) -> Iterator[Document]:
    with gzip.open(data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in islice(lines, count):
            row = json.loads(line)
            text = f"{row['title']}. {row['text']}"
            yield Document(row["_id"], text, {"title": row["title"], "section": row["section"]})


def _build(console: Console, path: Path, data: Path, count: int) -> None:
    embedder = load_embedder()
    started = time.perf_counter()
    with Index.create(path, embedder=embedder) as index:
        added = index.add(_documents(data, count))
        seconds = time.perf_counter() - started
        info = index.info()
        started = time.perf_counter()
        index.compact()
        compacting = time.perf_counter() - started
    console.print(
        f"{added:,} passages read, embedded and stored in {seconds:.1f} s ({added / seconds:,.0f}/s); "
        f"compacted in {compacting:.1f} s; vectors {format_bytes(info.vector_bytes)}, catalog (texts, "
        f"metadata) {format_bytes(info.catalog_bytes)}; peak memory {_peak()}"
    )


def _search(console: Console, path: Path, data: Path, threads: int) -> None:
    started = time.perf_counter()
    index = Index.open(path)
    console.print(f"opened in {(time.perf_counter() - started) * 1e3:.0f} ms; kernels: {kernels.active()}")
    with (data / "ir" / "xquad_en" / "queries.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line)["text"] for line in islice(lines, QUERIES)]
    queries = index.embedder.encode_queries(questions)
    exact = exact_answers(index, queries, k=K, threads=threads)
    table = Table(
        "plan", f"recall@{K}", "ms/query", "read/query", "in memory", title=f"{len(index):,} passages"
    )
    for plan in PLANS:
        found = index.search(queries, K, plan=plan)
        milliseconds = [
            index.search(query, K, plan=plan, threads=threads).seconds * 1e3 for query in queries[:100]
        ]
        cost = index.explain(plan, k=K)
        table.add_row(
            plan,
            f"{exact.recall(found.ids).mean():.3f}",
            f"{np.median(milliseconds):.2f}",
            format_bytes(cost.bytes_read),
            f"{format_bytes(cost.resident_bytes)} ({cost.memory_ratio:.0f}x less)",
        )
    console.print(table)
    console.print(
        f"{len(questions)} questions, {threads} thread(s), one query at a time; peak memory {_peak()}"
    )
    index.close()


def _peak() -> str:
    """The most memory this process had resident, mapped file pages included."""
    return format_bytes(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
    )


if __name__ == "__main__":
    main()
