"""The verdicts on real model output, and on random vectors that claim to be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kukla.profile import Nested, profile
from kukla.readers import read_vectors

pytestmark = pytest.mark.shared_data

VERDICTS = {
    "oai3small_dickens/chunks": Nested.WEAKLY,
    "oai3small_dickens/entities": Nested.WEAKLY,
    "oai3small_dickens/relationships": Nested.WEAKLY,
    "oai3small_hotels50/vectors": Nested.WEAKLY,
    "restaurants50_3large1024_nomic/oai3large_1024": Nested.WEAKLY,
    "restaurants50_3large1024_nomic/nomic_768": Nested.NESTED,
    "nomic_books_vi/chunks": Nested.NESTED,
    "nomic_books_vi/entities": Nested.NESTED,
    "nomic_books_vi/relationships": Nested.NESTED,
    "products_ada002_3small256/ada002_1536": Nested.NOT,
    "bge_base_hscodes76/baai-bge-base-en-v1-5": Nested.NOT,
    "FAKE_hscodes_random/embed-english-v3-0": Nested.NOT_EMBEDDINGS,
    "FAKE_hscodes_random/sentence-transformers-all-MiniLM-L6-v2": Nested.NOT_EMBEDDINGS,
    "FAKE_hscodes_random/text-embedding-3-large": Nested.NOT_EMBEDDINGS,
    "FAKE_hscodes_random/text-embedding-3-small": Nested.NOT_EMBEDDINGS,
}


@pytest.fixture
def folder() -> Path:
    """The folder of real vectors."""
    data = os.environ.get("KUKLA_DATA")
    if not data:
        pytest.skip("KUKLA_DATA names no data folder")
    return Path(data) / "vectors"


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_on_real_vectors(folder: Path, name: str) -> None:
    assert profile(read_vectors(folder / f"{name}.npy")).verdict.word is VERDICTS[name]


def test_enough_vectors_decide(folder: Path) -> None:
    for name in ("oai3small_dickens/entities", "nomic_books_vi/entities", "nomic_books_vi/relationships"):
        assert not profile(read_vectors(folder / f"{name}.npy")).verdict.leaning


def test_real_queries_agree(folder: Path) -> None:
    for name, word in (("oai3small_dickens", Nested.WEAKLY), ("nomic_books_vi", Nested.NESTED)):
        entities = read_vectors(folder / name / "entities.npy")
        relations = read_vectors(folder / name / "relationships.npy")
        assert profile(entities, relations).verdict.word is word


def test_the_spike_of_ada_002_is_found(folder: Path) -> None:
    found = profile(read_vectors(folder / "products_ada002_3small256" / "ada002_1536.npy"))
    assert found.structure.spikes[0].coordinate == 194
    assert found.structure.spikes[0].raw > 0.4
    assert found.structure.spikes[0].centred < 0.01


def test_a_rotation_of_nested_vectors_is_not_nested(folder: Path) -> None:
    rows = np.load(folder / "nomic_books_vi" / "entities.npy")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((768, 768)))[0]
    assert profile(rows @ turn).verdict.word is Nested.NOT
