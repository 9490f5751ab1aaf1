"""Measuring the model that was written: scores beside the peers' and beside those of its start."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from kukla.embed.static import StaticEmbedder
from kukla.train.static.teacher import load_teacher, teacher_vectors

from . import distil, evaluate

__all__ = ["TEACHER_LIMIT", "scores"]

TEACHER_LIMIT = 12_000
"""The teacher is measured on collections of at most this many documents: it is slow on two cores."""


def scores(
    model: StaticEmbedder,
    processor: sentencepiece.SentencePieceProcessor,
    vectors: NDArray[np.float32],
    start: StaticEmbedder | None,
    folder: Path,
    peers_file: Path,
    dims: Sequence[int],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """nDCG@10 by collection: ``kukla`` (int8), ``float32``, ``bm25``, ``teacher`` (None: not measured).

    ``float32`` is of whole vectors only. With a ``start`` also ``gain``, at each dim: the mean difference to
    it with the 95 % interval of a paired bootstrap over queries; and how many ``queries`` there are.
    """

    def exact(texts: list[str]) -> NDArray[np.float32]:
        """The same mean over the float32 rows, to see what int8 costs."""
        rows = processor.encode(texts, num_threads=1)
        return np.stack([vectors[row].mean(axis=0) if row else vectors.mean(axis=0) for row in rows])

    known = json.loads(peers_file.read_text()) if peers_file.exists() else {}
    table: dict[str, Any] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        collection = evaluate.read_collection(path)
        if path.name not in known:
            known[path.name] = _peers(collection)
            peers_file.write_text(json.dumps(known))
        mine = evaluate.values(model.encode_documents, collection, dims)
        table[path.name] = {
            "kukla": {dim: float(found.mean()) for dim, found in mine.items()},
            "float32": evaluate.nested_ndcg(exact, collection, dims[:1]),
            **known[path.name],
        }
        if start is not None:
            others = evaluate.values(start.encode_documents, collection, dims)
            gain = {dim: evaluate.paired_gain(mine[dim], others[dim]) for dim in dims}
            table[path.name] |= {"queries": len(collection.queries), "gain": gain}
        say(f"{path.name}: {table[path.name]}")
    return {name: json.loads(json.dumps(row)) for name, row in table.items()}  # dims become text, as on disk


def _peers(collection: evaluate.Collection) -> dict[str, float | None]:
    teacher = None
    if len(collection.documents) <= TEACHER_LIMIT:
        model = load_teacher(distil.TEACHER)

        def encode(texts: list[str]) -> NDArray[np.float32]:
            return teacher_vectors(model, texts)

        teacher = evaluate.nested_ndcg(encode, collection, [384])[384]
    return {"bm25": evaluate.mean_ndcg(evaluate.bm25_ranking(collection), collection), "teacher": teacher}
