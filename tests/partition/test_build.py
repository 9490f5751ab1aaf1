"""Index.partition: what it makes by default, and what it refuses before it has worked for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.partition.samples import clustered, same_everywhere

from kukla import Index
from kukla.errors import InputError, StorageError, VectorError, WriteError
from kukla.partition import build as module
from kukla.partition.build import default_lists

DIM = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1100, DIM))
    return tmp_path / "index"


def test_by_default_there_are_four_times_the_square_root_of_lists(folder: Path) -> None:
    assert [default_lists(n) for n in (0, 1, 100, 1_000_000)] == [1, 1, 12, 4000]
    steps: list[tuple[int, int | None]] = []
    with Index.open(folder) as index:
        index.partition(progress=lambda *step: steps.append(step))
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.lists == default_lists(1100) == 133
        # Groups of one dim each are as many as codes of 64 bytes can use here.
        assert (partition.short_bytes, partition.code_bytes) == (DIM // 2, DIM // 2 + 2)
    assert steps[-1] == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lists": 138}, r"1,100 documents are too few for 138 lists: at least 8 a list are needed"),
        ({"lists": -1}, "lists must be an integer from 0 to"),
        ({"lists": 2.5}, "lists must be an integer"),
        ({"lists": 1 << 21}, "lists must be an integer from 0 to"),
        ({"code_bytes": 6}, "code_bytes must be an integer from 8 to 128"),
        ({"code_bytes": 130}, "code_bytes must be an integer from 8 to 128"),
        ({"code_bytes": 9}, "code_bytes must be even, got 9"),
        ({"seed": -1}, "seed must be an integer"),
        ({"threads": 0}, "threads must be an integer from 1"),
        ({"queries": np.ones((3, 5))}, "5"),
        ({"queries": np.full((3, DIM), np.nan)}, "nan"),
    ],
)
def test_what_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with Index.open(folder) as index:
        with pytest.raises((InputError, VectorError), match=message):
            index.partition(**options)
        assert index._opened.store.current().partition is None


def test_vectors_of_a_few_dims_need_no_lists(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=7) as index:
        index.add(clustered(1100, 7))
        with pytest.raises(InputError, match="lists need vectors of at least 8 dims, these have 7"):
            index.partition(4)


TOO_LONG = r"lists need vectors of a length of at most 1e\+18; that of document '?{}'? is {}"


def test_a_document_too_long_for_lists_is_named(tmp_path: Path) -> None:
    """Wherever it is: the sample that centroids are trained on has few rows. Deleted, it does not matter."""
    rows = clustered(9000, DIM)
    rows[8501] *= np.float32(1e25) / np.linalg.norm(rows[8501])
    with Index.create(tmp_path / "index", dim=DIM, metric="ip") as index:
        index.add(rows)
        with pytest.raises(VectorError, match=TOO_LONG.format(8501, r"1e\+25")):
            index.partition(4)
        index.delete([8501])
        index.partition(4)


def test_what_is_added_to_lists_may_not_be_longer(tmp_path: Path) -> None:
    """Not even to a small segment: merging may put it into a list. At the limit all kernels agree."""
    with Index.create(tmp_path / "index", dim=DIM, metric="ip") as index:
        index.add(clustered(1100, DIM), ids=[f"d{i}" for i in range(1100)])
        index.partition(10, code_bytes=8)
        long = np.eye(3, DIM, dtype=np.float32) * np.float32(0.999e18)
        long[2] *= np.float32(1.002)
        with pytest.raises(VectorError, match=TOO_LONG.format("c", r"1e\+18")):
            index.add(long, ids=["a", "b", "c"])
        assert len(index) == 1100
        index.add(
            np.concatenate([long[:2], clustered(1100, DIM, seed=1)]), ids=[f"e{i}" for i in range(1102)]
        )
        queries = np.concatenate([clustered(2, DIM, seed=2), long[:2]])
        found = same_everywhere(index, queries, 5, "16:pq4/3@400 > 16:float32")
        assert np.isfinite(found.scores).all()
        assert found.ids[2:, 0].tolist() == ["e0", "e1"]
        index.partition(0)
        index.add(long[2:], ids=["c"])  # without lists there is no such limit


@pytest.mark.parametrize("count", [0, 7, 15])
def test_too_few_documents(tmp_path: Path, count: int) -> None:
    """A codebook has sixteen codewords, drawn from the documents."""
    with Index.create(tmp_path / "index", dim=DIM) as index:
        if count:
            index.add(clustered(count, DIM))
        with pytest.raises(InputError, match=f"{count} documents are too few for 1 lists.* and 16 in all"):
            index.partition(1)
        index.add(clustered(16 - count, DIM, seed=1))
        index.partition(1)
        found = index.search(np.ones(DIM), 16, plan="16:pq4@16 > 16:float32")
        np.testing.assert_array_equal(found.ids, index.search(np.ones(DIM), 16, plan="16:float32").ids)


def test_who_may_not_write_is_told_before_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "train_partition", lambda *_, **__: pytest.fail("trained"))
    with Index.open(folder, read_only=True) as index, pytest.raises(WriteError, match="opened read-only"):
        index.partition(10)
    index = Index.open(folder)
    index.close()
    with pytest.raises(StorageError, match="is closed"):
        index.partition(10)


def test_queries_may_be_many_few_or_none(folder: Path) -> None:
    with Index.open(folder) as index:
        prints = []
        for queries in (None, np.empty((0, DIM)), clustered(1, DIM, seed=2), clustered(50, DIM, seed=2)):
            index.partition(20, queries=queries, code_bytes=8)
            partition = index._opened.store.current().partition
            assert partition is not None
            prints.append(partition.fingerprint)
        assert prints[0] == prints[1]
        assert len({*prints}) == 3


def test_the_sample_comes_from_all_segments_and_live_rows_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE_PER_LIST", 10)
    with Index.open(folder) as index:
        far = np.zeros((1100, DIM), dtype=np.float32)
        far[:, 3] = 1
        index.delete(range(550))
        index.add(far, ids=range(5000, 6100))
        rows = module._sample(index._opened.store.current(), 50, np.random.default_rng(0))
        assert 500 <= len(rows) <= 502
        new = (rows == far[0]).all(axis=1).sum()
        assert abs(int(new) - 500 * 1100 / 1650) <= 2
        live = index._opened.store.current().segments[0].vectors[550:]
        assert all((row == live).all(axis=1).any() for row in rows[~(rows == far[0]).all(axis=1)])


def test_huge_inner_products(tmp_path: Path) -> None:
    """Lists are made and searches run, or there is an error in words: nothing in between."""
    with Index.create(tmp_path / "index", dim=DIM, metric="ip") as index:
        index.add(clustered(1100, DIM) * np.float32(1e17))
        index.partition(10)
        found = index.search(clustered(2, DIM, seed=1), 3, plan="16:pq4@1100 > 16:float32")
        np.testing.assert_array_equal(
            found.ids, index.search(clustered(2, DIM, seed=1), 3, plan="16:float32").ids
        )
