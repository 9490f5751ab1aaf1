"""Points: one build and one search, with what both processes measured; fronts and winners among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.results import Record, Results

__all__ = ["LEVELS", "Point", "best_at", "front", "points", "workloads"]

LEVELS = (0.90, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Point:
    """An index and a way to search it: records of its build, its single queries and its batch."""

    engine: str
    version: str
    build: Record
    single: Record | None
    batch: Record | None

    def of(self, kind: str) -> Record | None:
        """The record of `single` or `batch`."""
        return self.single if kind == "single" else self.batch

    @property
    def params(self) -> str:
        """Build and search parameters as text."""
        search = (self.single or self.batch or {}).get("search", {})
        return _text({**self.build["build"]}) + " | " + _text(search)


def _text(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in params.items()) or "-"


def _value(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def workloads(results: Results) -> list[str]:
    """Those with results, in the order in which they were first measured."""
    return list(dict.fromkeys(record["workload"] for record in results.all() if "workload" in record))


def points(results: Results, workload: str) -> list[Point]:
    """Every index and search of a workload that was measured."""

    def key(record: Record, *names: str) -> str:
        return json.dumps([record[name] for name in names], sort_keys=True)

    builds: dict[str, Record] = {}
    found: dict[str, dict[str, Record]] = {}
    for record in results.all("build"):
        if record["workload"] == workload and record["status"] == "ok":
            builds[key(record, "engine", "version", "build")] = record
    for kind in ("single", "batch"):
        for record in results.all(kind):
            if record["workload"] == workload and record["status"] == "ok":
                whole = key(record, "engine", "version", "build", "search")
                found.setdefault(whole, {})[kind] = record
    joined = []
    for records in found.values():
        record = records.get("single") or records["batch"]
        build = builds.get(key(record, "engine", "version", "build"))
        if build is not None:
            joined.append(
                Point(record["engine"], record["version"], build, records.get("single"), records.get("batch"))
            )
    return joined


def front(candidates: Iterable[Point], kind: str) -> list[Point]:
    """The Pareto front, fastest first: each later point is slower and finds more."""
    measured = [(point, record) for point in candidates if (record := point.of(kind)) is not None]
    measured.sort(key=lambda pair: (-pair[1]["qps"], -pair[1]["recall"]))
    kept: list[Point] = []
    reached = -1.0
    for point, record in measured:
        if record["recall"] > reached:
            kept.append(point)
            reached = record["recall"]
    return kept


def best_at(candidates: Iterable[Point], level: float, kind: str) -> Point | None:
    """The fastest point with at least this recall."""
    reaching = [
        (record["qps"], at, point)
        for at, point in enumerate(candidates)
        if (record := point.of(kind)) is not None and record["recall"] >= level
    ]
    return max(reaching, key=lambda item: item[:2])[2] if reaching else None
