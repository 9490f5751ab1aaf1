"""The pairs that models are trained on, and others, held out, that choose the learning rate."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

__all__ = ["DEV_ROWS", "ROWS", "read_pairs", "write_mixture"]

# Titles with abstracts, questions with answers, words with definitions: in every batch of each.
ROWS = {"arxiv": 8_000, "medquad": 8_000, "wordnet": 4_000}
DEV_ROWS = 400
_SEED = 0

Pair = tuple[str, str]


def write_mixture(data: Path, folder: Path) -> tuple[Path, Path]:
    """Write ``train.jsonl`` and the BEIR folder ``dev``; the same files each time.

    No query and no text of one is in the other. Of several pairs with the same query or the same text, the
    first drawn is taken: in a batch, the others would be wrong negatives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(_SEED)
    train: list[Pair] = []
    dev: list[Pair] = []
    for name, rows in ROWS.items():
        pairs = _pairs(data / "train" / f"{name}.jsonl.gz")
        drawn = _distinct(pairs[i] for i in rng.permutation(len(pairs)))
        dev += drawn[:DEV_ROWS]
        train += drawn[DEV_ROWS : DEV_ROWS + rows]
    train = [train[i] for i in rng.permutation(len(train))]
    _write(folder / "train.jsonl", [{"query": query, "text": text} for query, text in train])
    beir = folder / "dev"
    beir.mkdir(exist_ok=True)
    _write(beir / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, (_, text) in enumerate(dev)])
    _write(beir / "queries.jsonl", [{"_id": f"q{i}", "text": query} for i, (query, _) in enumerate(dev)])
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(len(dev)))
    (beir / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return folder / "train.jsonl", beir


def read_pairs(train: Path, count: int) -> tuple[list[str], list[str]]:
    """Queries and texts of the first rows, which are in random order."""
    with train.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, count)]
    return [row["query"] for row in rows], [row["text"] for row in rows]


def _pairs(path: Path) -> list[Pair]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [(row["query"], row["text"]) for row in map(json.loads, lines)]


def _distinct(pairs: Iterable[Pair]) -> list[Pair]:
    queries: set[str] = set()
    texts: set[str] = set()
    kept = []
    for query, text in pairs:
        if query.strip() and text.strip() and query not in queries and text not in texts:
            queries.add(query)
            texts.add(text)
            kept.append((query, text))
    return kept


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
