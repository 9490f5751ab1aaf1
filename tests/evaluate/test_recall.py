"""recall@k: ties, few documents, and what does not fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kukla import Index
from kukla.errors import InputError
from kukla.evaluate import exact_answers, recall_at_k


def test_recall_is_the_share_of_the_exact_best() -> None:
    exact = np.array([[1, 2, 3, 4]])
    scores = np.array([[0.9, 0.8, 0.7, 0.6]], dtype=np.float32)
    for found, expected in (
        ([1, 2, 3], 1.0),
        ([3, 1, 9], 2 / 3),
        ([4, 8, 9], 0.0),
        ([1], 1 / 3),
        ([9, 8, 7, 1], 0.0),
    ):
        assert recall_at_k(np.array([found]), exact, scores, k=3) == pytest.approx([expected])


def test_documents_tied_with_the_kth_count() -> None:
    exact = np.array([[1, 2, 3, 4]])
    scores = np.array([[0.9, 0.7, 0.7 - 5e-7, 0.6]], dtype=np.float32)
    assert recall_at_k(np.array([[1, 3]]), exact, scores, k=2) == [1.0]
    assert recall_at_k(np.array([[2, 3]]), exact, scores, k=2) == [1.0]  # each as good as the second
    assert recall_at_k(np.array([[1, 4]]), exact, scores, k=2) == [0.5]


def test_fewer_documents_than_k() -> None:
    exact, scores = np.array([["a", "b"]], dtype=object), np.ones((1, 2), dtype=np.float32)
    assert recall_at_k(exact, exact, scores, k=10) == [1.0]
    none = np.empty((2, 0), dtype=np.int64)
    assert list(recall_at_k(none, none, np.empty((2, 0)), k=10)) == [1.0, 1.0]


def test_arguments_that_do_not_fit_together() -> None:
    ids, scores = np.array([[1, 2, 3]]), np.ones((1, 3))
    with pytest.raises(InputError, match="k must be an integer, at least 1"):
        recall_at_k(ids, ids, scores, k=0)
    with pytest.raises(InputError, match="same queries"):
        recall_at_k(np.array([[1], [2]]), ids, scores, k=1)
    with pytest.raises(InputError, match="only 1 exact results"):
        recall_at_k(ids, ids[:, :1], scores[:, :1], k=3)


def test_exact_answers_reach_below_all_ties(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    copies = np.tile(rng.standard_normal(32), (100, 1))
    others = rng.standard_normal((300, 32))
    with Index.create(tmp_path / "i", dim=32) as index:
        index.add(np.concatenate([others, copies]))
        truth = exact_answers(index, copies[0], k=10)
        assert set(range(300, 400)) <= set(truth.ids[0].tolist())
        assert truth.ids.shape[1] < 400
        assert truth.recall(np.arange(390, 400)[None]) == [1.0]
        assert truth.recall(np.arange(295, 305)[None]) == [0.5]


def test_exact_answers_when_everything_is_tied_or_nothing_there(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i", dim=8, precisions=["float16"]) as index:
        assert exact_answers(index, np.ones(8), k=3).ids.shape == (1, 0)
        index.add(np.ones((40, 8)))
        assert exact_answers(index, np.ones(8), k=3).ids.shape == (1, 40)
