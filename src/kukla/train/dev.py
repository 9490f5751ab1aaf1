"""A retrieval collection that says how good every dim of a model is: while it trains, and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError
from kukla.evaluate.measures import Judge, rank_scores
from kukla.evaluate.quality import QualityCurve, evaluate_quality
from kukla.index import Index
from kukla.readers.beir import open_beir
from kukla.readers.documents import read_documents
from kukla.readers.qrels import read_qrels
from kukla.readers.tables import table_rows

__all__ = ["MEASURE", "Collection", "read_collection"]

MEASURE = "nDCG@10"
_DEPTH = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Collection:
    """Documents, the judged queries, and their judgements."""

    name: str
    ids: list[str]
    texts: list[str]
    query_ids: list[str]
    queries: list[str]
    qrels: dict[str, dict[str, int]]

    def vectors(self, model: Any, batch_size: int = 32) -> tuple[Floats, Floats]:
        """Documents and queries as the model embeds them, float32 ``(n, width)``, not normalised."""
        options = {"batch_size": batch_size, "show_progress_bar": False, "convert_to_numpy": True}
        documents = model.encode_document(self.texts, **options)
        return documents.astype(np.float32), model.encode_query(self.queries, **options).astype(np.float32)

    def quick(self, documents: Floats, queries: Floats, dims: Sequence[int]) -> dict[int, float]:
        """Mean nDCG@10 at each dim by exact cosine search: what a run is watched and stopped by."""
        judge = Judge(self.qrels, [MEASURE])
        found: dict[int, float] = {}
        for dim in dims:
            scores = _unit(queries[:, :dim]) @ _unit(documents[:, :dim]).T
            best = np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]
            rows = zip(self.query_ids, best, strict=True)
            values = judge.values({id_: rank_scores(self.ids[place] for place in row) for id_, row in rows})
            found[dim] = float(np.mean(list(values[MEASURE].values())))
        return found

    def quality(self, documents: Floats, queries: Floats, dims: Sequence[int]) -> QualityCurve:
        """nDCG@10 at each dim with intervals, and as a share of whole vectors (:mod:`kukla.evaluate`)."""
        width = documents.shape[1]
        with TemporaryDirectory(prefix="kukla-train-") as scratch:
            nesting = tuple(sorted({*dims, width}))
            with Index.create(Path(scratch) / "i.kukla", dim=width, nesting=nesting) as index:
                # A text without a known token has no direction; it is given a fixed one.
                index.add(_directed(documents), ids=self.ids)
                return evaluate_quality(
                    index,
                    _directed(queries),
                    self.qrels,
                    query_ids=self.query_ids,
                    measures=[MEASURE],
                    dims=nesting,
                    precisions=["float32"],
                )


def read_collection(folder: Path | str) -> Collection:
    """Read a BEIR folder.

    Raises
    ------
    ReadError, InputError
        A part is missing or broken, or no query has a relevant document.
    """
    beir = open_beir(folder)
    qrels = read_qrels(beir.qrels)
    judged = {query for query, grades in qrels.items() if any(grade > 0 for grade in grades.values())}
    rows = [row.fields for row in table_rows(beir.queries)]
    asked = {str(row.get("_id", row.get("id"))): str(row.get("text", "")) for row in rows}
    queries = {id_: text for id_, text in asked.items() if id_ in judged and text.strip()}
    if not queries:
        raise InputError(
            f"{folder}: no query of {beir.queries.name} has a relevant document in its judgements"
        )
    documents = {str(one.id): one.text or "" for one in read_documents([beir.corpus])}
    qrels = {id_: grades for id_, grades in qrels.items() if id_ in queries}
    name = Path(folder).resolve().name
    return Collection(
        name, list(documents), list(documents.values()), list(queries), list(queries.values()), qrels
    )


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny))


def _directed(rows: Floats) -> Floats:
    blank = ~rows.any(axis=1)
    if not blank.any():
        return rows
    given = rows.copy()
    given[blank] = 1.0
    return given
