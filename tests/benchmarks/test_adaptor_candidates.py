"""The comparison of adaptors: labels of other collections keep their documents, values are an index's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
candidates = pytest.importorskip("benchmarks.adaptors.candidates")
measure = pytest.importorskip("benchmarks.adaptors.measure")


def rows(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def test_labels_of_collections_are_put_together() -> None:
    first, second = rows(700, 0), rows(20, 1)
    judged = ([{3: 1, 650: 2}, {5: 1}], [{19: 1}])
    asked = (rows(2, 2), rows(1, 3))
    joined = candidates.labelled([(first, asked[0], judged[0]), (second, asked[1], judged[1])])
    assert len(joined.documents) == 3 + 500 + 20  # relevant ones and 500 others; all of the small one
    found = {(joined.queries[q].tobytes(), joined.documents[d].tobytes()) for q, d in joined.pairs}
    assert found == {
        (asked[0][0].tobytes(), first[3].tobytes()),
        (asked[0][0].tobytes(), first[650].tobytes()),
        (asked[0][1].tobytes(), first[5].tobytes()),
        (asked[1][0].tobytes(), second[19].tobytes()),
    }
    assert candidates.labelled([]) is None


@pytest.mark.slow
def test_candidates_come_in_order_and_what_cannot_be_fitted_is_missing() -> None:
    documents = rows(200, 0)
    found = candidates.candidates(documents, None, (8, 16), steps=20)
    assert list(found) == [name for name in candidates.SYSTEMS if "aware" not in name and "elsew" not in name]
    few = candidates.candidates(documents[:60], rows(30, 1), (8, 16))
    assert list(few) == ["prefix", "PCA, by cosine", "PCA, by dot product", "query-aware"]


def test_values_are_those_of_the_projection_as_an_index_ranks() -> None:
    documents, queries = rows(200, 0), rows(40, 1)
    judged = [{int(np.argmax(documents @ query)): 1} for query in queries]
    task: Any = SimpleNamespace(model="m", name="t", documents=documents, queries=queries, judged=judged)
    found = measure.compare(task, (8, 16), systems=("prefix", "PCA, by cosine", "query-aware"))
    assert found.dims == (32, 16, 8)
    for name in ("prefix", "PCA, by cosine", "query-aware"):
        assert found.ndcg[name].shape == found.recall[name].shape == (3, 40)
        np.testing.assert_allclose(found.ndcg[name][0], 1)  # whole vectors: the judged one is the nearest
        np.testing.assert_allclose(found.recall[name][0], 1)
        assert found.recall[name][2].mean() < 0.9
