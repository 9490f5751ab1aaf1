"""The tables, as Markdown: who is fastest at equal recall, in what memory, built in what time, and how far
from what the machine could do. Failures are a table too."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.peers import engines
from benchmarks.peers.compare import NEAR, OURS, compare
from benchmarks.peers.frontier import LEVELS, Point, best_at, front, points, workloads
from benchmarks.peers.results import Record, Results

__all__ = ["machines", "render"]


def render(results: Results, *, grid: bool = False) -> str:
    """Everything that the results say, workload by workload."""
    parts = [machines(results)]
    for workload in workloads(results):
        about = {record["workload"]: record for record in results.all("workload")}.get(workload, {})
        measured = points(results, workload)
        parts.append(f"## {workload}\n\n{about.get('about', '')}".rstrip())
        if busy := _busy(results, workload):
            parts.append(busy)
        if len({point.engine == OURS for point in measured}) == 2:
            heading = ["", "recall", "Kukla", "best peer", "ratio"]
            told = (
                "Memory: the least of the peers within 20 % of the best speed. Build: of the fastest peer, "
                f"{_build_threads(results, workload)}. Exact: proven answers beside the best float32 scan."
            )
            parts.append(f"### Kukla beside the best peer\n\n{told}\n\n{_table(heading, compare(measured))}")
        for kind, title in (
            ("single", "One query at a time, one thread"),
            ("batch", "A batch of 1,000, two threads"),
        ):
            parts.append(f"### {title}: queries per second (recall@10 reached)\n\n{_speed(measured, kind)}")
        parts.append(
            "### Memory and build time of the fastest\n\nPer recall: the fastest search of each engine "
            f"within 20 % of the best, and Kukla's.\n\n{_memory(results, measured)}"
        )
        if grid:
            parts.append(f"### The grid\n\n{_grid(measured)}")
        failed = [
            record
            for record in results.all()
            if record.get("workload") == workload and record.get("status") == "failed"
        ]
        if failed:
            parts.append(f"### What failed\n\n{_failures(failed)}")
    return "\n\n".join(parts) + "\n"


def machines(results: Results) -> str:
    """What was measured on, a line each."""
    lines = []
    for at, machine in enumerate(results.all("machine")):
        caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
        lines.append(
            f"Machine{f' {at + 1}' if at else ''}: {machine['cpu']}, {machine['cores']} cores, {caches}, "
            f"{machine['memory_gb']} GB; {' '.join(machine['isa'])}; {machine['system']}. Measured: reading "
            f"{machine['read_bytes_per_second'] / 1e9:.1f} GB/s by one thread, "
            f"{machine['read_bytes_per_second_2_threads'] / 1e9:.1f} by two; "
            f"{machine['float32_multiplications_per_second'] / 1e9:.0f}e9 float32 multiplications/s by one."
        )
    return "\n".join(lines)


def _busy(results: Results, workload: str) -> str | None:
    """A warning where other work ran beside: more than the measured process and a half on average."""
    cores = max((machine["cores"] for machine in results.all("machine")), default=1)
    loads = [
        record["load"]
        for record in results.all("single")
        if record["workload"] == workload and "load" in record
    ]
    typical = statistics.median(loads) if loads else 0.0
    if typical <= 1.5:
        return None
    return (
        f"**The machine was busy** (median load {typical:.1f} on {cores} cores beside one measured process): "
        "speeds and build times here are not to be quoted or compared; recall and memory hold."
    )


def _build_threads(results: Results, workload: str) -> str:
    """In how many threads engines were asked to build; Kukla builds in one."""
    counts = sorted({record["threads"] for record in results.all("build") if record["workload"] == workload})
    return (
        f"asked to use {' or '.join(map(str, counts))} thread{'s' if counts != [1] else ''} (Kukla uses one)"
    )


def _by_engine(measured: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in measured:
        groups.setdefault((point.engine, point.version), []).append(point)
    return groups


def _title(engine: str, version: str) -> str:
    return f"{engines.load(engine).title} {version}"


def _speed(measured: Sequence[Point], kind: str) -> str:
    rows = []
    for (engine, version), group in _by_engine(measured).items():
        cells: list[str] = []
        order = []
        for level in LEVELS:
            best = best_at(group, level, kind)
            record = best.of(kind) if best else None
            order.append(record["qps"] if record else 0.0)
            cells.append(_rate(record) if record else _at_most(group, kind))
        rows.append((order, [_title(engine, version), *cells]))
    rows.sort(key=lambda row: row[0][1:2] + row[0], reverse=True)
    return _table(["engine", *(f">= {level:.2f}" for level in LEVELS)], [cells for _, cells in rows])


def _rate(record: Record) -> str:
    spread = (record["qps_high"] - record["qps_low"]) / record["qps"] if record["qps"] else 0.0
    return f"{record['qps']:,.0f} ({record['recall']:.3f}; spread {spread:.0%})"


def _at_most(group: Sequence[Point], kind: str) -> str:
    recalls = [record["recall"] for point in group if (record := point.of(kind)) is not None]
    return f"- (at most {max(recalls):.3f})" if recalls else "not measured"


def _memory(results: Results, measured: Sequence[Point]) -> str:
    rows = []
    bandwidth = max((m["read_bytes_per_second"] for m in results.all("machine")), default=None)
    for level in LEVELS:
        winners = [
            (best.single["qps"], best)
            for group in _by_engine(measured).values()
            if (best := best_at(group, level, "single")) is not None and best.single is not None
        ]
        if not winners:
            continue
        fastest = max(qps for qps, _ in winners)
        for qps, point in sorted(winners, key=lambda pair: -pair[0]):
            record = point.single
            if record is None or (qps < NEAR * fastest and point.engine != OURS):
                continue
            rows.append(
                [
                    f">= {level:.2f}",
                    _title(point.engine, point.version),
                    f"{qps:,.0f}",
                    _megabytes(record["memory_bytes"]),
                    _megabytes(point.build["disk_bytes"]),
                    f"{point.build['build_seconds']:,.1f}",
                    _distance(record, bandwidth),
                    point.params,
                ]
            )
    return _table(
        [
            "recall",
            "engine",
            "queries/s",
            "resident MB beside float32",
            "disk MB",
            "build s",
            "of the limit",
            "parameters",
        ],
        rows,
    )


def _distance(record: Record, bandwidth: float | None) -> str:
    """Queries per second over what the bandwidth allows for the bytes that a query has to read."""
    if not record.get("bytes_read") or not bandwidth:
        return "not computable"
    limit = bandwidth / record["bytes_read"]
    return f"{record['qps'] / limit:.0%} of {limit:,.0f}/s"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f}"


def _grid(measured: Sequence[Point]) -> str:
    rows = []
    for (engine, version), group in _by_engine(measured).items():
        best = {id(point) for point in front(group, "single")}
        for point in sorted(group, key=lambda point: point.params):
            single, batch = point.single or {}, point.batch or {}
            rows.append(
                [
                    _title(engine, version) + (" *" if id(point) in best else ""),
                    point.params,
                    *(
                        f"{record['recall']:.4f}, {record['qps']:,.0f}/s" if record else "-"
                        for record in (single, batch)
                    ),
                    _megabytes(single["memory_bytes"]) if single else "-",
                    f"{point.build['build_seconds']:,.1f}",
                ]
            )
    heading = ["engine (* on its front)", "parameters", "single", "batch", "resident MB", "build s"]
    return _table(heading, rows)


def _failures(failed: Sequence[Record]) -> str:
    rows = [
        [
            _title(record["engine"], record["version"]),
            record["kind"],
            str({**record["build"], **record.get("search", {})}),
            str(record["error"]).strip().splitlines()[-1][:200],
        ]
        for record in failed
    ]
    return _table(["engine", "doing", "parameters", "error"], rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
