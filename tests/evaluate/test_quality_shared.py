"""Known figures of real collections: the built-in model's card, and vectors of text-embedding-3-small."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, load_embedder
from kukla.embed import DEFAULT_MODEL
from kukla.evaluate import evaluate_quality
from kukla.readers import read_documents
from kukla.readers.beir import open_beir
from kukla.readers.qrels import read_qrels

CARD = Path(__file__).parents[2] / "src" / "kukla" / "embed" / "models" / DEFAULT_MODEL / "README.md"
ROWS = dict(
    re.findall(r"^\| (\w+) \|((?: [.\d]+ \|){5})", CARD.read_text(encoding="utf-8"), flags=re.MULTILINE)
)


def data() -> Path:
    if "KUKLA_DATA" not in os.environ:
        pytest.skip("KUKLA_DATA names no data folder")
    return Path(os.environ["KUKLA_DATA"])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name", ["adi", "cacm", "cisi", "codebase248", "cranfield", "xquad_en",
             pytest.param("medquad", marks=pytest.mark.slow), pytest.param("npl", marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_built_in_model_has_the_ndcg_of_its_card(name: str, tmp_path: Path) -> None:
    folder = open_beir(data() / "ir" / name)
    queries = [json.loads(line) for line in folder.queries.read_text(encoding="utf-8").splitlines()]
    with Index.create(tmp_path / "i.kukla", embedder=load_embedder()) as index:
        index.add(read_documents([folder.corpus]))
        found = evaluate_quality(
            index,
            [query["text"] for query in queries],
            read_qrels(folder.qrels),
            query_ids=[query["_id"] for query in queries],
            measures=["nDCG@10"],
            precisions=["float32"],
        )
    card = [float(cell) for cell in ROWS[name].split("|")[:-1]]  # 512 dims first
    ours = [row.quality("nDCG@10").mean.mean for row in reversed(found.curve("float32"))]
    assert ours == pytest.approx(card, abs=0.0006)


@pytest.mark.shared_data
def test_text_embedding_3_small_has_the_ndcg_that_was_measured_elsewhere(tmp_path: Path) -> None:
    """The figures of the collection's README, which another program measured."""
    folder = data() / "vectors" / "oai3small_dickens"
    known = {1536: 0.8564, 768: 0.8504, 512: 0.8443, 256: 0.8453, 128: 0.8144, 64: 0.7622, 32: 0.6808}
    names = {
        part: [json.loads(line)["_id"] for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        for part in ("entities", "relationships")
    }
    with Index.create(tmp_path / "i.kukla", dim=1536, nesting=sorted(known)) as index:
        index.add(np.load(folder / "entities.npy"), ids=names["entities"])
        found = evaluate_quality(
            index,
            np.load(folder / "relationships.npy"),
            read_qrels(folder / "qrels_relationship_to_entity.tsv"),
            query_ids=names["relationships"],
            measures=["nDCG@10"],
        )
    ours = {row.dim: row.quality("nDCG@10").mean.mean for row in found.curve("float32")}
    assert ours == pytest.approx(known, abs=0.0002)
    assert found.full.quality("nDCG@10").relative is not None
