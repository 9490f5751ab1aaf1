"""How often the 95 % intervals of `kukla eval` hold: `python -m benchmarks.eval_intervals DATA`.

A collection's judged queries stand for all queries of their kind. Samples of n of them are drawn with
replacement, and the interval of each is compared with the value over all: 95 in 100 should hold it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla import Index, Plan, load_embedder
from kukla.evaluate import Judge, evaluate_quality, rank_scores
from kukla.profile.statistics import Bootstrap
from kukla.readers import read_documents
from kukla.readers.beir import open_beir
from kukla.readers.qrels import read_qrels

COLLECTIONS = ("cranfield", "xquad_en", "codebase248")
STAGES = ("256:int8", "64:int8", "128:binary")
SIZES = (10, 30, 100, 300)
TRIALS = 400
MEASURE = "nDCG@10"


def per_query(folder: Path, scratch: Path) -> dict[str, NDArray[np.float64]]:
    """nDCG@10 of every judged query ``(n,)``, by plan."""
    beir = open_beir(folder)
    queries = [json.loads(line) for line in beir.queries.read_text(encoding="utf-8").splitlines()]
    qrels = read_qrels(beir.qrels)
    judge = Judge(qrels, [MEASURE])
    found: dict[str, NDArray[np.float64]] = {}

    def keep(plan: Plan, names: Sequence[str], ids: NDArray[Any], scores: NDArray[np.float32]) -> None:
        run = {name: rank_scores(row) for name, row in zip(names, ids.tolist(), strict=True)}
        values = judge.values(run)[MEASURE]
        found[str(plan)] = np.array([values[name] for name in names])

    with Index.create(scratch / f"{folder.name}.kukla", embedder=load_embedder()) as index:
        index.add(read_documents([beir.corpus]))
        texts, names = [query["text"] for query in queries], [query["_id"] for query in queries]
        evaluate_quality(index, texts, qrels, query_ids=names, measures=[MEASURE], on_run=keep)
    return found


def coverage(values: NDArray[np.float64], full: NDArray[np.float64], n: int) -> tuple[float, float]:
    """The share of samples whose intervals hold the mean, and the share of full vectors."""
    rng = np.random.default_rng(n)
    means = shares = 0
    for _ in range(TRIALS):
        rows = rng.integers(0, len(values), n)
        bootstrap = Bootstrap(n, rng)
        mean, share = bootstrap.interval(values[rows]), bootstrap.share(values[rows], full[rows])
        means += mean.low <= values.mean() <= mean.high
        shares += share is not None and share.low <= values.mean() / full.mean() <= share.high
    return means / TRIALS, shares / TRIALS


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1]) / "ir"
    print(f"{TRIALS} samples of n queries; % of intervals of the mean, of the share of full, that hold\n")
    print(f"| {MEASURE} | queries | plan | " + " | ".join(f"n={n}" for n in SIZES) + " |")
    print("|---|---|---|" + "---|" * len(SIZES))
    with tempfile.TemporaryDirectory() as scratch:
        for name in COLLECTIONS:
            values = per_query(folder / name, Path(scratch))
            for plan in STAGES:
                cells = [coverage(values[plan], values["512:float32"], n) for n in SIZES]
                shown = " | ".join(f"{100 * mean:.0f}, {100 * share:.0f}" for mean, share in cells)
                print(f"| {name} | {len(values[plan]):,} | `{plan}` | {shown} |", flush=True)


if __name__ == "__main__":
    main()
