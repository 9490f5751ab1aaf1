"""Exact search beside the best exact float32 scans: `python -m benchmarks.exact SET [--projection pca]`.

SET is a folder with `base.npy` and `queries.npy`, float32, such as the sets of `benchmarks.ann_benchmarks`.
Makes an index of it (`--keep FOLDER` keeps it for the next run), asks one question at a time on one thread,
Kukla's proof and its peers in turn, and compares every answer with a brute-force one in float64. The peers:
NumPy (`base @ q` by BLAS and a selection), FAISS's IndexFlatIP where it is installed, and Kukla's own
float32 scan. A rotation is fitted on the documents, a query-aware one on the questions that are not asked
as well; peers always scan the vectors as they are. Each question is asked three times and its fastest answer
counts, of Kukla and of the peers: the machine may be shared.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Index
from kukla.projection import Projection, fit_pca, fit_query_aware

K = 10
ROUNDS = 3
FIT_ROWS = 60_000
ADDED = 50_000
KUKLA = "certify=True"

Search = Callable[[np.ndarray], Any]


def main() -> None:
    """Print what a proof took, what it read, and what the peers took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path)
    parser.add_argument("--projection", choices=("none", "pca", "query-aware"), default="none")
    parser.add_argument("--metric", choices=("cosine", "ip"), default="cosine")
    parser.add_argument("--count", type=int, help="documents; all by default")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--peers", type=int, default=30, help="of these, for each peer")
    parser.add_argument("--keep", type=Path, help="the index: made where it is not there yet")
    options = parser.parse_args()
    base = np.load(options.set / "base.npy")[: options.count]
    questions = np.load(options.set / "queries.npy")
    asked, other = questions[: options.queries], questions[options.queries :]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "index"
        if not folder.exists():
            make(folder, base, _projection(options.projection, base, other), options.metric)
        with Index.open(folder, read_only=True) as index:
            if len(index) != len(base) or index.nesting.full != base.shape[1]:
                raise SystemExit(f"{folder} holds {len(index):,} x {index.nesting.full}, not this set")
            title = (
                f"{options.set.name}, {len(base):,} x {base.shape[1]}, {options.metric}, {options.projection}"
            )
            report(title, index, base, asked, options.peers)


def make(folder: Path, base: np.ndarray, projection: Projection | None, metric: Any) -> None:
    """An index of int8 and float32 with ids 0, 1, ...; one segment."""
    with Index.create(
        folder, dim=base.shape[1], metric=metric, projection=projection, precisions=("int8", "float32")
    ) as index:
        for start in range(0, len(base), ADDED):
            index.add(base[start : start + ADDED])
        index.compact()


def _projection(name: str, base: np.ndarray, other: np.ndarray) -> Projection | None:
    rows = np.random.default_rng(0).choice(len(base), min(FIT_ROWS, len(base)), replace=False)
    if name == "none":
        return None
    sample = np.ascontiguousarray(base[np.sort(rows)])
    return fit_pca(sample) if name == "pca" else fit_query_aware(sample, other)


def report(title: str, index: Index, base: np.ndarray, asked: np.ndarray, peers: int) -> None:
    """Time, compare and print."""
    scan = f"{index.nesting.full}:float32"
    searches: dict[str, Search] = {
        KUKLA: lambda q: index.search(q, K, certify=True),
        f"Kukla {scan}": lambda q: index.search(q, K, plan=scan),
        "NumPy base @ q": lambda q: _numpy(base, q),
    }
    flat = _faiss(base)
    if flat is not None:
        searches["FAISS IndexFlatIP"] = flat
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    found = []
    for search in searches.values():
        search(asked[0])  # reads the pages
    every = max(1, len(asked) // peers)
    for i, query in enumerate(asked):  # in turn: what else the machine does falls on all of them
        turns: dict[str, list[float]] = {name: [] for name in searches if name == KUKLA or i % every == 0}
        for _ in range(ROUNDS):
            for name, times in turns.items():
                started = time.perf_counter()
                answer = searches[name](query)
                times.append(time.perf_counter() - started)
                if name == KUKLA and len(times) == 1:
                    found.append(answer)
        for name, times in turns.items():
            seconds[name].append(min(times))
    best = min(np.median(times) for name, times in seconds.items() if name != KUKLA)
    table = Table(
        "", "ms: median", "99 %", "GB/s", "times the best scan", title=f"{title}, k={K}, one thread"
    )
    for name, times in seconds.items():
        median = float(np.median(times))
        read = float(np.mean([one.bytes_read for one in found])) if name == KUKLA else base.nbytes
        table.add_row(
            name,
            *(f"{1e3 * value:.1f}" for value in (median, float(np.quantile(times, 0.99)))),
            f"{read / median / 1e9:.1f}",
            f"{best / median:.2f}",
        )
    console = Console(width=120)
    console.print(table)
    console.print(steps(found, len(base)))
    wrong = sum(not _is_exact(base, q, one) for q, one in zip(asked, found, strict=True))
    read = np.mean([one.bytes_read for one in found]) / 1e6
    mean = np.mean(seconds[KUKLA]) * 1e3
    console.print(
        f"{len(found) - wrong} of {len(found)} answers are those of brute force; {read:.0f} MB read where "
        f"a scan reads {base.nbytes / 1e6:.0f}; mean {mean:.1f} ms; {_processor()}"
    )


def steps(found: list[Any], count: int) -> Table:
    """Rows that were read up to each dim, as shares: mean, median, 90 % of the questions at most, all."""
    table = Table("rows read", "mean", "median", "90 %", "most")
    for i, step in enumerate(found[0].proof.steps):
        scored = np.array([one.proof.steps[i].scored for one in found])
        values = [scored.mean(), np.median(scored), np.quantile(scored, 0.9), scored.max()]
        if step.stage.precision.is_float:
            table.add_row(str(step.stage), *(f"{value:.0f} rows" for value in values))
        else:
            table.add_row(str(step.stage), *(f"{value / count:.3%}" for value in values))
    return table


def _numpy(base: np.ndarray, query: np.ndarray) -> np.ndarray:
    scores = base @ query
    best = np.argpartition(-scores, K)[:K]
    return best[np.argsort(-scores[best], kind="stable")]


def _faiss(base: np.ndarray) -> Search | None:
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(base.shape[1])
    flat.add(base)
    return lambda query: flat.search(query[None], K)


def _is_exact(base: np.ndarray, query: np.ndarray, found: Any) -> bool:
    """Whether no other row scores more in float64 than these do, to the rounding of vectors and scores."""
    scores = base @ query  # float32: off by less than 1e-4 of the largest
    largest = float(np.abs(scores).max())
    close = np.flatnonzero(scores >= np.partition(scores, -K)[-K] - 2e-4 * largest)
    exact = base[close].astype(np.float64) @ query.astype(np.float64)
    kth = np.sort(exact)[-K]
    mine = base[found.ids[0]].astype(np.float64) @ query.astype(np.float64)
    return len(set(found.ids[0].tolist())) == K and bool((mine >= kth - 1e-6 * largest).all())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
