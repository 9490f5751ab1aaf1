"""The documents and queries that benchmarks share, from the data folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

__all__ = ["medquad_questions", "nomic", "passages", "small3", "xquad_questions"]


def passages(data: Path, count: int) -> Iterator[tuple[str, str]]:
    """Ids and texts of the first ``count`` Wikipedia passages."""
    with gzip.open(data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in islice(lines, count):
            row = json.loads(line)
            yield row["_id"], f"{row['title']}. {row['text']}"


def xquad_questions(data: Path) -> list[str]:
    """1,190 questions on Wikipedia paragraphs."""
    with (data / "ir" / "xquad_en" / "queries.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def medquad_questions(data: Path) -> list[str]:
    """2,500 different medical questions."""
    with gzip.open(data / "train" / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(json.loads(line)["query"] for line in islice(lines, 4000)))[:2500]


def small3(vectors: Path) -> tuple[np.ndarray, np.ndarray]:
    """text-embedding-3-small: entities and chunks as documents, relationships as queries; float32."""
    folder = vectors / "oai3small_dickens"
    documents = np.concatenate([np.load(folder / "entities.npy"), np.load(folder / "chunks.npy")])
    return documents.astype(np.float32), np.load(folder / "relationships.npy").astype(np.float32)


def nomic(vectors: Path, *, documents: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """nomic-embed-text: some of the texts of three books (half) as documents, others as queries; float32."""
    books = sorted((vectors / "nomic_books_vi").glob("*.npy"))
    rows = np.random.default_rng(1).permutation(np.concatenate([np.load(path) for path in books]))
    if documents is not None:
        return rows[:documents].astype(np.float32), rows[documents:].astype(np.float32)
    return rows[::2].astype(np.float32), rows[1::2].astype(np.float32)
