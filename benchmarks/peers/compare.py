"""Kukla beside the best of the peers: the ratios that its goals are stated in, per workload.

Of Kukla the version that was measured last. At each recall: queries per second alone and in batches over the
best peer's; resident bytes over the smallest of the peers within 20 % of the best speed; build seconds over
the fastest peer's; exact search over the best exact scan. A ratio whose either side was not measured is "-".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.peers import engines
from benchmarks.peers.frontier import LEVELS, Point, best_at

__all__ = ["NEAR", "OURS", "compare", "title"]

OURS = "kukla_index"
NEAR = 0.8
"""Within 20 % of the best speed: whose memory is compared."""
EXACT_SCANS = ("numpy_exact", "faiss_flat")
PROVEN = "certify"
Row = tuple[str, str, str, str, str]


def compare(measured: Sequence[Point]) -> list[Row]:
    """What is compared, at which recall, Kukla's value, the peer's with its name, the ratio."""
    versions = [point.version for point in measured if point.engine == OURS]
    ours = [point for point in measured if point.engine == OURS and point.version == versions[-1]]
    peers = [point for point in measured if point.engine != OURS]
    rows: list[Row] = []
    for kind, what in (("single", "queries/s, alone"), ("batch", "queries/s, batch of 1,000")):
        for level in LEVELS:
            best_two = best_at(ours, level, kind), best_at(peers, level, kind)
            rows.append(_speeds(what, f">= {level:.2f}", *best_two, kind))
    for level in LEVELS:
        mine, best = best_at(ours, level, "single"), best_at(peers, level, "single")
        near = _near(peers, level)
        rows.append(_memory(f">= {level:.2f}", mine, near))
        rows.append(_build(f">= {level:.2f}", mine, best))
    exact = [point for point in ours if _plan_of(point) == PROVEN]
    scans = [point for point in peers if point.engine in EXACT_SCANS]
    rows.append(
        _speeds(
            "queries/s, exact",
            "1, proven",
            best_at(exact, 0.0, "single"),
            best_at(scans, 0.0, "single"),
            "single",
        )
    )
    return rows


def title(point: Point) -> str:
    """An engine's name with its version."""
    return f"{engines.load(point.engine).title} {point.version}"


def _plan_of(point: Point) -> str:
    record = point.single or point.batch or {}
    return str(record.get("search", {}).get("plan"))


def _near(peers: Sequence[Point], level: float) -> Point | None:
    """Of the peers whose fastest search is within 20 % of the best: the one with the least in memory."""
    best = [
        best_at([p for p in peers if p.engine == name], level, "single") for name in {p.engine for p in peers}
    ]
    reached = [point for point in best if point is not None and point.single is not None]
    if not reached:
        return None
    fastest = max(_qps(point, "single") for point in reached)
    near = [point for point in reached if _qps(point, "single") >= NEAR * fastest]
    return min(near, key=lambda point: _resident(point))


def _qps(point: Point, kind: str) -> float:
    record = point.of(kind)
    return float(record["qps"]) if record else 0.0


def _resident(point: Point) -> float:
    return float(point.single["memory_bytes"]) if point.single else float("inf")


def _speeds(what: str, level: str, mine: Point | None, best: Point | None, kind: str) -> Row:
    return _row(what, level, mine, best, lambda point: _qps(point, kind), "{:,.0f}")


def _memory(level: str, mine: Point | None, near: Point | None) -> Row:
    return _row("resident MB", level, mine, near, lambda point: _resident(point) / 1e6, "{:,.1f}")


def _build(level: str, mine: Point | None, best: Point | None) -> Row:
    return _row("build s", level, mine, best, lambda point: float(point.build["build_seconds"]), "{:,.1f}")


def _row(
    what: str,
    level: str,
    mine: Point | None,
    other: Point | None,
    value: Callable[[Point], float],
    form: str,
) -> Row:
    ours = form.format(value(mine)) if mine else "-"
    theirs = f"{form.format(value(other))} ({title(other)})" if other else "-"
    ratio = f"{value(mine) / value(other):.2f}x" if mine and other and value(other) > 0 else "-"
    return what, level, ours, theirs, ratio
