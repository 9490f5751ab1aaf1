"""Prefixes of real vectors under each projection: `python -m benchmarks.projections DATA`.

recall@10 of a prefix alone against exact full vectors, on held-out queries. A fifth of each set are the
queries (one split by a fixed seed; sets below 200 vectors: the mean of ten). ``all``: fitted on all documents
searched; ``third``: on a third of them; ``unseen``: fitted on a third, and only the other two thirds are
searched. The last set has real questions as queries: XQuAD, half of them for fitting, on Wikipedia
paragraphs, embedded by the built-in model.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.plans import SEED, SETS, K
from kukla import truncate
from kukla.embed import DEFAULT_MODEL, load_embedder
from kukla.projection import Moments, Rotation, fit_pca, fit_query_aware, random_rotation
from kukla.projection.moments import directions

Matrix = np.ndarray
FRACTIONS = (2, 4, 8, 16, 24)
EVERY = 8  # of the Wikipedia passages


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/, ir/ and wikipedia/ in it")
    folder = parser.parse_args().data
    console = Console(width=130)
    for title, pattern in (
        ("text-embedding-3-small, 720 chunks, entities, relationships", "oai3small_dickens/*.npy"),
        *SETS[2:],
    ):
        vectors = np.concatenate([np.load(path) for path in sorted((folder / "vectors").glob(pattern))])
        vectors = np.unique(truncate(vectors.astype(np.float32), vectors.shape[1]), axis=0)
        repeats = 10 if len(vectors) < 200 else 1
        runs = [_documents_as_queries(vectors, SEED + i) for i in range(repeats)]
        console.print(_table(f"{title}; documents as queries", runs, vectors.shape[1]))
    documents, queries = _wikipedia(folder)
    run = _questions(documents, queries)
    title = f"{DEFAULT_MODEL}, {len(documents):,} Wikipedia paragraphs; questions as queries"
    console.print(_table(title, [run], documents.shape[1]))


Run = dict[str, dict[int, np.ndarray]]


def _documents_as_queries(vectors: Matrix, seed: int) -> Run:
    order = np.random.default_rng(seed).permutation(len(vectors))
    split = len(vectors) // 5
    queries, documents = vectors[order[:split]], vectors[order[split:]]
    third = len(documents) // 3
    run = _controls(queries, documents, seed)
    for name, searched, fitted in (
        ("all", documents, documents),
        ("third", documents, documents[:third]),
        ("unseen", documents[third:], documents[:third]),
    ):
        pca = fit_pca(fitted).matrix
        run[f"PCA {name}: partial dot product"] = _measure(queries @ pca, searched @ pca, cosine=False)
        run[f"PCA {name}: renormalised"] = _measure(queries @ pca, searched @ pca, cosine=True)
        if name == "all":
            centred = _centred(fitted).matrix
            run["PCA all, centred: partial dot product"] = _measure(
                queries @ centred, searched @ centred, cosine=False
            )
        else:
            run[f"prefix, {name}"] = _measure(queries, searched, cosine=True)
    del run["prefix, third"]  # the same documents as "prefix"
    return run


def _questions(documents: Matrix, queries: Matrix) -> Run:
    order = np.random.default_rng(SEED).permutation(len(queries))
    known, held_out = queries[order[::2]], queries[order[1::2]]
    run = _controls(held_out, documents, SEED)
    fits: tuple[tuple[str, Rotation], ...] = (
        ("PCA", fit_pca(documents)),
        ("PCA, centred", _centred(documents)),
        (f"query-aware, {len(known)} queries", fit_query_aware(documents, known)),
        ("query-aware, 100 queries", fit_query_aware(documents, known[:100])),
        ("query-aware, 100 queries at weight 1/2", fit_query_aware(documents, known[:100], weight=0.5)),
        ("query-aware, 30 queries", fit_query_aware(documents, known[:30])),
    )
    for name, rotation in fits:
        asked, found = held_out @ rotation.matrix, documents @ rotation.matrix
        run[f"{name}: partial dot product"] = _measure(asked, found, cosine=False)
        run[f"{name}: renormalised"] = _measure(asked, found, cosine=True)
    return run


def _controls(queries: Matrix, documents: Matrix, seed: int) -> Run:
    width = documents.shape[1]
    shuffled = np.random.default_rng(seed).permutation(width)
    turn = random_rotation(width, seed=seed).matrix
    return {
        "prefix": _measure(queries, documents, cosine=True),
        "prefix: partial dot product": _measure(queries, documents, cosine=False),
        "random coordinates": _measure(queries[:, shuffled], documents[:, shuffled], cosine=True),
        "random rotation": _measure(queries @ turn, documents @ turn, cosine=True),
    }


def _centred(vectors: Matrix) -> Rotation:
    moments = Moments(vectors).matrix
    mean = vectors.mean(axis=0, dtype=np.float64)
    return Rotation(directions(moments - np.outer(mean, mean)))


def _measure(queries: Matrix, documents: Matrix, *, cosine: bool) -> dict[int, np.ndarray]:
    """recall@10 of each query by dim."""
    exact = queries @ documents.T
    good = exact >= np.partition(exact, -K, axis=1)[:, -K, None] - 2e-6
    recalls = {}
    for fraction in FRACTIONS:
        dim = documents.shape[1] // fraction
        scores = queries[:, :dim] @ documents[:, :dim].T
        if cosine:
            scores = scores / np.linalg.norm(documents[:, :dim], axis=1)
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        recalls[dim] = np.take_along_axis(good, best, axis=1).mean(axis=1)
    return recalls


def _table(title: str, runs: list[Run], width: int) -> Table:
    dims = [width // fraction for fraction in FRACTIONS]
    caption = f"recall@{K} ± half of the 95 % bootstrap interval"
    table = Table("", *map(str, dims), title=title, caption=caption)
    rng = np.random.default_rng(SEED)
    for name in runs[0]:
        cells = []
        for dim in dims:
            samples = [run[name][dim] for run in runs]
            means = np.mean([rng.choice(s, (1000, len(s))).mean(axis=1) for s in samples], axis=0)
            # Splits of one small set share its vectors: the interval of one split, not a tenth of it.
            spread = [np.ptp(np.quantile(rng.choice(s, (1000, len(s))).mean(axis=1), (0.025, 0.975))) / 2
                      for s in samples]  # fmt: skip
            cells.append(f"{np.mean(means):.3f} ±{np.mean(spread):.3f}")
        table.add_row(name, *cells)
    return table


def _wikipedia(folder: Path) -> tuple[Matrix, Matrix]:
    embedder = load_embedder()
    passages = _texts(folder / "wikipedia" / "passages.jsonl.gz", lambda row: f"{row['title']} {row['text']}")
    corpus = _texts(folder / "ir" / "xquad_en" / "corpus.jsonl.gz", lambda row: row["text"])
    questions = [json.loads(line)["text"] for line in (folder / "ir" / "xquad_en" / "queries.jsonl").open()]
    documents = embedder.encode_documents(passages[::EVERY] + corpus)
    return truncate(documents, documents.shape[1]), truncate(
        embedder.encode_queries(questions), documents.shape[1]
    )


def _texts(path: Path, text: Callable[[dict[str, str]], str]) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [text(json.loads(line)) for line in lines]


if __name__ == "__main__":
    main()
