"""Selection is a full sort cut off, whatever the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.kernels import kernel_oracle as oracle

from kukla import kernels

names = pytest.mark.parametrize("name", kernels.available())
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
few_values = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.5, float("inf"), float("-inf"), float(np.float32(1e-45)), float("nan")]
)


@names
@quick
@given(
    data=st.data(),
    shape=hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40),
    k=st.integers(0, 50),
)
def test_top_k_is_a_sort(name: str, data: Any, shape: tuple[int, int], k: int) -> None:
    scores = data.draw(hnp.arrays(np.float32, shape, elements=few_values))
    rows = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-(2**62), 2**62)))
    with kernels.use(name):
        got_rows, got_scores = kernels.top_k(scores, rows, k)
    for line in range(shape[0]):
        order = sorted(
            range(shape[1]),
            key=lambda i: (bool(np.isnan(scores[line, i])), -np.nan_to_num(scores[line, i]), rows[line, i]),
        )[:k]
        np.testing.assert_array_equal(got_rows[line], rows[line, order])
        np.testing.assert_array_equal(got_scores[line], scores[line, order])


@names
@quick
@given(
    bits=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(0, 400), st.integers(0, 3)),
        elements=st.sampled_from([0, 1, 128, 255]),
    ),
    keep=st.integers(0, 500),
    seed=st.integers(0, 9),
)
def test_binary_scan_is_a_sort(name: str, bits: Any, keep: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(0, 256, (2, bits.shape[1]), dtype=np.uint8)
    mask = rng.random(len(bits)) < 0.8
    wanted = oracle.best(oracle.distances([bits], [queries]), keep, mask, descending=False)
    with kernels.use(name):
        oracle.same(kernels.scan_binary([bits], [queries], keep, mask=mask), wanted)


@names
@quick
@given(
    codes=hnp.arrays(
        np.int8,
        st.tuples(st.integers(0, 300), st.integers(0, 40)),
        elements=st.sampled_from([-128, -1, 0, 1, 127]),
    ),
    keep=st.integers(0, 400),
    seed=st.integers(0, 9),
)
def test_int8_scan_is_a_sort(name: str, codes: Any, keep: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = {
        "shells": [codes],
        "scales": [rng.choice(np.array([0.0, 0.25, 3.0], dtype=np.float32), len(codes))],
        "query_codes": [rng.integers(-8191, 8192, (2, codes.shape[1])).astype(np.int16)],
        "query_scales": rng.random((2, 1)),
    }
    norms = rng.choice(np.array([0.0, 1.0, 3.0], dtype=np.float32), len(codes))
    wanted = oracle.best(oracle.int8_scores(**case, norms=norms), keep, None, descending=True)
    with kernels.use(name):
        oracle.same(kernels.scan_int8(**case, keep=keep, norms=norms), wanted)


@names
@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_selection_keeps_the_best_of_many(name: str, order: str) -> None:
    """Many more candidates than are kept, arriving in the best and in the worst order."""
    n = 30_000
    values = np.arange(n, dtype=np.float32)
    if order == "falling":
        values = values[::-1].copy()
    elif order == "shuffled":
        values = np.random.default_rng(0).permutation(values)
    with kernels.use(name):
        for keep in (1, 10, 1000, 20_000):
            rows, scores = kernels.scan_float(
                values[:, None].copy(), np.ones((1, 1), dtype=np.float32), 1, keep
            )
            np.testing.assert_array_equal(scores[0], np.arange(n - 1, n - 1 - keep, -1))
            np.testing.assert_array_equal(values[rows[0]], scores[0])
