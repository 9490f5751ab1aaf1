"""The lower bound holds as often as it says, whatever the distribution; and it is of use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla.calibrate.bound import learn_bet, lower_bound, queries_needed
from kukla.errors import InputError

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "two points near 1": (lambda rng, n: (rng.random(n) < 0.99).astype(float), 0.99),
    "rarely nothing": (lambda rng, n: (rng.random(n) < 0.999).astype(float), 0.999),
    "recall of ten": (lambda rng, n: rng.binomial(10, 0.98, n) / 10, 0.98),
    "fair coin": (lambda rng, n: rng.integers(0, 2, n).astype(float), 0.5),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "skewed": (lambda rng, n: rng.beta(9, 0.5, n), 9 / 9.5),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [40, 300])
def test_the_bound_is_above_the_mean_at_most_as_often_as_it_says(name: str, n: int) -> None:
    draw, mean = DISTRIBUTIONS[name]
    rng = np.random.default_rng(1)
    runs = 300
    wrong = 0
    for _ in range(runs):
        bet = learn_bet(draw(rng, 60), n, 0.9)
        wrong += lower_bound(draw(rng, n), 0.9, bet=bet) > mean
    assert wrong / runs <= 0.1 + 3 * np.sqrt(0.09 / runs)


@pytest.mark.parametrize("bet", [0.1, 0.5, 1.0])
def test_every_fixed_bet_is_valid(bet: float) -> None:
    rng = np.random.default_rng(2)
    wrong = [lower_bound(rng.random(200) < 0.97, 0.9, bet=bet) > 0.97 for _ in range(500)]
    assert np.mean(wrong) <= 0.1 + 3 * np.sqrt(0.09 / 500)


def test_it_is_below_the_mean_and_closes_in_on_it() -> None:
    rng = np.random.default_rng(3)
    gaps = []
    for n in (100, 1000, 10_000):
        values = rng.binomial(10, 0.98, n) / 10
        bound = lower_bound(values, 0.95, bet=learn_bet(rng.binomial(10, 0.98, 500) / 10, n, 0.95))
        gaps.append(values.mean() - bound)
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[2] < 0.002


def test_small_losses_need_fewer_queries_than_hoeffding_bentkus() -> None:
    # 5 % of the queries lose 1 of 10: to prove 0.99, Hoeffding's inequality (relative entropy) wants
    # n KL(0.005 || 0.01) >= log 20, more than 1,500 queries.
    values = np.where(np.arange(700) % 20 == 0, 0.9, 1.0)
    assert lower_bound(values, 0.95, bet=learn_bet(values, 700, 0.95)) >= 0.99


def test_one_query_that_found_nothing_does_not_ruin_the_bound() -> None:
    values = np.ones(300)
    values[0] = 0
    assert lower_bound(values, 0.95, bet=1.0) > 0.95


@pytest.mark.parametrize(
    ("threshold", "confidence", "least"), [(0.99, 0.95, 299), (0.95, 0.95, 59), (0.9, 0.9, 22)]
)
def test_queries_needed(threshold: float, confidence: float, least: int) -> None:
    needed = queries_needed(threshold, confidence)
    assert least <= needed <= 1.05 * least + 1  # the least that any method can do with
    assert lower_bound(np.ones(needed), confidence, bet=1.0) >= threshold
    assert lower_bound(np.ones(needed - 1), confidence, bet=1.0) < threshold


def test_extremes() -> None:
    assert lower_bound(np.zeros(50), 0.95) == 0
    assert 0.9 < lower_bound(np.ones(50), 0.95, bet=1.0) < 1
    assert learn_bet(np.ones(30), 100, 0.95) == 1


@pytest.mark.parametrize("values", [[], [0.5, 1.5], [-0.1], [[0.5]], [float("nan")]])
def test_bad_values(values: object) -> None:
    with pytest.raises(InputError, match="in \\[0, 1\\]"):
        lower_bound(values, 0.95)  # type: ignore[arg-type]


@pytest.mark.parametrize("confidence", [0.2, 1, 95, True, "0.95"])
def test_bad_confidence(confidence: object) -> None:
    with pytest.raises(InputError, match="confidence"):
        lower_bound([1.0], confidence)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="confidence"):
        queries_needed(0.9, confidence)  # type: ignore[arg-type]


def test_no_threshold_of_one() -> None:
    with pytest.raises(InputError, match="below 1"):
        queries_needed(1.0, 0.95)
