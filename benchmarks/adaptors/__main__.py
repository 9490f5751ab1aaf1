"""Do adaptors beat a PCA on frozen vectors? `python -m benchmarks.adaptors DATA --cache FOLDER`.

nDCG@10 against judgements and recall@10 against the model's own whole vectors at 1/1 to 1/16 of the dims,
with 95 % bootstrap intervals over queries of differences on the same queries. No system sees a query that it
is measured on, and but for the query-aware rotation (cross-fitted on halves) none sees queries of the
collection; the supervised adaptor learns from the queries and judgements of the other collections.
Collections are encoded as by `benchmarks.systems`, with whose `--cache` they are shared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.adaptors.candidates import PCA, PCA_DOT, PREFIX, SYSTEMS, labelled
from benchmarks.adaptors.measure import Values, compare
from benchmarks.systems.encode import MODELS, encode
from benchmarks.systems.measure import interval
from benchmarks.systems.tasks import COLLECTIONS, Task, read_texts, read_vector_tasks

_TITLES = {"ndcg": "nDCG@10", "recall": "recall@10 against the model's own whole vectors"}


def main() -> None:
    """Measure, print tables in Markdown, write them and every mean to `adaptors-MODEL.md` and `.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with ir/ and vectors/ in it")
    parser.add_argument("--model", choices=[*MODELS, "text-embedding-3-small"], default=MODELS[1])
    parser.add_argument("--only", nargs="*", default=list(COLLECTIONS), choices=COLLECTIONS, metavar="NAME")
    parser.add_argument(
        "--systems", nargs="*", default=list(SYSTEMS), choices=SYSTEMS, metavar="NAME",
        help=f"beside {PREFIX}: {'; '.join(SYSTEMS[1:])}. Rows do not depend on each other",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, help="where encoded texts are kept")
    parser.add_argument("--steps", type=int, default=300, help="of each training, at most")
    parser.add_argument("--hidden", type=int, help="units of the adaptors; default: the width")
    parser.add_argument("--to", type=Path, default=Path(), help="folder of the JSON")
    options = parser.parse_args()
    errors, results = Console(stderr=True), []
    tasks = list(_tasks(options, errors))
    for number, task in enumerate(tasks, start=1):
        started = time.perf_counter()
        width = task.documents.shape[1]
        others = [(one.documents, one.queries, one.judged) for one in tasks if one.name != task.name]
        if options.model not in MODELS:
            others = []  # three tasks on one book: their labels are no other collection's
        results.append(
            compare(
                task, [width // share for share in (1, 2, 4, 8, 16)], elsewhere=labelled(others),
                systems=[PREFIX, *options.systems], steps=options.steps, hidden=options.hidden,
            )
        )  # fmt: skip
        seconds = time.perf_counter() - started
        errors.print(f"{number} of {len(tasks)}: {task.name}, {seconds:,.0f} s")
        options.to.mkdir(parents=True, exist_ok=True)
        # After every collection: what is measured stays when the rest is stopped.
        data = json.dumps(_json(results), indent=1) + "\n"
        (options.to / f"adaptors-{options.model}.json").write_text(data)
        (options.to / f"adaptors-{options.model}.md").write_text(_page(results))
    print(_page(results), end="")


def _page(results: Sequence[Values]) -> str:
    compared = [name for name in (PREFIX, PCA, PCA_DOT) if name in results[0].ndcg]
    parts = [_table(results, measure, against) for measure in _TITLES for against in compared]
    return "\n\n".join("\n".join(part) for part in [*parts, _by_collection(results, 8)]) + "\n"


def _tasks(options: argparse.Namespace, errors: Console) -> Iterator[Task]:
    if options.model not in MODELS:
        yield from read_vector_tasks(options.data / "vectors" / "oai3small_dickens")
        return

    def show(done: int, total: int | None) -> None:
        errors.print(f"encoding: {done:,} of {total:,}", end="\r")

    for name in COLLECTIONS:
        if name in options.only:
            yield encode(read_texts(options.data / "ir" / name), options.model, options.cache, show)


def _table(results: Sequence[Values], measure: str, against: str) -> Iterator[str]:
    """The mean over collections: ``against`` itself, and the differences of the others to it.

    Over those on which the most systems could be fitted, the same for every row.
    """
    most = max(len(one.ndcg) for one in results)
    results = [one for one in results if len(one.ndcg) == most]
    names = ", ".join(one.name for one in results)
    shares = range(len(results[0].dims))
    yield f"**{results[0].model}, {_TITLES[measure]}: mean over {names}; others: difference to {against}**\n"
    yield "| system | " + " | ".join(f"{dim}" for dim in results[0].dims) + " |"
    yield "|---|" + "---:|" * len(results[0].dims)
    for system in SYSTEMS:
        values = [(getattr(one, measure).get(system), getattr(one, measure)[against]) for one in results]
        there = [(mine, other) for mine, other in values if mine is not None]
        if not there:
            continue
        if system == against:
            cells = [f"{np.mean([mine[row].mean() for mine, _ in there]):.3f}" for row in shares]
        else:
            cells = [_signed(interval([mine[row] - other[row] for mine, other in there])) for row in shares]
        yield f"| {system} | " + " | ".join(cells) + " |"


def _by_collection(results: Sequence[Values], share: int) -> Iterator[str]:
    systems = [system for system in SYSTEMS if any(system in one.ndcg for one in results)]
    yield f"**nDCG@10 at 1/{share} of the dims, by collection**\n"
    yield "| collection | documents | queries | whole | " + " | ".join(systems) + " |"
    yield "|---|---:|---:|---:|" + "---:|" * len(systems)
    for one in results:
        row = one.dims.index(one.dims[0] // share)
        cells = [f"{one.ndcg[name][row].mean():.3f}" if name in one.ndcg else "-" for name in systems]
        whole = one.ndcg[PREFIX]
        start = f"| {one.name} | {one.documents:,} | {whole.shape[1]:,} | {whole[0].mean():.3f} | "
        yield start + " | ".join(cells) + " |"


def _signed(found: tuple[float, float, float]) -> str:
    return f"{found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}]"


def _json(results: Sequence[Values]) -> list[dict[str, object]]:
    return [
        {
            "model": one.model, "collection": one.name, "documents": one.documents, "dims": one.dims,
            "system": system, "ndcg_at_10": one.ndcg[system].mean(axis=1).tolist(),
            "recall_at_10": one.recall[system].mean(axis=1).tolist(), "about": one.about.get(system, {}),
        }
        for one in results
        for system in one.ndcg
    ]  # fmt: skip


if __name__ == "__main__":
    main()
