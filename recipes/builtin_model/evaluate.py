"""nDCG@10 of what ships, by exact search over every document, beside BM25 and the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import read_jsonl

__all__ = [
    "Collection",
    "bm25_ranking",
    "cosine_ranking",
    "mean_ndcg",
    "ndcg",
    "nested_ndcg",
    "paired_gain",
    "read_collection",
    "values",
]

Ranking = NDArray[np.int64]  # (queries, k): document numbers, best first
_BLOCK = 256  # queries scored at once

Encode = Callable[[list[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Collection:
    """Texts and graded judgements; ``judged[i]`` maps a document's number to its grade for query i."""

    name: str
    documents: list[str]
    queries: list[str]
    judged: list[dict[int, int]]


def read_collection(folder: Path) -> Collection:
    """Read a BEIR folder; a document is title and text; queries without a relevant document are left out."""
    rows = list(read_jsonl(folder / "corpus.jsonl.gz"))
    number = {row["_id"]: i for i, row in enumerate(rows)}
    judged: dict[str, dict[int, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0 and document in number:
            judged.setdefault(query, {})[number[document]] = int(grade)
    queries = [row for row in read_jsonl(folder / "queries.jsonl") if row["_id"] in judged]
    return Collection(
        folder.name,
        [f"{row.get('title', '')} {row['text']}".strip() for row in rows],
        [row["text"] for row in queries],
        [judged[row["_id"]] for row in queries],
    )


def ndcg(ranking: Sequence[int] | NDArray[np.int64], judged: Mapping[int, int], k: int = 10) -> float:
    """nDCG with linear gain, as trec_eval's ``ndcg_cut`` (Järvelin and Kekäläinen 2002)."""
    gains = [judged.get(int(document), 0) for document in ranking[:k]]
    ideal = sorted(judged.values(), reverse=True)[:k]
    best = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(ideal))
    return float(sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains)) / best) if best else 0.0


def mean_ndcg(ranking: Ranking, collection: Collection) -> float:
    """Mean over the queries that have a relevant document."""
    return float(np.mean([ndcg(row, judged) for row, judged in zip(ranking, collection.judged, strict=True)]))


def cosine_ranking(queries: NDArray[np.float32], documents: NDArray[np.float32], k: int = 10) -> Ranking:
    """Exact search over L2-normalised rows: descending cosine, ties by document number."""
    k = min(k, len(documents))
    found = []
    for start in range(0, len(queries), _BLOCK):
        for scores in queries[start : start + _BLOCK] @ documents.T:
            near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])  # ties with the last are among them
            found.append(near[np.argsort(-scores[near], kind="stable")[:k]])
    return np.array(found, dtype=np.int64).reshape(len(queries), k)


def values(encode: Encode, collection: Collection, dims: Sequence[int]) -> dict[int, NDArray[np.float64]]:
    """nDCG@10 of each query (n,) at each prefix length, the prefix renormalised."""
    queries, documents = encode(collection.queries), encode(collection.documents)
    found = {}
    for dim in dims:
        ranking = cosine_ranking(_prefix(queries, dim), _prefix(documents, dim))
        rows = zip(ranking, collection.judged, strict=True)
        found[dim] = np.array([ndcg(row, judged) for row, judged in rows])
    return found


def nested_ndcg(encode: Encode, collection: Collection, dims: Sequence[int]) -> dict[int, float]:
    """Mean nDCG@10 at each prefix length."""
    return {dim: float(found.mean()) for dim, found in values(encode, collection, dims).items()}


def paired_gain(mine: NDArray[np.float64], other: NDArray[np.float64], draws: int = 2000) -> dict[str, float]:
    """nDCG@10 of each query (n,) less that of ``other``.

    ``mean`` and its 95 % interval over resampled queries, ``low`` and ``high``; ``even`` and ``odd``: the
    mean over every second query, from the first and from the second; ``other``: nDCG@10 of that.
    """
    difference = mine - other
    rows = np.random.default_rng(0).integers(len(difference), size=(draws, len(difference)))
    low, high = np.quantile(difference[rows].mean(axis=1), [0.025, 0.975])
    return {
        "mean": float(difference.mean()),
        "low": float(low),
        "high": float(high),
        "even": float(difference[::2].mean()),
        "odd": float(difference[1::2].mean()),
        "other": float(other.mean()),
    }


def bm25_ranking(collection: Collection, k: int = 10) -> Ranking:
    """BM25 as bm25s ranks by default (Lucene's formula, k1=1.5, b=0.75, English stop words, no stemming)."""
    import bm25s  # type: ignore[import-untyped]

    options: dict[str, Any] = {"stopwords": "en", "show_progress": False}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(collection.documents, **options), show_progress=False)
    tokens = bm25s.tokenize(collection.queries, **options)
    found, _ = index.retrieve(tokens, k=min(k, len(collection.documents)), show_progress=False)
    return np.asarray(found, dtype=np.int64)


def _prefix(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    part = vectors[:, :dim]
    return np.asarray(part / np.linalg.norm(part, axis=1, keepdims=True), dtype=np.float32)
