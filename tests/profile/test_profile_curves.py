"""The curves: what NumPy says in plain loops, nothing fitted on what it is measured on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.profile.conftest import make_clusters

from kukla import truncate
from kukla.evaluate import recall_at_k
from kukla.precision import pack_signs
from kukla.profile import profile
from kukla.profile.curves import Judge, ladder
from kukla.profile.sample import draw_sample


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_prefix_suffix_and_shortlists_are_what_numpy_says(nested: np.ndarray) -> None:
    unit = truncate(nested, 64)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    exact = np.argsort(-scores, axis=1)[:, :10]
    found = profile(nested, dims=[16])
    (row, _) = found.rows
    cuts: list[tuple[Callable[[np.ndarray], np.ndarray], float, int]] = [
        (lambda rows: truncate(rows, 16), row.prefix.mean, 10),
        (lambda rows: truncate(rows[:, ::-1], 16), row.suffix.mean, 10),
        (lambda rows: truncate(rows, 16), row.shortlisted.mean, found.shortlist),
    ]
    for cut, measured, size in cuts:
        short = cut(nested)
        near = _best(short @ short.T, size)
        expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, near, strict=True)])
        assert measured == pytest.approx(expected, abs=1e-9)


def test_recall_agrees_with_the_evaluation_module(nested: np.ndarray) -> None:
    unit = truncate(nested, 64)
    queries, documents = unit[:40], unit[40:]
    drawn = draw_sample(documents, queries, size=1000, seed=0)
    judge = Judge(drawn, k=7)
    alone = ladder(judge, drawn.queries, drawn.documents, [8, 64]).at_k
    exact = drawn.queries @ drawn.documents.T
    order = np.argsort(-exact, axis=1)[:, :20]
    short = truncate(drawn.queries, 8) @ truncate(drawn.documents, 8).T
    near = np.argsort(-short, axis=1)[:, :7]
    expected = recall_at_k(near, order, np.take_along_axis(exact, order, axis=1), k=7)
    np.testing.assert_allclose(alone[0], expected)
    np.testing.assert_array_equal(alone[1], 1)


def test_signs_are_the_hamming_distance_of_the_packed_codes(nested: np.ndarray) -> None:
    drawn = draw_sample(nested[40:], nested[:40], size=1000, seed=0)
    signs = [np.where(rows > 0, 1, -1).astype(np.float32) for rows in (drawn.queries, drawn.documents)]
    dots = signs[0][:, :24] @ signs[1][:, :24].T
    codes = [pack_signs(rows[:, :24]) for rows in (drawn.queries, drawn.documents)]
    hamming = np.bitwise_count(codes[0][:, None] ^ codes[1][None]).sum(axis=2)
    np.testing.assert_array_equal(24 - 2 * hamming.astype(int), dots)


def test_random_coordinates_do_not_depend_on_the_order_of_coordinates(nested: np.ndarray) -> None:
    straight, reverse = profile(nested, dims=[16]), profile(nested[:, ::-1], dims=[16])
    a, b = straight.rows[0], reverse.rows[0]
    error = np.hypot(a.random_spread, b.random_spread) / np.sqrt(20)  # of the difference of two means of 20
    assert abs(a.random.mean - b.random.mean) < 4 * error
    assert a.prefix.mean == b.suffix.mean


def test_pca_is_measured_on_queries_and_documents_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((100, 256))
    row = profile(rows, dims=[128]).rows[0]
    # Fitted on all 100 rows, 100 directions would hold every one of them and find everything. There is
    # nothing to be learnt from noise, so held out it must not beat as many random coordinates.
    assert row.pca.mean < row.random.mean


def test_pca_finds_the_directions_of_a_low_rank(rotated: np.ndarray) -> None:
    rng = np.random.default_rng(6)
    low_rank = make_clusters(300, 8, seed=9, decay=0.2) @ rng.standard_normal((8, 64))
    found = profile(low_rank, dims=[8, 16])
    assert found.rows[0].pca.mean > 0.999
    assert found.rows[0].prefix.mean < 0.9
    assert found.pca_knee == 8
    held_out = profile(np.concatenate([rotated] * 6) + 0.05 * rng.standard_normal((1800, 64)), dims=[16])
    assert held_out.fitted_on == 650  # of 1,800: 500 queries, and half of what is left
    assert held_out.rows[0].pca.low > held_out.rows[0].prefix.high


def test_copies_and_ties_take_nothing_away(nested: np.ndarray) -> None:
    doubled = np.concatenate([nested, nested])
    once, twice = profile(nested, dims=[16]), profile(doubled, dims=[16])
    assert twice.notes[0] == "300 exact copies of other vectors left out"
    assert twice.rows[0].prefix.mean == pytest.approx(once.rows[0].prefix.mean)


def test_zeros_in_every_prefix_are_no_error() -> None:
    rows = make_clusters(60, 32, seed=2, decay=0.1)
    rows[:, :8] = 0
    found = profile(rows, dims=[8])
    assert found.rows[0].prefix.mean < 0.5
    assert found.rows[1].prefix.mean == 1
