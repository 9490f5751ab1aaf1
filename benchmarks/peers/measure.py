"""Timing: warm-up, repeats, the median with its spread; recall of every query that was answered."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats
from benchmarks.peers.workloads import K, Truth

__all__ = ["BATCH", "Effort", "measure_batch", "measure_single"]

BATCH = 1000
FEWEST = 200


@dataclass(frozen=True, slots=True)
class Effort:
    """`repeats` of a pass; a pass stops taking new queries after `seconds`."""

    repeats: int = 5
    seconds: float = 2.0


def measure_single(engine: Engine, queries: Floats, truth: Truth, effort: Effort) -> dict[str, Any]:
    """One query at a time, in one thread: queries per second, latency, recall@10.

    The first pass warms up, answers (for recall) and decides how many queries fit the time; the others time
    them. A slow engine is timed on fewer queries, and asked FEWEST for its recall unless that takes ten times
    as long; the result says how many of either.
    """
    found: list[Any] = []
    fitting = 0
    started = time.perf_counter()
    for query in queries:
        found.append(engine.one(query, K))
        elapsed = time.perf_counter() - started
        fitting += elapsed < effort.seconds
        if elapsed > effort.seconds and (len(found) >= FEWEST or elapsed > 10 * effort.seconds):
            break
    asked = queries[: max(1, fitting)]
    rates, latencies = [], np.empty((effort.repeats, len(asked)))
    for repeat in range(effort.repeats):
        started = before = time.perf_counter()
        for at, query in enumerate(asked):
            engine.one(query, K)
            now = time.perf_counter()
            latencies[repeat, at] = now - before
            before = now
        rates.append(len(asked) / (before - started))
    typical = np.median(latencies, axis=0)
    recalls = truth.recall(np.stack(found))
    return {
        "recall": round(float(recalls.mean()), 5),
        "recall_worst_tenth": round(float(np.sort(recalls)[: max(1, len(recalls) // 10)].mean()), 5),
        "recall_queries": len(found),
        "queries": len(asked),
        **_rates(rates),
        "p50_us": round(float(np.percentile(typical, 50)) * 1e6, 2),
        "p99_us": round(float(np.percentile(typical, 99)) * 1e6, 2),
    }


def measure_batch(engine: Engine, queries: Floats, truth: Truth, effort: Effort) -> dict[str, Any]:
    """`BATCH` queries in one call (fewer, where they take more than the time of all repeats)."""
    wanted = np.resize(np.arange(len(queries)), BATCH)
    few = min(32, len(wanted))
    started = time.perf_counter()
    engine.batch(np.ascontiguousarray(queries[wanted[:few]]), K)
    each = (time.perf_counter() - started) / few
    size = int(min(BATCH, max(few, effort.seconds * effort.repeats / each)))
    asked = np.ascontiguousarray(queries[wanted[:size]])
    found = engine.batch(asked, K)
    rates = []
    for _ in range(max(3, effort.repeats // 2)):
        started = time.perf_counter()
        engine.batch(asked, K)
        rates.append(size / (time.perf_counter() - started))
    known = min(size, len(queries))
    return {
        "recall": round(float(truth.recall(found[:known]).mean()), 5),
        "queries": size,
        **_rates(rates),
    }


def _rates(rates: list[float]) -> dict[str, Any]:
    return {
        "qps": round(statistics.median(rates), 3),
        "qps_low": round(min(rates), 3),
        "qps_high": round(max(rates), 3),
        "repeats": len(rates),
    }
