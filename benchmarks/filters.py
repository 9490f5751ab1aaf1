"""Filters: recall and time of plans on the rows that match, beside the exact scan of those rows.

    python -m benchmarks.filters FOLDER [--count N] [--plan TEXT]... [--partition [LISTS]] [--json FILE]

Each filter is a comparison of integers in the metadata. Matches are 1, 10 and 50 % of the rows: drawn at
random; those nearest to the topic of the query; those farthest from it (queries are clustered into topics,
rows are ranked by their product with a topic's centre, the rank is the metadata). For each plan: recall@10
against the exact answers among the matches, beside the plan's recall without a filter; milliseconds a query,
and as a multiple of three exact scans of the matches: Kukla's own one-stage float32 plan; NumPy, which
gathers the rows and multiplies; and NumPy on rows copied out beforehand, which no index could have ready for
every filter. "first": the first search with a filter, which reads the metadata of every row; the others find
the filter's rows in a cache.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.common import (
    Floats,
    K,
    machine_line,
    make_index,
    one_thread,
    parser,
    plans_of,
    save_json,
    scratch_folder,
    take_turns,
)  # fmt: skip
from benchmarks.peers.workloads import Truth, Workload, exact_truth
from kukla import Index, Plan

SHARES = (0.01, 0.1, 0.5)
KINDS = ("random", "near the query", "far from the query")
TOPICS = 8
SEED = 4
FLOATS = "exact"
GATHERED = "rows gathered"
COPIED = "rows copied out"


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One filter, the queries that are asked with it, and which rows match."""

    kind: str
    share: float
    filter: dict[str, Any]
    asked: np.ndarray
    matches: np.ndarray


