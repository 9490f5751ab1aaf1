"""The harness: real engines in their own processes, results that survive a kill, recorded failures."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.peers import engines, limits
from benchmarks.peers.compare import compare
from benchmarks.peers.engines.base import Shape
from benchmarks.peers.figure import draw_pareto
from benchmarks.peers.frontier import Point, best_at, front, points
from benchmarks.peers.measure import Effort
from benchmarks.peers.report import render
from benchmarks.peers.results import Results
from benchmarks.peers.run import Options, run
from benchmarks.peers.workloads import Workload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")

EFFORT = Effort(repeats=2, seconds=0.1)
WORKLOAD = "pydoc/2000x512"
INSTALLED = [
    name
    for name, module in (("kukla_index", "kukla"), ("numpy_exact", "numpy"), ("faiss_ivfpq", "faiss"))
    if importlib.util.find_spec(module)
]


def measure(folder: Path, small_set: Path, names: list[str], said: list[str]) -> Results:
    options = Options(
        scratch=folder / "indexes", names=names, builds=1, searches=3, limit_seconds=100, effort=EFFORT
    )
    run(Results(folder), [Workload.open(small_set)], options, said.append)
    return Results(folder)


@pytest.fixture(scope="module", autouse=True)
def quick_limits() -> Iterator[None]:
    """The machine's speed, measured on little: it is printed here, and not compared with anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "READ_BYTES", 4_000_000)
        patch.setattr(limits, "SIDE", 128)
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, small_set: Path) -> Path:
    folder = tmp_path_factory.mktemp("results")
    measure(folder, small_set, INSTALLED, [])
    return folder


def test_each_engine_is_measured_alone_and_in_batches(measured: Path) -> None:
    found = points(Results(measured), WORKLOAD)

    assert {point.engine for point in found} == set(INSTALLED)
    for point in found:
        assert point.single is not None
        assert point.batch is not None
        assert 0 < point.single["qps_low"] <= point.single["qps"] <= point.single["qps_high"]
        assert point.single["p50_us"] <= point.single["p99_us"]
        assert 32 <= point.batch["queries"] <= 1000
        assert point.build["build_seconds"] >= 0
    exact = [point for point in found if point.engine == "numpy_exact"]
    assert [point.single["recall"] for point in exact] == [1.0]
    assert [point.batch["recall"] for point in exact] == [1.0]


def test_whole_vectors_are_not_counted_as_the_index(measured: Path) -> None:
    vectors = 2000 * 512 * 4
    for point in points(Results(measured), WORKLOAD):
        if point.engine == "numpy_exact":
            assert point.single["full_vectors_private_bytes"] == vectors
            assert point.single["memory_bytes"] < vectors / 2
        if point.engine == "kukla_index":
            assert point.single["full_vectors_mapped_bytes"] > 0
            assert point.build["disk_bytes"] > vectors


