"""What Python costs around a search: `python -m benchmarks.overhead`.

One query at a time on an index of 200 documents, where the kernels have next to nothing to do. "native" is
the one call that runs all stages of the plan (`kukla.search.native`), "around it" everything else: checks,
normalising the query, asking the catalog for its version, the result.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from kukla import Index, Plan, kernels, load_embedder

DOCUMENTS = 200
PLANS = (
    "512:float32",
    "512:int8@4x > 512:float32",
    "256:binary@8x > 512:int8@4x > 512:float32",
)


def main() -> None:
    """Print one line for each number of stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    calls = parser.parse_args().calls
    embedder = load_embedder()
    rows = embedder.encode_documents([f"document {i} about {kernels.__name__}" for i in range(DOCUMENTS)])
    table = Table(
        "plan", "search, µs", "90 %", "native, µs", "around it, µs", "plan as text, more",
        title=f"{DOCUMENTS} documents, 512 dims, kernels: {kernels.active()}, {calls:,} calls, medians",
    )  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.create(Path(folder) / "i", dim=rows.shape[1]) as index,
    ):
        index.add(rows)
        for text in PLANS:
            plan, query = Plan.parse(text), rows[3]
            whole = _times(lambda query=query, plan=plan: index.search(query, 10, plan=plan), calls)
            as_text = _times(lambda query=query, text=text: index.search(query, 10, plan=text), calls)
            inside = [
                sum(stage.seconds for stage in index.search(query, 10, plan=plan).stages)
                for _ in range(calls)
            ]
            total, native = median(whole) * 1e6, median(inside) * 1e6
            table.add_row(
                text,
                f"{total:.1f}",
                f"{quantiles(whole, n=10)[-1] * 1e6:.1f}",
                f"{native:.1f}",
                f"{total - native:.1f}",
                f"{median(as_text) * 1e6 - total:+.1f}",
            )
    Console(width=120).print(table)


def _times(call: Callable[[], object], calls: int) -> list[float]:
    for _ in range(calls // 10):  # warms up
        call()
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
