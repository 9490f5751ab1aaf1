"""What is compared on: texts with judgements from BEIR folders, and vectors with judgements."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kukla.readers.qrels import read_qrels

__all__ = ["COLLECTIONS", "LARGEST_CORPUS", "Task", "Texts", "read_texts", "read_vector_tasks"]

COLLECTIONS = ("cranfield", "cisi", "npl", "cacm", "adi", "medquad", "xquad_en", "codebase248")
LARGEST_CORPUS = 12_000


@dataclass(frozen=True)
class Texts:
    """Documents, queries with at least one relevant document, and graded judgements by document number."""

    name: str
    documents: list[str]
    queries: list[str]
    judged: list[dict[int, int]]


def read_texts(folder: Path) -> Texts:
    """Read a BEIR folder; a document is title and text.

    A corpus above `LARGEST_CORPUS` keeps every relevant document and as many others, drawn by a fixed seed,
    so that its scores are higher than on the whole corpus.
    """
    rows = list(_lines(folder / "corpus.jsonl.gz"))
    there = {row["_id"] for row in rows}
    positives = {
        query: {document: grade for document, grade in grades.items() if grade > 0 and document in there}
        for query, grades in read_qrels(folder / "qrels.tsv").items()
    }
    if len(rows) > LARGEST_CORPUS:
        relevant = {document for grades in positives.values() for document in grades}
        others = [i for i, row in enumerate(rows) if row["_id"] not in relevant]
        drawn = np.random.default_rng(0).choice(others, LARGEST_CORPUS - len(relevant), replace=False)
        kept = {*drawn.tolist(), *(i for i, row in enumerate(rows) if row["_id"] in relevant)}
        rows = [rows[i] for i in sorted(kept)]
    number = {row["_id"]: i for i, row in enumerate(rows)}
    asked = [row for row in _lines(folder / "queries.jsonl") if positives.get(row["_id"])]
    return Texts(
        folder.name,
        # The built-in model has no vector for no text; two documents of cranfield are empty.
        [f"{row.get('title') or ''} {row['text']}".strip() or "empty" for row in rows],
        [row["text"] for row in asked],
        [{number[document]: grade for document, grade in positives[row["_id"]].items()} for row in asked],
    )


@dataclass(frozen=True)
class Task:
    """Vectors with judgements: unit rows float32, ``judged[i]`` maps document numbers to grades."""

    model: str
    name: str
    documents: np.ndarray
    queries: np.ndarray
    judged: list[dict[int, int]]


def read_vector_tasks(folder: Path) -> Iterator[Task]:
    """Three tasks on real text-embedding-3-small vectors of one book."""
    kinds = {"entity": "entities", "chunk": "chunks", "relationship": "relationships"}
    for query, document in (("relationship", "entity"), ("entity", "chunk"), ("relationship", "chunk")):
        asked, found = (
            np.load(folder / f"{kinds[kind]}.npy").astype(np.float32) for kind in (query, document)
        )
        ids, numbers = (
            {row["_id"]: i for i, row in enumerate(_lines(folder / f"{kinds[kind]}.jsonl"))}
            for kind in (query, document)
        )
        positives = read_qrels(folder / f"qrels_{query}_to_{document}.tsv")
        chosen = [(i, positives[name]) for name, i in ids.items() if positives.get(name)]
        yield Task(
            "text-embedding-3-small",
            f"dickens {query} to {document}",
            found / np.linalg.norm(found, axis=1, keepdims=True),
            (asked / np.linalg.norm(asked, axis=1, keepdims=True))[[i for i, _ in chosen]],
            [{numbers[name]: grade for name, grade in grades.items()} for _, grades in chosen],
        )


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as file
    ):
        for line in file:
            yield json.loads(line)
