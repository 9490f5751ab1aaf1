"""How often answers prove themselves, and what a proof costs: `python -m benchmarks.certificates DATA`.

Wikipedia passages with the built-in model's vectors as they are, after a PCA rotation and after a query-aware
rotation (fitted on other questions); XQuAD and MedQuAD questions. Prints, for each: which share of the
answers of a plan is certified exact without further work; what `certify=True` reads and takes beside the
exact float32 scan, having checked that it returns the same ids; and how often the recall that a search with
a target promises for a single query is reached, over many splits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla import Index, load_embedder
from kukla.cost import format_bytes
from kukla.evaluate import exact_answers
from kukla.projection import Projection, fit_pca, fit_query_aware

K = 10
EXACT = "512:float32"
PLANS = (
    "512:int8@2x > 512:float32",
    "512:int8@4x > 512:float32",
    "256:int8@20x > 512:float32",
    "128:int8@20x > 512:float32",
    "512:binary@100x > 512:float32",
)
TARGET = "recall@10>=0.9"


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with wikipedia/, ir/ and train/ in it")
    parser.add_argument("--count", type=int, default=200_000, help="passages")
    parser.add_argument("--queries", type=int, default=200, help="of each kind")
    parser.add_argument("--splits", type=int, default=20, help="of the coverage experiment")
    arguments = parser.parse_args()
    console = Console(width=150)
    embedder = load_embedder()
    with gzip.open(arguments.data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, arguments.count)]
    rows = embedder.encode_documents(texts)
    with (arguments.data / "ir" / "xquad_en" / "queries.jsonl").open(encoding="utf-8") as lines:
        xquad = embedder.encode_queries([json.loads(line)["text"] for line in lines])
    with gzip.open(arguments.data / "train" / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        questions = list(dict.fromkeys(json.loads(line)["query"] for line in islice(lines, 3000)))
    medquad = embedder.encode_queries(questions)
    order = np.random.default_rng(0).permutation(len(xquad))
    asked, other = xquad[order[: len(order) // 2]], xquad[order[len(order) // 2 :]]
    kinds = {"XQuAD": asked[: arguments.queries], "MedQuAD": medquad[: arguments.queries]}
    projections: dict[str, Projection | None] = {
        "as they are": None, "PCA": fit_pca(rows), "query-aware": fit_query_aware(rows, other),
    }  # fmt: skip
    free = Table("vectors", "questions", *PLANS, title=f"{len(rows):,} passages: answers certified for free")
    proofs = Table(
        "vectors", "questions", "left open at 64", "128", "256", "512", "scored exactly", "read",
        "exact scan reads", "ms: median, 99 %", "exact scan", "same ids",
        title="certify=True: rows left open after so many dims (mean), bytes and time a query",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, projection in projections.items():
            with Index.create(Path(folder) / name, dim=rows.shape[1], projection=projection) as index:
                index.add(rows)
                index.compact()
                for kind, queries in kinds.items():
                    free.add_row(name, kind, *(_free(index, queries, plan) for plan in PLANS))
                    proofs.add_row(name, kind, *_proofs(index, queries))
                if projection is None:
                    coverage = _coverage(index, xquad, arguments.splits)
    for table in (free, proofs, coverage):
        console.print(table)


def _free(index: Index, queries: np.ndarray, plan: str) -> str:
    kinds = [one.kind for one in index.search(queries, K, plan=plan).certificates()]
    return f"{np.mean([kind == 'exact' for kind in kinds]):.1%}"


def _proofs(index: Index, queries: np.ndarray) -> list[str]:
    index.search(queries[:5], K, certify=True)  # warms up
    truth = index.search(queries, K, plan=EXACT)
    found, seconds, scans = [], [], []
    for query in queries:
        started = time.perf_counter()
        found.append(index.search(query, K, certify=True))
        seconds.append(time.perf_counter() - started)
        if len(scans) < 20:
            scans.append(index.search(query, K, plan=EXACT).seconds)
    same = sum(one.ids[0].tolist() == ids.tolist() for one, ids in zip(found, truth.ids, strict=True))
    steps = [one.proof.steps if one.proof else () for one in found]
    opened = np.array([[step.scored for step in line[1:]] for line in steps if line]) / len(index)
    scored = np.array([line[-1].scored for line in steps if line])
    return [
        *(f"{share:.2%}" for share in opened.mean(axis=0)[:-1]),
        f"{opened.mean(axis=0)[-1]:.4%}",
        f"{scored.mean():.0f}",
        format_bytes(float(np.mean([one.bytes_read for one in found]))),
        format_bytes(index.explain(EXACT).bytes_read),
        f"{np.median(seconds) * 1e3:.1f}, {np.quantile(seconds, 0.99) * 1e3:.1f}",
        f"{np.median(scans) * 1e3:.1f}",
        f"{same} of {len(queries)}",
    ]


def _coverage(index: Index, queries: np.ndarray, splits: int) -> Table:
    table = Table(
        "probability", "queries that reached their promise", "promised recall: mean", "of the hardest tenth",
        "recall obtained: mean", title=f"{TARGET}: what single queries were promised, {splits} splits",
    )  # fmt: skip
    exact = exact_answers(index, queries, k=K)
    results: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {0.8: [], 0.9: [], 0.95: []}
    for seed in range(splits):
        order = np.random.default_rng([3, seed]).permutation(len(queries))
        seen, fresh = order[:700], np.sort(order[700:])
        calibration = index.calibrate(queries[seen], target=TARGET, seed=seed, timed=False)
        found = index.search(queries[fresh], K, target=TARGET)
        recalls = exact.recall(index.search(queries, K, plan=calibration.plan).ids)[fresh]
        for probability, pairs in results.items():
            promised = [one.recall for one in found.certificates(probability=probability)]
            pairs.append((np.array(promised), recalls))
    for probability, pairs in results.items():
        promised, recalls = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        hardest = promised <= np.quantile(promised, 0.1)
        table.add_row(
            f"{probability}",
            f"{np.mean(recalls >= promised - 1e-9):.2%}",
            f"{promised.mean():.3f}",
            f"{promised[hardest].mean():.3f} (obtained {recalls[hardest].mean():.3f})",
            f"{recalls.mean():.3f}",
        )
    return table


if __name__ == "__main__":
    main()
