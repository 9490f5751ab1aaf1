"""Promise, truth, bytes and planning time, beside turboquant-pro: `python -m benchmarks.turboquant DATA`.

Half of the queries of each set are for planning, half are fresh: nobody has seen them. On the same documents

- ``tqp plan``: what `tqp plan embeddings --target` recommends, searched with its own code;
- ``tqp query``: its dims and bits in its index with rescoring, by `ANALYZE INDEX ... USING QUERIES`;
- ``kukla``: `kukla calibrate` on an index of the vectors as they are;
- ``kukla fit``: the same after the projection that `kukla fit` picks (without seeing queries).

``promised`` is what each says that recall@10 will be (of kukla: at least, with 95 % confidence); planning is
CPU time, which other work on the machine changes least. Needs
`pip install turboquant-pro==1.9.1`, which is no dependency of kukla.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import turboquant_peer as peer
from benchmarks.data import nomic, passages, small3, xquad_questions
from kukla import Index, load_embedder
from kukla.embed import DEFAULT_MODEL
from kukla.evaluate import ExactAnswers, exact_answers
from kukla.plan import Plan
from kukla.projection import Projection
from kukla.projection.choose import choose_projection
from kukla.target import Target

K = 10
TARGETS = (0.9, 0.95, 0.99)
SYSTEMS = ("tqp plan", "tqp query", "kukla", "kukla fit")


@dataclass(frozen=True)
class Row:
    """One system at one target: bytes are those a vector, seconds CPU time of planning."""

    set: str
    target: float
    system: str
    plan: str
    promised: float
    fresh: float
    standard_error: float
    scanned: float
    stored: float
    seconds: float
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """For people."""
        promised = f"{self.promised:.3f}" + ("" if self.promised >= self.target else " (missed, said)")
        if self.system.startswith("tqp plan") and self.promised < self.target:
            promised = f"{self.promised:.3f} (missed, not said)"
        fresh = f"{self.fresh:.3f} ± {2 * self.standard_error:.3f}"
        reached = "yes" if self.fresh >= self.target else "NO"
        return (
            f"{self.target}", self.system, self.plan, promised, fresh, reached, f"{self.scanned:.0f}",
            f"{self.stored:.0f}", f"{self.seconds:.1f}",
        )  # fmt: skip


def main() -> None:
    """Print one table for each set; write all rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/, wikipedia/ and ir/ in it")
    parser.add_argument("--counts", type=int, nargs="*", default=[50_000, 200_000], help="passages")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--sample", type=int, default=100, help="of tqp plan: 100 is its default")
    parser.add_argument("--json", type=Path, default=Path("turboquant.json"), metavar="FILE")
    arguments = parser.parse_args()
    if not peer.installed():
        raise SystemExit(peer.HINT)
    console, rows = Console(width=160), []
    for name, documents, queries in _sets(arguments.data, arguments.counts):
        shuffled = np.random.default_rng(5).permutation(len(queries))
        asked, fresh = queries[shuffled[: len(queries) // 2]], queries[shuffled[len(queries) // 2 :]]
        with tempfile.TemporaryDirectory() as folder:
            found = list(_compare(name, documents, asked, fresh, Path(folder), arguments))
        table = Table(
            "target", "system", "plan", "promised", "fresh queries get", "reached", "scanned", "stored",
            "CPU s", title=f"{name}; {len(asked)} queries to plan with, {len(fresh)} fresh",
        )  # fmt: skip
        for row in sorted(found, key=lambda row: row.target):
            table.add_row(*row.cells(), end_section=row.system == arguments.systems[-1])
        console.print(table)
        for note in dict.fromkeys(f"{row.system}: {row.note}" for row in found if row.note):
            console.print(note)
        rows += found
        arguments.json.write_text(
            json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8"
        )


def _sets(data: Path, counts: list[int]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    documents, queries = small3(data / "vectors")
    yield f"text-embedding-3-small, {len(documents)} documents", documents, queries
    documents, queries = nomic(data / "vectors", documents=622)
    yield f"nomic-embed-text, {len(documents)} documents", documents, queries
    if not counts:
        return
    embedder = load_embedder()
    questions = np.unique(embedder.encode_queries(xquad_questions(data)), axis=0)
    vectors = embedder.encode_documents([text for _, text in passages(data, max(counts))])
    for count in counts:
        yield f"{DEFAULT_MODEL}, {count:,} passages, XQuAD questions", vectors[:count], questions


def _compare(
    name: str, documents: np.ndarray, asked: np.ndarray, fresh: np.ndarray, scratch: Path,
    arguments: argparse.Namespace,
) -> Iterator[Row]:  # fmt: skip
    np.save(scratch / "documents.npy", documents)
    np.save(scratch / "queries.npy", asked)
    with Index.create(scratch / "as-is.kukla", dim=documents.shape[1]) as index:
        index.add(documents)
        index.compact()
        exact = exact_answers(index, fresh, k=K)
        yield from _peer_rows(name, documents, fresh, exact, scratch, arguments)
        if "kukla" in arguments.systems:
            yield from _own_rows("kukla", name, index, asked, fresh, exact, 0.0)
    if "kukla fit" not in arguments.systems:
        return
    started = time.process_time()
    projection: Projection = choose_projection(documents).projection
    fitting = time.process_time() - started
    with Index.create(scratch / "fit.kukla", dim=documents.shape[1], projection=projection) as index:
        index.add(documents)
        index.compact()
        yield from _own_rows("kukla fit", name, index, asked, fresh, exact, fitting)


def _peer_rows(
    name: str, documents: np.ndarray, fresh: np.ndarray, exact: ExactAnswers, scratch: Path,
    arguments: argparse.Namespace,
) -> Iterator[Row]:  # fmt: skip
    if not {"tqp plan", "tqp query"} & set(arguments.systems):
        return
    known: dict[str, np.ndarray] = {}
    for target in TARGETS:
        goal = f"recall@{K} >= {target}"
        planned = peer.plan(scratch / "documents.npy", goal, scratch, arguments.sample)
        if planned.label not in known:
            known[planned.label] = exact.recall(peer.search_planned(documents, planned.recipe)(fresh, K))
        yield _peer_row(name, target, "tqp plan", planned, known[planned.label])
        if "tqp query" not in arguments.systems:
            continue
        files = scratch / "documents.npy", scratch / "queries.npy"
        rescored = peer.plan_rescored(*files, planned, target, scratch)
        if rescored is not None:
            again, index = rescored
            recalls = exact.recall(peer.search_rescored(index, again.recipe["rerank"])(fresh, K))
            yield _peer_row(name, target, "tqp query", again, recalls)


def _peer_row(name: str, target: float, system: str, planned: peer.Planned, recalls: np.ndarray) -> Row:
    return Row(
        name, target, system, planned.label, planned.promised, float(recalls.mean()), _error(recalls),
        planned.scanned, planned.stored, planned.seconds, planned.note,
    )  # fmt: skip


def _own_rows(
    system: str,
    name: str,
    index: Index,
    asked: np.ndarray,
    fresh: np.ndarray,
    exact: ExactAnswers,
    extra: float,
) -> Iterator[Row]:
    """One calibration serves all targets; its time counts for each of them."""
    started = time.process_time()
    found = index.calibrate(asked, target=f"recall@{K}>={TARGETS[0]}", timed=False, save=False)
    seconds = extra + time.process_time() - started
    stored = index.info().vector_bytes / len(index)
    for target in TARGETS:
        plan = found.plan_for(Target("recall", K, target))
        row = next(row for row in found.frontier if row.plan == plan)
        recalls = exact.recall(index.search(fresh, K, plan=plan).ids)
        yield Row(
            name, target, system, _short(plan), row.bound, float(recalls.mean()), _error(recalls),
            row.bytes_per_vector, stored, seconds, f"projection: {index.info().projection}",
        )  # fmt: skip


def _short(plan: Plan) -> str:
    return str(plan).replace("float32", "f32").replace("binary", "bin").replace(" ", "")


def _error(recalls: np.ndarray) -> float:
    return float(recalls.std(ddof=1) / np.sqrt(len(recalls)))


if __name__ == "__main__":
    main()
