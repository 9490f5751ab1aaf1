"""Matryoshka, PCA, learned head or quantisation? `python -m benchmarks.systems DATA --cache FOLDER`.

Every system at the same dims on the same collections: nDCG@10 against judgements, recall@10 against the full
vectors, with 95 % bootstrap intervals of the difference to the MRL prefix of the same bytes. What learns from
queries is cross-fitted: half of the queries to learn from, the other half to measure on, and the reverse.
Models: the built-in one; all-MiniLM-L6-v2, not trained for prefixes, on the collections named by `--minilm`
(10 documents a second on one core: give a `--cache`); text-embedding-3-small on the vectors that are there.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console

from benchmarks.systems.encode import MODELS, encode
from benchmarks.systems.figure import draw
from benchmarks.systems.measure import Measured, measure
from benchmarks.systems.report import as_json, summary_tables, task_table
from benchmarks.systems.tasks import COLLECTIONS, Task, read_texts, read_vector_tasks


def main() -> None:
    """Measure, print tables, write `systems.json` and `systems.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with ir/ and vectors/ in it")
    parser.add_argument("--only", nargs="*", default=[*COLLECTIONS, "dickens"], help="collections")
    parser.add_argument(
        "--minilm", nargs="*", default=[], choices=COLLECTIONS, metavar="NAME",
        help="collections to encode with all-MiniLM-L6-v2 as well (the extra recipe)",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, help="where encoded texts are kept")
    parser.add_argument("--steps", type=int, default=100, help="of training, at most")
    parser.add_argument("--jobs", type=int, default=1, help="tasks at a time")
    parser.add_argument("--to", type=Path, default=Path(), help="folder of systems.json and systems.png")
    options = parser.parse_args()
    console, errors = Console(width=190), Console(stderr=True)
    unknown = set(options.only) - {*COLLECTIONS, "dickens"}
    if unknown:
        parser.error(f"--only takes {', '.join((*COLLECTIONS, 'dickens'))}; got {', '.join(sorted(unknown))}")
    tasks = _tasks(options, errors)
    started = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(measure, task, options.steps): i for i, task in enumerate(tasks)}
        results: dict[int, Measured] = {}
        for future in as_completed(futures):
            result = results[futures[future]] = future.result()
            seconds = time.perf_counter() - started
            errors.print(f"{len(results)} of {len(tasks)}: {result.name}, {result.model}; {seconds:,.0f} s")
    ordered = [results[i] for i in range(len(tasks))]
    for table in summary_tables(ordered):
        console.print(table)
    console.print(task_table(ordered, 8))
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "systems.json").write_text(json.dumps(as_json(ordered), indent=1) + "\n")
    draw(ordered, options.to / "systems.png")


def _tasks(options: argparse.Namespace, errors: Console) -> list[Task]:
    tasks = []
    for model, wanted in zip(MODELS, (options.only, options.minilm), strict=True):
        for name in COLLECTIONS:
            if name in wanted:
                texts = read_texts(options.data / "ir" / name)

                def show(done: int, total: int | None, name: str = name, model: str = model) -> None:
                    errors.print(f"encoding {name} with {model}: {done:,} of {total:,}", end="\r")

                tasks.append(encode(texts, model, options.cache, show))
    if "dickens" in options.only:
        tasks += read_vector_tasks(options.data / "vectors" / "oai3small_dickens")
    return tasks


if __name__ == "__main__":
    main()
