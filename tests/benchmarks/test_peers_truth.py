"""Exact answers, and recall that is fair to ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import workloads
from benchmarks.peers.workloads import Truth, Workload, exact_truth


def test_the_truth_is_what_float64_says(small_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "BLOCK_ROWS", 300)  # several blocks, the last one short
    workload = Workload.open(small_set)
    base, queries = workload.base(), workload.queries()

    truth = exact_truth(base, queries)

    scores = queries.astype(np.float64) @ base.astype(np.float64).T
    best = np.sort(scores, axis=1)[:, ::-1][:, : truth.scores.shape[1]]
    np.testing.assert_allclose(truth.scores, best, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(scores, truth.ids, axis=1), best, atol=1e-12)


def test_copies_of_the_tenth_count_as_found_however_many_there_are(small_set: Path) -> None:
    base = np.load(small_set / "base.npy")
    query = base[:1]
    tenth = np.argsort(-(query @ base.T)[0])[9]
    copies = np.concatenate([base, np.repeat(base[tenth][None], 200, axis=0)])

    truth = exact_truth(copies, query)

    assert truth.ids.shape[1] > 200, "deep enough to hold every copy"
    nine = truth.ids[0, :9]
    for last in (len(base) + 7, len(copies) - 1):
        assert truth.recall(np.array([[*nine, last]])) == [1.0]
    unlike = int(np.argmin(query @ copies.T))
    assert truth.recall(np.array([[*nine, unlike]])) == [0.9]


def test_the_truth_is_computed_once_for_each_size(small_set: Path) -> None:
    said: list[str] = []
    first = Workload.open(small_set, 500).truth(said.append)
    again = Workload.open(small_set, 500).truth(said.append)
    more = Workload.open(small_set, 1500).truth(said.append)

    assert [line.split(":")[0] for line in said] == ["pydoc/500x512", "pydoc/1500x512"]
    np.testing.assert_array_equal(first.ids, again.ids)
    assert first.ids.max() < 500 < more.ids.max()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queries": None}, "no queries.npy"),
        ({"base": np.ones((20, 4), np.float64) / 2}, "float64"),
        ({"base": np.ones((20, 4), np.float32)}, "normalise them first"),
        ({"queries": np.eye(3, dtype=np.float32)}, "vectors of 4 dims, queries of 3"),
    ],
)
def test_a_folder_that_is_no_workload_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    arrays = {"base": np.ones((20, 4), np.float32) / 2, "queries": np.eye(4, dtype=np.float32)} | change
    for name, array in arrays.items():
        if array is not None:
            np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(SystemExit, match=words):
        Workload.open(tmp_path)


def test_truth_of_some_queries_in_another_order() -> None:
    truth = Truth(np.array([[1], [2], [3]]), np.array([[0.5], [0.6], [0.7]], dtype=np.float32))

    some = truth.of(np.array([2, 0]))

    assert some.ids.tolist() == [[3], [1]]
    assert some.scores[:, 0].tolist() == pytest.approx([0.7, 0.5])
