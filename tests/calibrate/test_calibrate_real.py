"""Real vectors: the built-in model on Python's documentation, text-embedding-3-small where there is data."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, load_embedder
from kukla.evaluate import exact_answers
from kukla.readers import python_documents


def test_summaries_of_other_functions_as_queries_on_the_documentation(tmp_path: Path) -> None:
    documents = list(islice(python_documents(), 2200))
    np.random.default_rng(0).shuffle(documents)  # type: ignore[arg-type]
    stored, others = documents[:1100], documents[1100:]
    embedder = load_embedder()
    with Index.create(tmp_path / "docs.kukla", embedder=embedder) as index:
        index.add(stored)
        # What a function does, in one line, asks for functions that do alike.
        texts = list(dict.fromkeys((other.text or "").partition("\n")[2][:80].strip() for other in others))
        queries = embedder.encode_queries([text for text in texts if len(text) > 20])
        assert len(queries) > 500
        found = index.calibrate(queries[:350], target="recall@10>=0.9", timed=False)
        assert found.chosen.bound >= 0.9
        assert found.bytes_saved > 3
        result = index.search(queries[350:], 10, target="recall@10>=0.9")
        recall = exact_answers(index, queries[350:], k=10).recall(result.ids).mean()
        assert recall >= 0.89  # the mean is promised; a few hundred queries are a sample of it
        assert index.search("open a file", 10, target="recall@10>=0.9").plan == found.plan


@pytest.mark.shared_data
def test_text_embedding_3_small_with_relationships_as_queries(tmp_path: Path) -> None:
    if "KUKLA_DATA" not in os.environ:
        pytest.skip("KUKLA_DATA names no data folder")
    folder = Path(os.environ["KUKLA_DATA"]) / "vectors" / "oai3small_dickens"
    documents = np.concatenate([np.load(folder / "entities.npy"), np.load(folder / "chunks.npy")])
    queries = np.random.default_rng(0).permutation(np.load(folder / "relationships.npy").astype(np.float32))
    with Index.create(tmp_path / "dickens.kukla", dim=documents.shape[1]) as index:
        index.add(documents.astype(np.float32))
        fresh = exact_answers(index, queries[240:], k=10)
        found = index.calibrate(queries[:240], target="recall@10>=0.95", timed=False)
        assert found.bytes_saved > 5
        for target in (0.9, 0.95):
            result = index.search(queries[240:], 10, target=f"recall@10>={target}")
            assert fresh.recall(result.ids).mean() >= target - 0.01
