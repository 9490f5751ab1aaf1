"""Groups: runs of dims in the order of their costs, cut so that the codes' error is least."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kukla.partition.groups import DISTORTION, choose_groups


def error_of(sizes: list[int], costs: list[float]) -> float:
    """What groups of these sizes leave of costs in falling order; dims in no group are left as a whole."""
    left, start = 0.0, 0
    for size in sizes:
        left += DISTORTION[size] * sum(costs[start : start + size])
        start += size
    return left + sum(costs[start:])


@given(st.lists(st.floats(0, 100), min_size=4, max_size=12))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_other_four_groups_leave_less(costs: list[float]) -> None:
    order, ends = choose_groups(np.array(costs), 4)
    sizes = np.diff(ends, prepend=0).tolist()
    falling = sorted(costs, reverse=True)
    assert [costs[i] for i in order] == falling[: ends[-1]]
    assert len(ends) == 4
    best = min(
        error_of(list(one), falling) for one in product(DISTORTION, repeat=4) if sum(one) <= len(costs)
    )
    assert error_of(sizes, falling) <= best + 1e-9


@pytest.mark.parametrize(
    ("dim", "asked", "groups"),
    [(8, 256, 8), (9, 256, 8), (100, 256, 100), (1536, 256, 256), (64, 4, 4), (64, 30, 28), (5, 4, 4)],
)
def test_there_are_as_many_groups_as_dims_allow_and_a_multiple_of_four(
    dim: int, asked: int, groups: int
) -> None:
    order, ends = choose_groups(1 / np.arange(1, dim + 1), asked)
    assert len(ends) == groups
    assert (np.diff(ends, prepend=0) > 0).all()
    assert len(order) == ends[-1] <= dim
    assert len({*order.tolist()}) == len(order)


def test_dims_that_cost_more_get_more_bits() -> None:
    _, ends = choose_groups(np.array([*np.full(6, 100.0), *np.full(58, 1.0)]), 8)
    sizes = np.diff(ends, prepend=0)
    assert sizes[:6].tolist() == [1] * 6
    assert sorted(sizes[6:].tolist()) == [16, 32]


def test_dims_that_cost_nothing_are_no_trouble() -> None:
    order, ends = choose_groups(np.zeros(20), 4)
    assert ends[-1] == len(order) >= 4
