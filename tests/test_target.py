"""Targets: text form, values, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kukla.errors import InputError
from kukla.target import Target


@given(
    metric=st.sampled_from(["recall", "ndcg", "mrr"]),
    k=st.integers(1, 10**6),
    threshold=st.floats(0.001, 0.999),
)
def test_parse_and_print_are_inverse(metric: str, k: int, threshold: float) -> None:
    target = Target(metric, k, threshold)  # type: ignore[arg-type]
    assert Target.parse(str(target)) == target
    assert Target.of(str(target)) == Target.of(target) == target
    assert hash(Target.parse(str(target))) == hash(target)


@pytest.mark.parametrize("text", ["recall@10>=0.99", " recall@10 >= .99 ", "recall@10>=0.990"])
def test_ways_to_write_it(text: str) -> None:
    assert str(Target.parse(text)) == "recall@10>=0.99"
    assert Target.parse(text).name == "recall@10"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recall@10", "METRIC@K>=SHARE"),
        ("recall>=0.9", "METRIC@K>=SHARE"),
        ("recall@10>0.9", "METRIC@K>=SHARE"),
        ("recall@10>=", "METRIC@K>=SHARE"),
        ("recall@10>=.", "METRIC@K>=SHARE"),
        ("precision@10>=0.9", "allowed: recall, ndcg, mrr"),
        ("recall@0>=0.9", "from 1 to"),
        ("recall@10>=0", "above 0 and below 1"),
        ("recall@10>=99", "above 0 and below 1"),
        ("recall@10>=1", "run the exact plan"),
    ],
)
def test_refusals(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Target.parse(text)


def test_values_of_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="string"):
        Target.parse(0.9)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="below 1"):
        Target("recall", 10, True)
    with pytest.raises(InputError, match="integer"):
        Target("recall", 2.5, 0.9)  # type: ignore[arg-type]
