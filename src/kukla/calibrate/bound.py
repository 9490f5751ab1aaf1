"""A lower confidence bound of a mean, without assumptions about the distribution.

The values are in [0, 1], independent draws of one distribution with mean mu: recalls of queries, for
instance. For a candidate mean m, somebody who bets the share c of what may be bet on "more than m" has

    K(m) = prod_i (1 + c (x_i / m - 1)),     0 <= c <= 1

after seeing the values: the capital process of Waudby-Smith and Ramdas, *Estimating means of bounded random
variables by betting* (arXiv 2010.09686, section 4: lambda = c / m, at most 1 / m). Were mu <= m, the capital
would have an expectation of at most 1, so by Markov's inequality it reaches 1 / (1 - confidence) with
probability at most 1 - confidence. The bound is the largest m at which it does. That holds for each number of
values, with no asymptotics, and for every c that is chosen without looking at the values; averages of such
capitals (several bets at once) have the same property. Bounds that know nothing of the variance, as
Hoeffding's and Bentkus's, take a query that lost 1 of 10 for a tenth of a query that lost all; this one sees
that small losses vary less, and needs several times fewer queries there.

A plan that is judged against full vectors has two values a query: p_i of the plan and f_i of full vectors.
The capital ``prod_i (1 + c (p_i / m - f_i))`` is the same bet on "mean(p) is more than m mean(f)", so its
bound is one of the share mean(p) / mean(f); with f = 1 it is the bound of a mean.

Here c is learned on other queries (:func:`learn_bet`), and a tenth of the capital bets half as much: one
query that lost everything ruins who bets everything.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.errors import InputError

__all__ = ["check_confidence", "learn_bet", "lower_bound", "queries_needed"]

_INSURANCE = 0.1
"""The share of the capital that bets half as much."""

_STEPS = 40
"""Bisections: the bound is exact to 1e-12, and rounded down."""

BETS = np.concatenate([[0.02, 0.05], np.linspace(0.1, 1, 10)])
"""What :func:`learn_bet` chooses from."""


def check_confidence(confidence: float) -> float:
    """``confidence`` as a float from 0.5 up to, not including, 1; ``InputError`` otherwise."""
    if isinstance(confidence, bool | str) or not 0.5 <= confidence < 1:
        raise InputError(f"confidence must be a number from 0.5 and below 1, got {confidence!r}")
    return float(confidence)


def lower_bound(
    values: ArrayLike, confidence: float, *, bet: float = 0.5, full: ArrayLike | None = None
) -> float:
    """What the mean of the distribution is at least, with this confidence.

    Parameters
    ----------
    values : array of float, shape (n,)
        Independent draws, in [0, 1]. The order does not matter.
    confidence : float
        The bound is above the true mean with probability at most ``1 - confidence``.
    bet : float
        From 0 to 1, chosen without looking at ``values``: see :func:`learn_bet`.
    full : array of float, shape (n,), in [0, 1], optional
        Bound the share ``mean(values) / mean(full)``, not the mean.

    Returns
    -------
    float
        From 0 to the mean of the values (or the share), at most 1.

    Raises
    ------
    InputError
    """
    pairs, counts = _distinct(values, full)
    return float(_solve(pairs, counts, check_confidence(confidence), np.array([bet]))[0])


def learn_bet(values: ArrayLike, n: int, confidence: float, *, full: ArrayLike | None = None) -> float:
    """The bet that would have given the highest bound, were these ``n`` values.

    Parameters
    ----------
    values : array of float, shape (m,), in [0, 1]
        Of other queries than those that the bet is used on.
    n : int
        How many those are.
    full : array of float, shape (m,), optional
        As in :func:`lower_bound`.
    """
    pairs, counts = _distinct(values, full)
    scaled = counts * (n / counts.sum())
    return float(BETS[int(np.argmax(_solve(pairs, scaled, confidence, BETS)))])


def queries_needed(threshold: float, confidence: float) -> int:
    """The least number of queries that can prove a mean of ``threshold``: when every one is perfect.

    A little above ``log(1 - confidence) / log(threshold)``, below which nothing can be proven by any method.
    """
    confidence = check_confidence(confidence)
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be above 0 and below 1, got {threshold!r}")
    fewest = max(1, math.floor(math.log(1 - confidence) / math.log(threshold)))
    one, mean = np.ones(1), np.array([threshold])
    while _log_capital(np.ones((1, 2)), np.array([float(fewest)]), mean, one)[0] < -math.log(1 - confidence):
        fewest += 1
    return fewest


def _distinct(values: ArrayLike, full: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The different pairs of a value and what it is compared with ``(u, 2)``, and how often each occurs."""
    first = np.asarray(values, dtype=np.float64)
    second = np.ones(first.shape) if full is None else np.asarray(full, dtype=np.float64)
    for array in (first, second):
        if array.ndim != 1 or not len(array) or not ((array >= 0) & (array <= 1)).all():
            raise InputError(
                f"a bound needs at least one value, each in [0, 1], got shape {array.shape}"
                + (f" from {array.min()} to {array.max()}" if array.size else "")
            )
    if first.shape != second.shape:
        raise InputError(f"{len(first)} values cannot be compared with {len(second)}; give one for each")
    pairs, counts = np.unique(np.stack([first, second], axis=1), axis=0, return_counts=True)
    return pairs, counts.astype(np.float64)


def _solve(
    pairs: NDArray[np.float64], counts: NDArray[np.float64], confidence: float, bets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The bound of each bet."""
    needed = -math.log(1 - confidence)
    low, high = np.zeros(len(bets)), np.ones(len(bets))  # the capital falls as m grows
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = _log_capital(pairs, counts, middle, bets) >= needed
        low, high = np.where(reached, middle, low), np.where(reached, high, middle)
    return low


def _log_capital(
    pairs: NDArray[np.float64],
    counts: NDArray[np.float64],
    means: NDArray[np.float64],
    bets: NDArray[np.float64],
) -> NDArray[np.float64]:
    gains = bets[:, None] * (pairs[:, 0] / means[:, None] - pairs[:, 1])
    with np.errstate(divide="ignore"):  # who bets everything and meets a 0 has nothing left
        whole = np.log1p(gains) @ counts
    half = np.log1p(gains / 2) @ counts
    return np.logaddexp(math.log(1 - _INSURANCE) + whole, math.log(_INSURANCE) + half)
