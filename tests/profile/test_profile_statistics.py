"""Intervals hold as often as they say."""

from __future__ import annotations

import numpy as np
from tests.profile.conftest import make_clusters

from kukla.profile import profile
from kukla.profile.curves import Judge, ladder
from kukla.profile.sample import Sample
from kukla.profile.statistics import Bootstrap, Interval


def test_intervals_of_recall_cover_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        recalls = rng.binomial(10, rng.beta(8, 2, size=60)) / 10  # a true mean of .8, unequal queries
        interval = Bootstrap(60, rng).interval(recalls)
        covered += interval.low <= 0.8 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_interval_of_a_prefix_covers_what_all_queries_find() -> None:
    rows = make_clusters(4300, 32, seed=4, decay=0.3)
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    documents, queries = unit[:300], unit[300:]
    apart, folds = np.full(len(queries), -1), np.zeros(len(documents), np.int64)
    judge = Judge(Sample(queries, documents, apart, folds, None, 300, len(queries), ()), k=10)
    recalls = ladder(judge, queries, documents, [8]).at_k[0]
    rng = np.random.default_rng(0)
    few = [Bootstrap(50, rng).interval(part) for part in np.split(recalls, 80)]
    assert sum(interval.low <= recalls.mean() <= interval.high for interval in few) >= 72  # 76 expected of 80


def test_where_order_means_nothing_its_interval_covers_zero() -> None:
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((32, 32)))[0]
    covered = 0
    for seed in range(30):
        order = profile(
            make_clusters(60, 32, seed=seed, decay=0.4) @ turn, dims=[8], seed=seed
        ).evidence.order
        covered += order.low <= 0 <= order.high
    assert covered >= 27


def test_a_contrast_counts_the_orders_that_did_as_well() -> None:
    boot = Bootstrap(50, np.random.default_rng(0))
    real, random = np.full(50, 0.5), np.linspace(0.1, 0.8, 20)[:, None] * np.ones((20, 50))
    contrast = boot.contrast(real, random)
    assert contrast.p == (1 + (np.linspace(0.1, 0.8, 20) >= 0.5).sum()) / 21
    assert contrast.low < contrast.mean < contrast.high
    assert abs(contrast.mean - 0.05) < 1e-9


def test_the_same_values_have_no_width_and_print_short() -> None:
    assert str(Bootstrap(30, np.random.default_rng(0)).interval(np.ones(30))) == "1.000"
    assert str(Interval(0.8304, 0.81, 0.85)) == ".830±.020"
