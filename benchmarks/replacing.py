"""Replacing 30 % of an index: seen at once, as fast and as good as one made of the same documents afresh.

    python -m benchmarks.replacing FOLDER [--count N] [--share 0.3] [--rounds 3] [--plan TEXT]...

An index of N vectors; then, in rounds, a third of the share is upserted (ids that are there get other
vectors) and two thirds are deleted and others added under new ids, all of them rows of the set that the index
did not hold (so the set needs N * (1 + share) rows; by default N is the most that fits). After every change
some of what changed is looked for, by the handle that changed it and by one opened before: an added vector
must be found first, a deleted id or an upserted id's old vector never. Then the plans, in turns: on the index
as the rounds left it, after `compact`, and on an index made afresh of the same documents. With --partition
all are partitioned when they are made; what was added later finds its place by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
from benchmarks.peers.memory import disk_bytes
from benchmarks.peers.workloads import Truth, Workload, exact_truth
from kukla import Index

SEED = 4
LOOKED_FOR = 20
ALONE = 100
STATES = ("replaced", "compacted", "fresh")


class Changes:
    """An index and what it must hold: `rows[id]` is a row of the set. Times each kind of change."""

    def __init__(self, path: Path, index: Index, base: Floats, count: int, seed: int = SEED) -> None:
        self.index, self.base = index, base
        self.reader = Index.open(path, read_only=True)  # as a process that was there before would see it
        self.exact = f"{base.shape[1]}:float32"
        self.rows = {row: row for row in range(count)}
        self.unused = iter(range(count, len(base)))
        self.next_id = count
        self.rng = np.random.default_rng(seed)
        self.seconds: dict[str, float] = {}
        self.changed: dict[str, int] = {}
        self.looked = 0

    @contextmanager
    def _timed(self, what: str, count: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
        self.changed[what] = self.changed.get(what, 0) + count

    def _take(self, count: int) -> np.ndarray:
        return np.array([next(self.unused) for _ in range(count)], dtype=np.int64)

    def add(self, count: int, what: str = "added") -> None:
        """Rows that the index does not hold, under new ids."""
        taken = self._take(count)
        ids = range(self.next_id, self.next_id + count)
        with self._timed(what, count):
            self.index.add(self.base[taken], ids=ids)
        self.next_id += count
        self.rows |= dict(zip(ids, taken.tolist(), strict=True))
        self._must_find(list(ids))

    def delete(self, count: int, what: str = "deleted") -> None:
        """Some ids, drawn from all."""
        ids = self.rng.choice(np.fromiter(self.rows, dtype=np.int64), count, replace=False).tolist()
        with self._timed(what, count):
            gone = self.index.delete(ids)
        if gone != count:
            raise SystemExit(f"delete: {gone} of {count} ids were there")
        self._must_not_find([(id_, self.rows.pop(id_)) for id_ in ids])

    def upsert(self, count: int) -> None:
        """Other rows under some ids that are there."""
        ids = self.rng.choice(np.fromiter(self.rows, dtype=np.int64), count, replace=False).tolist()
        taken = self._take(count)
        with self._timed("upserted", count):
            self.index.upsert(self.base[taken], ids=ids)
        before = [(id_, self.rows[id_]) for id_ in ids]
        self.rows |= dict(zip(ids, taken.tolist(), strict=True))
        self._must_not_find(before)
        self._must_find(ids)

    def _some(self, things: list[Any]) -> list[Any]:
        return things[:: max(1, len(things) // LOOKED_FOR)][:LOOKED_FOR]

    def _must_find(self, ids: list[int]) -> None:
        """Each id's own vector finds it: first, or tied with the first."""
        for id_ in self._some(ids):
            for handle in (self.index, self.reader):
                found = handle.search(self.base[self.rows[id_]], K, plan=self.exact)
                best = found.scores[0] >= found.scores[0, 0] - 1e-5
                if id_ not in found.ids[0][best] and best.sum() < K:
                    raise SystemExit(f"id {id_} was added and is not found by its own vector")
                self.looked += 1

    def _must_not_find(self, before: list[tuple[int, int]]) -> None:
        """An id is not found by the vector that it had, unless its present vector is as near."""
        for id_, row in self._some(before):
            present = self.rows.get(id_)
            if present == row:
                continue
            near = -1.0 if present is None else float(self.base[present] @ self.base[row])
            for handle in (self.index, self.reader):
                found = handle.search(self.base[row], K, plan=self.exact)
                at = np.flatnonzero(found.ids[0] == id_)
                if len(at) and abs(float(found.scores[0, at[0]]) - near) > 1e-4:
                    raise SystemExit(f"id {id_} was deleted or replaced and is found by the vector it had")
                self.looked += 1

    def documents(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids, ascending, and the row of each."""
        ids = np.array(sorted(self.rows), dtype=np.int64)
        return ids, np.array([self.rows[id_] for id_ in ids.tolist()], dtype=np.int64)

    def rates(self) -> dict[str, float]:
        """Changes a second."""
        return {what: self.changed[what] / self.seconds[what] for what in self.seconds}


def replace_share(changes: Changes, share: float, rounds: int) -> None:
    """Rounds of upserts, deletes and adds; then some changes one by one, which undo each other in number."""
    count = len(changes.rows)
    each = round(count * share / rounds)
    for _ in range(rounds):
        changes.upsert(each // 3)
        changes.delete(each - each // 3)
        changes.add(each - each // 3)
    for _ in range(min(ALONE, each // 3)):
        changes.delete(1, "deleted one by one")
        changes.add(1, "added one by one")


def compare(
    handles: dict[str, Index], truth: Truth, queries: Floats, plans: list[str], options: Any
) -> list[dict[str, Any]]:
    """A line a plan: recall and time in each state, and the replaced index's time over the fresh one's."""
    lines = []
    for plan in plans:
        searches: dict[str, Any] = {
            state: lambda query, index=index, plan=plan: index.search(query, K, plan=plan)
            for state, index in handles.items()
        }
        times = take_turns(searches, queries, repeats=options.repeats, seconds=options.seconds)
        recalls = {
            state: float(truth.recall(index.search(queries, K, plan=plan).ids).mean())
            for state, index in handles.items()
        }
        lines.append(
            {"plan": plan, "recall": recalls, "times": {s: timing.to_dict() for s, timing in times.items()}}
        )
    return lines


def main() -> None:
    """Print what was seen, the rates, the bytes and the comparison."""
    asking = parser(__doc__)
    asking.add_argument("--count", type=int, help="documents; default: the most that leaves rows to add")
    asking.add_argument("--share", type=float, default=0.3, help="of the documents, replaced in all")
    asking.add_argument("--rounds", type=int, default=3)
    options = asking.parse_args()
    one_thread()
    workload = Workload.open(options.folder)
    spare = int(workload.rows / (1 + options.share)) - ALONE
    count = options.count or spare
    if not 100 <= count <= spare:
        raise SystemExit(
            f"{workload.folder} has {workload.rows:,} rows: with {options.share:.0%} replaced, --count is "
            f"from 100 to {spare:,}, got {count:,}"
        )
    base, console = workload.base()[: round(count * (1 + options.share)) + ALONE], Console(width=140)
    queries = workload.queries()
    queries = np.ascontiguousarray(queries[:: max(1, len(queries) // options.queries)][: options.queries])
    console.print(machine_line())
    with scratch_folder(options.scratch) as folder:
        index = make_index(folder / "replaced", base[:count], lists=options.partition)
        changes = Changes(folder / "replaced", index, base, count)
        disk = {"before": disk_bytes(folder / "replaced")}
        replace_share(changes, options.share, options.rounds)
        changes.reader.close()
        disk["replaced"] = disk_bytes(folder / "replaced")
        segments = {"replaced": index.info().segments}
        ids, rows = changes.documents()
        held = np.ascontiguousarray(base[rows])
        fresh = make_index(folder / "fresh", held, ids=ids.tolist(), lists=options.partition)
        disk["fresh"], segments["fresh"] = disk_bytes(folder / "fresh"), fresh.info().segments
        found = exact_truth(held, queries)
        truth = Truth(ids[found.ids], found.scores)
        plans = plans_of(options.plan, workload.dim)
        lines = compare({"replaced": index, "fresh": fresh}, truth, queries, plans, options)
        started = time.perf_counter()
        index.compact()
        compact = time.perf_counter() - started
        disk["compacted"], segments["compacted"] = disk_bytes(folder / "replaced"), index.info().segments
        again = compare({"compacted": index, "fresh": fresh}, truth, queries, plans, options)
        index.close()
        fresh.close()
    console.print(
        f"{changes.looked:,} searches right after adds, deletes and upserts saw every one of them. A second: "
        + ", ".join(f"{rate:,.0f} {what}" for what, rate in changes.rates().items())
        + f". compact: {compact:.2f} s.",
        highlight=False,
    )
    console.print(
        "MB on disk: " + ", ".join(f"{state} {size / 1e6:,.1f}" for state, size in disk.items())
        + "; segments: " + ", ".join(f"{state} {number}" for state, number in segments.items()),
        highlight=False,
    )  # fmt: skip
    table = Table(
        "plan", "state", "recall@10", "fresh", "ms/query", "fresh", "cpu ms", "fresh", "of fresh",
        title=f"{workload.name}: {len(ids):,} documents, {options.share:.0%} replaced in {options.rounds} "
        "rounds; goal: within 5 % of fresh",
    )  # fmt: skip
    for line in (*lines, *again):
        (state,) = set(line["times"]) - {"fresh"}
        ours, theirs = line["times"][state], line["times"]["fresh"]
        line["of_fresh"] = ours["cpu_ms"] / theirs["cpu_ms"]
        table.add_row(
            line["plan"], state, f"{line['recall'][state]:.4f}", f"{line['recall']['fresh']:.4f}",
            *(f"{t['ms']:.3g} ({t['low_ms']:.3g}-{t['high_ms']:.3g})" for t in (ours, theirs)),
            *(f"{t['cpu_ms']:.3g}" for t in (ours, theirs)), f"{line['of_fresh']:.2f}x",
        )  # fmt: skip
    console.print(table)
    console.print(machine_line())
    results = {
        "lines": [*lines, *again], "rates": changes.rates(), "disk": disk, "segments": segments,
        "compact_seconds": compact, "looked_for": changes.looked,
    }  # fmt: skip
    save_json(options.json, workload, results)


if __name__ == "__main__":
    main()
