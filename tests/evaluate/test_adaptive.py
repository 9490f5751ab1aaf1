"""Adaptive classification: the smallest prefix that is sure decides, and never reads more than all dims."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kukla.errors import InputError, VectorError
from kukla.evaluate import AdaptiveClassifier, LinearScores, learn_thresholds

DIMS = (2, 4, 8)
CLASSES = 3


def made(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray, LinearScores]:
    """Rows around the centre of their class; classifiers that see more with more dims."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, DIMS[-1]))
    labels = rng.integers(0, CLASSES, count)
    rows = centres[labels] + rng.normal(scale=0.9, size=(count, DIMS[-1]))
    heads = {dim: (centres[:, :dim], -0.5 * (centres[:, :dim] ** 2).sum(axis=1)) for dim in DIMS}
    return rows, labels, LinearScores(heads)


def by_one_dim(rows: np.ndarray, scores: LinearScores, dim: int) -> np.ndarray:
    return scores(rows[:, :dim]).argmax(axis=1)


def slowly(classifier: AdaptiveClassifier, row: np.ndarray, scores: LinearScores) -> tuple[int, int]:
    """Class and dim of one row, as the paper says it."""
    for dim, threshold in zip(classifier.dims, (*classifier.thresholds, -1.0), strict=True):
        logits = scores(row[None, :dim])[0]
        probabilities = np.exp(logits) / np.exp(logits).sum()
        if probabilities.max() > threshold:
            break
    return int(logits.argmax()), dim


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_every_row_stops_where_it_is_first_sure(seed: int, thresholds: list[float]) -> None:
    rows, _, scores = made(seed, 20)
    classifier = AdaptiveClassifier(DIMS, thresholds)
    found = classifier.classify(rows, scores)
    assert list(zip(found.classes, found.dims, strict=True)) == [
        slowly(classifier, row, scores) for row in rows
    ]
    assert found.mean_dims <= DIMS[-1]


def test_thresholds_of_one_read_everything_and_thresholds_of_zero_the_shortest_prefix() -> None:
    rows, _, scores = made(0)
    for threshold, dim in ((1.0, DIMS[-1]), (0.0, DIMS[0])):
        found = AdaptiveClassifier(DIMS, [threshold] * 2).classify(rows, scores)
        assert set(found.dims) == {dim}
        np.testing.assert_array_equal(found.classes, by_one_dim(rows, scores, dim))


def test_a_confidence_that_rounds_to_one_is_not_above_one() -> None:
    heads = LinearScores({1: (np.array([[1e6], [-1e6]]), np.zeros(2)), 2: (np.eye(2), np.zeros(2))})
    assert AdaptiveClassifier((1, 2), [1.0]).classify(np.array([[1.0, 2.0]]), heads).dims == [2]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.05, 1.0]), st.booleans())