def test_a_killed_run_goes_on_where_it_was(measured: Path, small_set: Path, tmp_path: Path) -> None:
    records = [json.loads(line) for line in (measured / "results.jsonl").read_text().splitlines()]
    kept = [
        json.dumps(record)
        for record in records
        if record["kind"] != "batch" and record.get("engine") in (None, "numpy_exact")
    ]
    cut = kept[-1][: len(kept[-1]) // 2]  # the run was killed while it wrote this line
    (tmp_path / "results.jsonl").write_text("\n".join([*kept[:-1], cut]))
    said: list[str] = []

    whole = measure(tmp_path, small_set, ["numpy_exact"], said)

    assert json.loads(kept[-1])["kind"] == "single"
    assert [(len(whole.all(kind))) for kind in ("build", "single", "batch")] == [1, 1, 1]
    assert sum("single:" in line for line in said) == 1, "only the line that was cut is measured again"
    said.clear()
    measure(tmp_path, small_set, ["numpy_exact"], said)
    assert [line.split(":")[0] for line in said] == ["Machine"], "nothing is left to do"


def test_a_peer_that_fails_is_recorded_and_the_others_go_on(small_set: Path, tmp_path: Path) -> None:
    short = Options(
        scratch=tmp_path / "indexes", names=["kukla_index", "numpy_exact"], builds=1, effort=EFFORT,
        limit_seconds=0.05,
    )  # fmt: skip
    run(Results(tmp_path), [Workload.open(small_set)], short, lambda _: None)

    builds = Results(tmp_path).all("build")
    assert {record["status"] for record in builds} == {"failed"}
    assert all("no result within" in record["error"] for record in builds)
    text = render(Results(tmp_path))
    assert "What failed" in text
    assert "no result within 0 s" in text


def test_an_engine_that_has_used_up_its_time_is_recorded_and_measured_later(
    small_set: Path, tmp_path: Path
) -> None:
    options = Options(
        scratch=tmp_path / "indexes", names=["numpy_exact"], effort=EFFORT, engine_seconds=0.05
    )  # fmt: skip
    run(Results(tmp_path), [Workload.open(small_set)], options, lambda _: None)

    (build,) = Results(tmp_path).all("build")
    assert build["status"] == "failed"
    assert "minutes on this workload are used up" in build["error"]
    assert not Results(tmp_path).all("single"), "what was left is not a result"
    run(
        Results(tmp_path),
        [Workload.open(small_set)],
        replace(options, engine_seconds=60, retry=True),
        lambda _: None,
    )
    assert [record["status"] for record in Results(tmp_path).all("single")] == ["ok"]


def test_a_crash_keeps_its_last_words(small_set: Path, tmp_path: Path) -> None:
    workload = Workload.open(small_set)
    results = Results(tmp_path)
    options = Options(scratch=tmp_path / "indexes", names=["numpy_exact"], effort=EFFORT)
    workload.truth()
    (small_set / "queries.npy").rename(small_set / "away.npy")
    try:
        run(results, [workload], options, lambda _: None)
    finally:
        (small_set / "away.npy").rename(small_set / "queries.npy")

    (record,) = results.all("build")
    assert record["status"] == "failed"
    assert "it has no queries.npy" in record["error"]
    assert not list((tmp_path / "indexes").glob("*")), "nothing is left behind"


def test_the_report_shows_recall_memory_and_the_machine(measured: Path) -> None:
    text = render(Results(measured), grid=True)

    assert "GB/s by one thread" in text
    assert "NumPy float32 (exact)" in text
    assert "resident MB beside float32" in text
    for name in INSTALLED:
        assert engines.load(name).title in text
    exact = next(line for line in text.splitlines() if line.startswith("| NumPy"))
    assert exact.count("(1.000; spread") == 3
    assert "### Kukla beside the best peer" in text
    assert "asked to use 1 thread (Kukla uses one)" in text


def test_the_report_says_when_other_work_ran_beside(measured: Path, tmp_path: Path) -> None:
    records = [json.loads(line) for line in (measured / "results.jsonl").read_text().splitlines()]
    for load, warned in ((9.0, True), (1.0, False)):
        folder = tmp_path / str(load)
        folder.mkdir()
        lines = [json.dumps(record | ({"load": load} if "load" in record else {})) for record in records]
        (folder / "results.jsonl").write_text("\n".join(lines))
        assert ("machine was busy" in render(Results(folder))) == warned


def test_the_figure_is_a_png_of_each_workload(measured: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (drawn,) = draw_pareto(Results(measured), tmp_path / "pareto.png")

    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert drawn.stat().st_size > 20_000


def test_a_front_holds_what_nothing_beats(measured: Path) -> None:
    found = points(Results(measured), WORKLOAD)
    best = front(found, "single")

    assert [p.single["qps"] for p in best] == sorted((p.single["qps"] for p in best), reverse=True)
    for point in found:
        beaten = any(
            other.single["qps"] >= point.single["qps"] and other.single["recall"] >= point.single["recall"]
            for other in best
        )
        assert beaten, "a point that is not on the front is beaten by one that is"
    fastest = best_at(found, 0.9, "single")
    assert fastest.single["qps"] == max(p.single["qps"] for p in found if p.single["recall"] >= 0.9)
    assert best_at(found, 1.01, "single") is None


def test_kukla_is_compared_with_the_best_peer_at_each_recall() -> None:
    def point(engine: str, plan: str, recall: float, qps: float, megabytes: float, build: float) -> Point:
        record = {"recall": recall, "qps": qps, "memory_bytes": megabytes * 1e6, "search": {"plan": plan}}
        return Point(engine, "1", {"build_seconds": build}, record, record | {"qps": 4 * qps})

    rows = compare(
        [
            point("kukla_index", "64:int8@9 > 512:float32", 0.96, 600, 30, 10),
            point("kukla_index", "certify", 1.0, 50, 30, 10),
            point("faiss_ivfpq", "", 0.97, 200, 80, 100),
            point("zvec_hnsw", "", 0.96, 170, 60, 300),  # within 20 % of the best, in less memory
            point("usearch_prefix", "", 0.96, 100, 5, 300),  # in least, but too slow to count
            point("numpy_exact", "", 1.0, 4, 0, 0),
        ]
    )

    told = {(what, level): (ours, best, ratio) for what, level, ours, best, ratio in rows}
    faiss = engines.load("faiss_ivfpq").title + " 1"
    assert told["queries/s, alone", ">= 0.95"] == ("600", f"200 ({faiss})", "3.00x")
    assert told["queries/s, batch of 1,000", ">= 0.95"] == ("2,400", f"800 ({faiss})", "3.00x")
    assert told["resident MB", ">= 0.95"] == ("30.0", f"60.0 ({engines.load('zvec_hnsw').title} 1)", "0.50x")
    assert told["build s", ">= 0.95"] == ("10.0", f"100.0 ({faiss})", "0.10x")
    exact = engines.load("numpy_exact").title + " 1"
    assert told["queries/s, alone", ">= 0.99"] == ("50", f"4 ({exact})", "12.50x")
    assert told["queries/s, exact", "1, proven"] == ("50", f"4 ({exact})", "12.50x")


@pytest.mark.parametrize("name", engines.NAMES)
@pytest.mark.parametrize("shape", [Shape(2000, 384), Shape(100_000, 512), Shape(1_000_000, 1536)])
def test_every_grid_is_plain_values_without_repeats(name: str, shape: Shape) -> None:
    engine = engines.load(name)
    builds = engine.builds(shape)

    assert builds
    assert engine.guide
    quick = engine.quick_builds(shape)
    assert 1 <= len(quick) <= 2
    assert all(build in builds for build in quick), "quick is a part of the whole grid"
    texts = [json.dumps(build, sort_keys=True) for build in builds]
    assert len(set(texts)) == len(texts)
    for build in builds:
        assert build.get("dim", 1) <= shape.dim
        searches = [json.dumps(search, sort_keys=True) for search in engine.searches(shape, build)]
        assert searches
        assert len(set(searches)) == len(searches)
