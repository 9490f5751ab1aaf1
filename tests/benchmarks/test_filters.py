"""benchmarks.filters: which rows a filter matches, and what counts as a loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.filters import (
    COPIED,
    FLOATS,
    GATHERED,
    KINDS,
    SHARES,
    cases_of,
    joined,
    losses,
    ranks_of,
    topics_of,
)


def test_filters_match_the_share_they_say_near_and_far_from_the_topic(small_set: Path) -> None:
    base, queries = np.load(small_set / "base.npy"), np.load(small_set / "queries.npy")
    topics, centres = topics_of(queries, 4)
    ranks = ranks_of(base, centres)
    random = np.random.default_rng(1).permutation(len(base)) * 1000 // len(base)

    cases = list(cases_of(topics, random, ranks))

    assert {(case.kind, case.share) for case in cases} == {
        (kind, share) for kind in KINDS for share in SHARES
    }
    for case in cases:
        assert len(case.matches) == round(case.share * len(base))
        ((field, test),) = case.filter.items()
        ((operator, cut),) = test.items()
        values = random if field == "random" else ranks[:, int(field.removeprefix("topic"))]
        matching = values < cut if operator == "$lt" else values >= cut
        np.testing.assert_array_equal(np.flatnonzero(matching), case.matches)
    for near in (case for case in cases if case.kind == KINDS[1]):
        far = next(
            c
            for c in cases
            if c.kind == KINDS[2] and c.share == near.share and c.filter.keys() == near.filter.keys()
        )
        assert (queries[near.asked] @ base[near.matches].T).mean() > (
            queries[far.asked] @ base[far.matches].T
        ).mean()
        np.testing.assert_array_equal(near.asked, far.asked)


def test_every_query_is_asked_once_for_each_kind_and_share(small_set: Path) -> None:
    base, queries = np.load(small_set / "base.npy"), np.load(small_set / "queries.npy")
    topics, centres = topics_of(queries, 8)
    cases = list(cases_of(topics, np.arange(len(base)) % 1000, ranks_of(base, centres)))

    for kind in KINDS:
        asked = np.concatenate([case.asked for case in cases if case.kind == kind and case.share == 0.1])
        assert sorted(asked.tolist()) == list(range(len(queries)))


def found(queries: int, plan_ms: float, recall: float) -> dict:
    speeds = {FLOATS: 1.0, "plan": plan_ms, GATHERED: 2.0, COPIED: 0.5}
    times = {name: dict.fromkeys(("ms", "cpu_ms", "low_ms", "high_ms"), ms) for name, ms in speeds.items()}
    return {
        "kind": "random", "share": 0.1, "matches": 9, "queries": queries, "first_ms": 7.0, "times": times,
        "recall": {FLOATS: 1.0, "plan": recall},
    }  # fmt: skip


def test_topics_weigh_as_their_queries_do_and_losses_are_named() -> None:
    exact, plan = joined([found(30, 1.0, 1.0), found(10, 3.0, 0.8)])

    assert exact["plan"] == FLOATS
    assert (exact["of_exact"], exact["of_copied"]) == (1.0, 2.0)
    assert (plan["ms"], plan["recall"], plan["of_exact"]) == (1.5, 0.95, 1.5)
    slower, lost = losses([exact, plan], {FLOATS: 1.0, "plan": 0.97})
    assert slower == "10% random, plan: 1.50x the time of Kukla's exact scan of the matches"
    assert lost == "10% random, plan: recall 0.950, without a filter 0.970"
    assert losses([exact, plan | {"of_exact": 0.9}], {FLOATS: 1.0, "plan": 0.95}) == []
    (numpy,) = losses([exact | {"of_gathered": 1.25}], {FLOATS: 1.0})
    assert numpy == "10% random, exact: 1.25x the time of NumPy's exact scan of the matches"