def topics_of(queries: Floats, count: int) -> tuple[np.ndarray, Floats]:
    """Spherical k-means: the topic of each query, and the centres (count, dim). Deterministic."""
    centres = queries[:: max(1, len(queries) // count)][:count].copy()
    for _ in range(20):
        nearest = np.argmax(queries @ centres.T, axis=1)
        for topic in range(len(centres)):
            if (nearest == topic).any():
                centre = queries[nearest == topic].sum(axis=0)
                centres[topic] = centre / max(float(np.linalg.norm(centre)), 1e-12)
    return np.argmax(queries @ centres.T, axis=1), centres


def ranks_of(rows: Floats, directions: Floats) -> np.ndarray:
    """Per mille of the rows that lie nearer to each direction: int (n, directions), each value as often."""
    products = np.concatenate(
        [rows[start : start + 65_536] @ directions.T for start in range(0, len(rows), 65_536)]
    )
    ranks = np.empty(products.shape, dtype=np.int64)
    for column in range(products.shape[1]):
        order = np.argsort(-products[:, column], kind="stable")
        ranks[order, column] = np.arange(len(rows)) * 1000 // len(rows)
    return ranks


def cases_of(topics: np.ndarray, random: np.ndarray, ranks: np.ndarray) -> Iterator[Case]:
    """All kinds and shares; the filters of a topic are for its own queries."""
    for share in SHARES:
        cut = round(1000 * share)
        rows = np.flatnonzero(random < cut)
        yield Case(KINDS[0], share, {"random": {"$lt": cut}}, np.arange(len(topics)), rows)
        for kind in KINDS[1:]:
            for topic in range(ranks.shape[1]):
                asked = np.flatnonzero(topics == topic)
                if not len(asked):
                    continue
                near = kind == KINDS[1]
                test = {"$lt": cut} if near else {"$gte": 1000 - cut}
                column = ranks[:, topic]
                matching = np.flatnonzero(column < cut if near else column >= 1000 - cut)
                yield Case(kind, share, {f"topic{topic}": test}, asked, matching)


def numpy_exact(rows: Floats, query: Floats) -> np.ndarray:
    """The best K of rows that lie side by side."""
    scores = rows @ query
    best = np.argpartition(-scores, min(K, len(scores)) - 1)[:K]
    return best[np.argsort(-scores[best])]


def measure(
    index: Index, case: Case, base: Floats, queries: Floats, plans: list[str], options: Any
) -> dict[str, Any]:
    """Recalls, times and counts of one filter."""
    rows, asked = np.ascontiguousarray(base[case.matches]), queries[case.asked]
    found = exact_truth(rows, asked)
    truth = Truth(case.matches[found.ids], found.scores)
    whole = index.nesting.full
    parsed = {FLOATS: Plan.parse(f"{whole}:float32"), **{text: Plan.parse(text) for text in plans}}
    started = time.perf_counter()
    index.search(asked[0], K, plan=parsed[FLOATS], filter=case.filter)
    first = time.perf_counter() - started
    searches: dict[str, Any] = {
        name: lambda query, plan=plan: index.search(query, K, plan=plan, filter=case.filter)
        for name, plan in parsed.items()
    }
    searches[GATHERED] = lambda query: numpy_exact(base[case.matches], query)
    searches[COPIED] = lambda query: numpy_exact(rows, query)
    times = take_turns(searches, asked, repeats=options.repeats, seconds=options.seconds)
    recalls = {}
    for name, plan in parsed.items():
        answers = index.search(asked, K, plan=plan, filter=case.filter)
        if answers.ids.shape[1] != min(K, len(rows)):
            raise SystemExit(f"{case.kind} {case.share:.0%}, {name}: {answers.ids.shape[1]} results, not {K}")
        recalls[name] = float(truth.recall(answers.ids).mean())
    return {
        "kind": case.kind, "share": case.share, "filter": case.filter, "matches": len(rows),
        "queries": len(asked), "first_ms": first * 1e3, "recall": recalls,
        "times": {name: timing.to_dict() for name, timing in times.items()},
    }  # fmt: skip


def joined(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each kind, share and search: topics weigh as their queries do."""
    lines = []
    for kind, share in dict.fromkeys((found["kind"], found["share"]) for found in measured):
        group = [found for found in measured if (found["kind"], found["share"]) == (kind, share)]
        weights = [found["queries"] for found in group]

        def mean(values: list[float], weights: list[int] = weights) -> float:
            return float(np.average(values, weights=weights))

        def time_of(name: str, what: str, group: list[dict[str, Any]] = group) -> float:
            return mean([found["times"][name][what] for found in group])

        for name in group[0]["recall"]:
            cpu = time_of(name, "cpu_ms")
            lines.append(
                {
                    "kind": kind, "share": share, "plan": name, "cpu_ms": cpu,
                    **{what: time_of(name, what) for what in ("ms", "low_ms", "high_ms")},
                    "matches": mean([found["matches"] for found in group]),
                    "recall": mean([found["recall"][name] for found in group]),
                    "of_exact": cpu / time_of(FLOATS, "cpu_ms"),
                    "of_gathered": cpu / time_of(GATHERED, "cpu_ms"),
                    "of_copied": cpu / time_of(COPIED, "cpu_ms"),
                    "first_ms": float(np.median([found["first_ms"] for found in group])),
                }
            )  # fmt: skip
    return lines


def losses(lines: list[dict[str, Any]], unfiltered: dict[str, float]) -> list[str]:
    """Where the goal is missed: slower than the exact scan of the matches, or recall lost by the filter."""
    said = []
    for line in lines:
        where = f"{line['share']:.0%} {line['kind']}, {line['plan']}"
        for than, name in (("of_exact", "Kukla's"), ("of_gathered", "NumPy's")):
            if line[than] > 1:
                said.append(f"{where}: {line[than]:.2f}x the time of {name} exact scan of the matches")
        if line["recall"] < unfiltered[line["plan"]] - 0.005:
            change = f"{line['recall']:.3f}, without a filter {unfiltered[line['plan']]:.3f}"
            said.append(f"{where}: recall {change}")
    return said


def main() -> None:
    """Print the table and where it loses."""
    asking = parser(__doc__, queries=160, repeats=3, seconds=0.5)
    asking.add_argument("--count", type=int, help="only the first rows")
    options = asking.parse_args()
    one_thread()
    workload = Workload.open(options.folder, options.count)
    base, console = workload.base(), Console(width=150)
    queries = workload.queries()
    queries = np.ascontiguousarray(queries[:: max(1, len(queries) // options.queries)][: options.queries])
    plans = plans_of(options.plan, workload.dim)[0 if options.plan else 1 :]
    console.print(machine_line())
    topics, centres = topics_of(queries, TOPICS)
    ranks = ranks_of(base, centres)
    random = np.random.default_rng(SEED).permutation(len(base)) * 1000 // len(base)
    names = ["random", *(f"topic{topic}" for topic in range(TOPICS))]
    values = np.column_stack([random, ranks])
    metadata = (dict(zip(names, row.tolist(), strict=True)) for row in values)
    with (
        scratch_folder(options.scratch) as folder,
        make_index(folder / "filters", base, lists=options.partition, metadata=metadata) as index,
    ):
        truth = exact_truth(base, queries)
        unfiltered = {
            name: float(truth.recall(index.search(queries, K, plan=text).ids).mean())
            for name, text in {FLOATS: f"{workload.dim}:float32", **{text: text for text in plans}}.items()
        }
        measured = [
            measure(index, case, base, queries, plans, options) for case in cases_of(topics, random, ranks)
        ]
    lines = joined(measured)
    table = Table(
        "matches", "plan", "recall@10", "without filter", "ms/query", "cpu ms", "of exact", "of gathered",
        "of copied", "first, ms",
        title=f"{workload.name}: {len(queries)} queries, {TOPICS} topics; exact: {workload.dim}:float32",
    )  # fmt: skip
    for line in lines:
        table.add_row(
            f"{line['share']:.0%} {line['kind']}",
            line["plan"],
            f"{line['recall']:.3f}",
            f"{unfiltered[line['plan']]:.3f}",
            f"{line['ms']:.3g} ({line['low_ms']:.3g}-{line['high_ms']:.3g})",
            f"{line['cpu_ms']:.3g}",
            f"{line['of_exact']:.2f}x",
            f"{line['of_gathered']:.2f}x",
            f"{line['of_copied']:.2f}x",
            f"{line['first_ms']:.3g}",
        )
    console.print(table)
    lost = losses(lines, unfiltered)
    console.print("Loses: " + ("; ".join(lost) if lost else "nowhere"), highlight=False)
    console.print(machine_line())
    save_json(
        options.json, workload, {"lines": lines, "unfiltered": unfiltered, "loses": lost, "each": measured}
    )


if __name__ == "__main__":
    main()
