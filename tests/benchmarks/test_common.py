"""What the commands share: plans with the dims filled in, timing in turns, partitions on request only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.common import Timing, make_index, partition, plans_of, save_json, summary, take_turns
from benchmarks.peers.workloads import Workload


def test_plans_name_all_dims_by_full() -> None:
    assert plans_of(["64:int8@9 > {full}:float32"], 384) == ["64:int8@9 > 384:float32"]
    assert plans_of(None, 384)[0] == "384:float32"


def test_searches_take_turns_on_the_queries_that_the_slowest_can_answer() -> None:
    asked: list[str] = []
    queries = np.zeros((8, 2), dtype=np.float32)
    searches = {name: lambda query, name=name: asked.append(name) for name in ("a", "b")}

    times = take_turns(searches, queries, repeats=2, seconds=10)

    assert "".join(asked) == "a" * 8 + "b" * 8 + ("a" * 8 + "b" * 8) * 2
    assert {name: timing.queries for name, timing in times.items()} == {"a": 8, "b": 8}
    asked.clear()
    assert take_turns(searches, queries, repeats=1, seconds=0)["a"].queries == 5, "never fewer than a handful"


def test_a_time_is_the_mean_of_each_querys_median_pass() -> None:
    wall = np.array([[1.0, 5.0], [2.0, 5.0], [9.0, 5.0]]) / 1e3

    timing = summary(wall, wall / 2)

    expected = Timing(ms=3.5, cpu_ms=1.75, low_ms=3.0, high_ms=7.0, p99_ms=4.97, queries=2, repeats=3)
    assert timing.to_dict() == pytest.approx(expected.to_dict())


def test_an_index_has_the_rows_and_partitions_only_when_asked(small_set: Path, tmp_path: Path) -> None:
    base = np.load(small_set / "base.npy")[:50]
    calls: list[dict[str, int]] = []

    class Lists:
        def partition(self, **options: int) -> None:
            calls.append(options)

    for lists in (None, 0, 32):
        partition(Lists(), lists)
    assert calls == [{}, {"lists": 32}]
    with make_index(tmp_path / "index", base) as index:
        assert index.search(base[7], 1).ids.tolist() == [[7]]


def test_results_are_json_with_machine_and_command(small_set: Path, tmp_path: Path) -> None:
    save_json(tmp_path / "deep" / "out.json", Workload.open(small_set), {"lines": [1.5]})
    save_json(None, Workload.open(small_set), {})

    saved = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert saved["results"] == {"lines": [1.5]}
    assert saved["workload"] == "pydoc/2000x512"
    assert saved["machine"]["cores"] >= 1
    assert saved["command"][0] == "python"