def test_what_is_learned_keeps_the_accuracy_of_all_dims_on_the_rows_it_was_learned_from(
    seed: int, loss: float, per_dim: bool
) -> None:
    rows, labels, scores = made(seed)
    full = (by_one_dim(rows, scores, DIMS[-1]) == labels).mean()
    learned = learn_thresholds(rows, labels, scores, DIMS, loss=loss, per_dim=per_dim)
    found = learned.classify(rows, scores)
    assert found.accuracy(labels) >= full - loss - 1e-12
    assert found.mean_dims <= DIMS[-1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize("per_dim", [False, True])
def test_neither_a_threshold_nor_a_higher_one_loses_more_and_the_next_lower_one_does(
    seed: int, loss: float, per_dim: bool
) -> None:
    rows, labels, scores = made(seed)
    least = (by_one_dim(rows, scores, DIMS[-1]) == labels).sum() - loss * len(rows) - 1e-9
    learned = learn_thresholds(rows, labels, scores, DIMS, loss=loss, per_dim=per_dim).thresholds
    if not per_dim:
        assert len(set(learned)) == 1
    for place in range(len(learned)) if per_dim else [0]:

        def right(threshold: float, place: int = place) -> int:
            given = (threshold, *learned[place + 1 :]) if per_dim else (threshold, threshold)
            found = AdaptiveClassifier(DIMS[place:], given).classify(rows, scores)
            return int((found.classes == labels).sum())

        dims = DIMS[place : place + 1] if per_dim else DIMS[:-1]
        logits = [scores(rows[:, :dim]) for dim in dims]
        sure = [1 / np.exp(each - each.max(axis=1, keepdims=True)).sum(axis=1) for each in logits]
        candidates = np.unique(np.concatenate(sure))
        threshold = learned[place]
        assert right(threshold) >= least
        assert all(right(higher) >= least for higher in candidates[candidates > threshold])
        lower = candidates[candidates < threshold - 1e-12]
        assert threshold == 0.0 or right(lower[-1] if len(lower) else 0.0) < least


def test_one_dim_needs_no_threshold() -> None:
    rows, labels, scores = made(0)
    assert learn_thresholds(rows, labels, scores, DIMS[-1:]) == AdaptiveClassifier(DIMS[-1:], ())


def test_it_reads_less_than_all_dims_where_short_prefixes_are_often_right() -> None:
    rows, labels, scores = made(3, 600)
    learned = learn_thresholds(rows[:300], labels[:300], scores, DIMS, loss=0.01)
    found = learned.classify(rows[300:], scores)
    assert found.mean_dims < 0.8 * DIMS[-1]
    full = (by_one_dim(rows[300:], scores, DIMS[-1]) == labels[300:]).mean()
    assert found.accuracy(labels[300:]) > full - 0.04
    assert found.accuracy(labels[300:]) > (by_one_dim(rows[300:], scores, 2) == labels[300:]).mean()


def test_rows_of_the_same_confidence_stop_together() -> None:
    # Four copies of one row, two of them labelled as the short prefix says: all stop, or none.
    rows = np.tile([[1.0, -3.0]], (4, 1))
    heads = LinearScores({1: (np.array([[1.0], [-1.0]]), np.zeros(2)), 2: (np.eye(2), np.zeros(2))})
    for labels in ([0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]):
        learned = learn_thresholds(rows, np.array(labels), heads, (1, 2))
        assert len(set(learned.classify(rows, heads).dims)) == 1


def test_only_rows_that_go_on_are_looked_at_again() -> None:
    rows, _, scores = made(1)
    seen: dict[int, int] = {}

    def counted(prefixes: np.ndarray) -> np.ndarray:
        seen[prefixes.shape[1]] = len(prefixes)
        return scores(prefixes)

    found = AdaptiveClassifier(DIMS, [0.7, 0.7]).classify(rows, counted)
    assert seen == {dim: int((found.dims >= dim).sum()) for dim in DIMS}
    assert len(rows) > seen[4] > seen[8] > 0


def test_no_rows_have_no_classes() -> None:
    found = AdaptiveClassifier(DIMS, [0.5, 0.5]).classify(np.empty((0, 8)), made(0)[2])
    assert (len(found.classes), found.mean_dims) == (0, 0.0)


@pytest.mark.parametrize(
    ("dims", "thresholds", "words"),
    [
        ((2, 4, 8), [0.5], "3 dims need 2 thresholds"),
        ((4, 2), [0.5], "must ascend"),
        ((2, 4), [1.5], "probabilities in 0..1"),
        ((2, 4), [float("nan")], "probabilities in 0..1"),
    ],
)
def test_a_cascade_that_cannot_be(dims: tuple[int, ...], thresholds: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        AdaptiveClassifier(dims, thresholds)


def test_rows_labels_and_logits_that_cannot_be() -> None:
    rows, labels, scores = made(0)
    with pytest.raises(VectorError, match=r"at least 8 dims\), got shape \(120, 4\)"):
        learn_thresholds(rows[:, :4], labels, scores, DIMS)
    with pytest.raises(InputError, match="labels must be 120 integers"):
        learn_thresholds(rows, labels[:7], scores, DIMS)
    with pytest.raises(InputError, match="labels must be 120 integers"):
        learn_thresholds(rows, labels.astype(float), scores, DIMS)
    with pytest.raises(InputError, match="got none"):
        learn_thresholds(rows[:0], labels[:0], scores, DIMS)
    with pytest.raises(InputError, match=r"lost must be in 0..1, got 2"):
        learn_thresholds(rows, labels, scores, DIMS, loss=2)
    with pytest.raises(InputError, match="no head for 3 dims; there are 2, 4, 8"):
        AdaptiveClassifier((3, 8), [0.5]).classify(rows, scores)
    with pytest.raises(VectorError, match=r"finite logits \(120, classes\) at 2 dims.*not finite"):
        AdaptiveClassifier((2, 4), [0.5]).classify(rows, lambda prefixes: prefixes * np.nan)
