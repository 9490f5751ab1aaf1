"""What the comparisons share: nobody ranks queries that it was fitted on; values are an index's."""

from __future__ import annotations

import numpy as np
import pytest

candidates = pytest.importorskip("benchmarks.systems.candidates")  # torch is an extra

from benchmarks.systems.measure import judge_rankings  # noqa: E402
from benchmarks.systems.tasks import Task  # noqa: E402

from kukla.projection import Identity, Linear, Projection  # noqa: E402


def rows(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def task() -> Task:
    documents, queries = rows(50, 0), rows(21, 1)
    judged = [{int(np.argmax(documents @ query)): 2, 49: 1} for query in queries]
    return Task("m", "t", documents, queries, judged)


def test_a_query_is_ranked_by_the_projection_that_has_not_seen_it() -> None:
    found = task()
    fits: list[tuple[set[int], Projection]] = []

    def fit(known: np.ndarray) -> Projection:
        one = Linear(np.eye(16, dtype=np.float32)[::-1]) if fits else Identity(16)
        fits.append((set(known.tolist()), one))
        return one

    whole, short = candidates.rank_fitted(found, fit, (8, 16))
    assert (whole.dim, short.dim, short.bytes_per_vector) == (16, 8, 32)
    (seen, first), (others, second) = fits
    assert seen | others == set(range(21))
    assert not seen & others
    for rows_of, projection in ((others, first), (seen, second)):
        asked = sorted(rows_of)
        (expected,) = candidates.rank_prefixes(projection, found.documents, found.queries[asked], [8])
        np.testing.assert_array_equal(short.found[asked], expected)
    assert not np.array_equal(first.transform(found.queries), second.transform(found.queries))


def test_prefixes_are_ranked_by_their_cosine() -> None:
    found = task()
    (best,) = candidates.rank_prefixes(Identity(16), found.documents, found.queries, [8])
    prefixes = found.documents[:, :8] / np.linalg.norm(found.documents[:, :8], axis=1, keepdims=True)
    expected = np.argsort(-(found.queries[:, :8] @ prefixes.T), axis=1)[:, : candidates.K]
    np.testing.assert_array_equal(best, expected)


def test_whole_vectors_that_a_projection_stretches_are_of_length_one_again() -> None:
    """An index stores them so: a long document is not a better answer."""
    found = task()
    stretch = Linear(np.diag(np.linspace(1, 9, 16)).astype(np.float32), renormalises_prefixes=False)
    (best,) = candidates.rank_prefixes(stretch, found.documents, found.queries, [16])
    moved = stretch.transform(found.documents)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    expected = np.argsort(-(stretch.transform(found.queries) @ moved.T), axis=1)[:, : candidates.K]
    np.testing.assert_array_equal(best, expected)


def test_pairs_are_rows_of_the_queries_known() -> None:
    found = task()
    pairs = candidates.judged_pairs(found, np.array([4, 20]))
    nearest = [int(np.argmax(found.documents @ found.queries[i])) for i in (4, 20)]
    assert pairs.tolist() == [[0, nearest[0]], [0, 49], [1, nearest[1]], [1, 49]]


def test_a_ranking_is_worth_the_grades_it_finds_first() -> None:
    judged = [{3: 2, 5: 1}, {7: 1}]
    good, bad = np.array([[3, 5, 0], [7, 0, 1]]), np.array([[0, 5, 3], [0, 1, 2]])
    values = judge_rankings(judged, [good, bad])
    np.testing.assert_allclose(values[0], 1)
    assert values[1, 1] == 0
    discounted = (1 / np.log2(3) + 2 / np.log2(4)) / (2 + 1 / np.log2(3))
    assert values[1, 0] == pytest.approx(discounted)
