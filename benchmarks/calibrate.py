"""Target, promise and what fresh queries get: `python -m benchmarks.calibrate DATA [--count 50000]`.

Each calibration sees some of the queries, drawn by a seed; the others are fresh. For every target: the plan,
its bytes, the lower bound that was promised, the recall on fresh queries, and in how many of the runs that
reached the target. The last column is the same plan on queries of another kind, which is never promised.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Document, Index, load_embedder
from kukla.calibrate import Calibration
from kukla.embed import DEFAULT_MODEL
from kukla.evaluate import ExactAnswers, exact_answers
from kukla.plan import Plan
from kukla.target import Target

K = 10
THRESHOLDS = (0.9, 0.95, 0.99)
CONFIDENCE = 0.95


class Population:
    """Query vectors with their exact answers; the recall of a plan on each is measured once."""

    def __init__(self, name: str, index: Index, vectors: np.ndarray, threads: int) -> None:
        self.name, self.index, self.vectors, self.threads = name, index, vectors, threads
        self.exact: ExactAnswers = exact_answers(index, vectors, k=K, threads=threads)
        self._recalls: dict[Plan, np.ndarray] = {}

    def recalls(self, plan: Plan) -> np.ndarray:
        """Of every query."""
        if plan not in self._recalls:
            found = self.index.search(self.vectors, K, plan=plan, threads=self.threads)
            self._recalls[plan] = self.exact.recall(found.ids)
        return self._recalls[plan]


def main() -> None:
    """Print one table for each collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", type=Path, help="the data folder, with vectors/, wikipedia/, ir/ and train/ in it"
    )
    parser.add_argument("--count", type=int, default=50_000, help="passages; 0 leaves them out")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as folder:
        _vectors(console, Path(folder), arguments.data / "vectors", arguments.runs)
        if arguments.count:
            _passages(console, Path(folder), arguments)


def _vectors(console: Console, folder: Path, data: Path, runs: int) -> None:
    dickens, books = data / "oai3small_dickens", sorted((data / "nomic_books_vi").glob("*.npy"))
    documents = np.concatenate([np.load(dickens / "entities.npy"), np.load(dickens / "chunks.npy")])
    nomic = np.random.default_rng(1).permutation(np.concatenate([np.load(path) for path in books]))
    sets = (
        ("text-embedding-3-small: entities and chunks, relationships as queries", documents,
         np.load(dickens / "relationships.npy")),
        ("nomic-embed-text: half as documents, half as queries", nomic[::2], nomic[1::2]),
    )  # fmt: skip
    for number, (title, rows, queries) in enumerate(sets):
        with Index.create(folder / f"vectors{number}", dim=rows.shape[1]) as index:
            index.add(rows.astype(np.float32))
            population = Population("held out", index, queries.astype(np.float32), 1)
            _table(
                console,
                title,
                population,
                None,
                seen=len(queries) * 2 // 3,
                runs=runs,
                thresholds=(0.9, 0.95),
            )


def _passages(console: Console, folder: Path, arguments: argparse.Namespace) -> None:
    embedder, data = load_embedder(), arguments.data
    with Index.create(folder / "passages", embedder=embedder) as index:
        index.add(_documents(data, arguments.count))
        index.compact()
        with (data / "ir" / "xquad_en" / "queries.jsonl").open(encoding="utf-8") as lines:
            xquad = [json.loads(line)["text"] for line in lines]
        with gzip.open(data / "train" / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
            medquad = list(dict.fromkeys(json.loads(line)["query"] for line in islice(lines, 4000)))[:2500]
        first, second = (
            Population(name, index, embedder.encode_queries(texts), arguments.threads)
            for name, texts in (("XQuAD", xquad), ("MedQuAD", medquad))
        )
        for one, other in ((first, second), (second, first)):
            title = f"{len(index):,} Wikipedia passages, {DEFAULT_MODEL}, {one.name} questions"
            _table(console, title, one, other, seen=700, runs=arguments.runs, thresholds=THRESHOLDS)


def _documents(data: Path, count: int) -> Iterator[Document]:
    with gzip.open(data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in islice(lines, count):
            row = json.loads(line)
            yield Document(row["_id"], f"{row['title']}. {row['text']}")


def _table(
    console: Console, title: str, population: Population, other: Population | None, *, seen: int, runs: int,
    thresholds: tuple[float, ...],
) -> None:  # fmt: skip
    index, count = population.index, len(population.vectors)
    rows: dict[float, list[tuple[Calibration, Plan, np.ndarray]]] = {
        threshold: [] for threshold in thresholds
    }
    started = time.perf_counter()
    for seed in range(runs):
        shuffled = np.random.default_rng([7, seed]).permutation(count)
        found = index.calibrate(
            population.vectors[shuffled[:seen]], target=f"recall@{K}>=0.9", confidence=CONFIDENCE, seed=seed,
            timed=False, save=False, threads=population.threads,
        )  # fmt: skip
        for threshold in thresholds:
            plan = found.plan_for(Target("recall", K, threshold))
            rows[threshold].append((found, plan, population.recalls(plan)[shuffled[seen:]]))
    seconds = (time.perf_counter() - started) / runs
    table = Table(
        "target", "promised", "fresh: median", "least", "reached", "bytes/vector", "less than float32",
        "moved, less", "the plan of run 0", *([f"on {other.name}"] if other else []), title=title,
    )  # fmt: skip
    for threshold, results in rows.items():
        fresh = [recalls.mean() for _, _, recalls in results]
        tests = [next(row for row in found.frontier if row.plan == plan) for found, plan, _ in results]
        exact = results[0][0].exact
        full = results[0][0].full_bytes_per_vector
        table.add_row(
            f"{threshold}",
            f"{np.median([row.bound for row in tests]):.4f}",
            f"{np.median(fresh):.4f}",
            f"{min(fresh):.4f}",
            f"{sum(recall >= threshold for recall in fresh)} of {runs}",
            f"{np.median([row.bytes_per_vector for row in tests]):.0f}",
            f"{np.median([full / row.bytes_per_vector for row in tests]):.1f}x",
            f"{np.median([exact.bytes_moved / row.bytes_moved for row in tests]):.1f}x",
            str(results[0][1]),
            *([f"{np.median([other.recalls(plan).mean() for _, plan, _ in results]):.4f}"] if other else []),
        )
    console.print(table)
    held_out = rows[thresholds[0]][0][0].held_out_queries
    console.print(
        f"{seen} queries a calibration ({held_out} of them held out), {count - seen} fresh ones, confidence "
        f"{CONFIDENCE}; {seconds:.1f} s a calibration, {population.threads} thread(s)"
    )


if __name__ == "__main__":
    main()
