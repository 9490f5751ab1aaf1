"""Blocks of lists: a query scores those whose means score best; native code chooses as NumPy does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered, reports, same_everywhere

from kukla import Index, kernels
from kukla.partition.model import rows_wanted
from kukla.search import lists as lists_module
from kukla.search import run as run_module
from kukla.storage.container import open_container

native = pytest.mark.skipif(kernels.available() == ("numpy",), reason="no native kernels here")
DIM, LISTS = 24, 20
FEW = {"n": {"$lt": 60}}
PLANS = (
    "24:pq4/1@4 > 24:float32",
    "24:pq4/5",
    "24:pq4/12@4 > 24:int8",
    "24:pq4/19@30 > 24:int8@15 > 24:float32",
    "24:pq4@3 > 24:float32",
)


@pytest.fixture(autouse=True)
def keep_to_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows a filter leaves."""
    monkeypatch.setattr(run_module, "without_lists", lambda plan, *_, **__: plan)


def blocks_in_lists(index: Index) -> list[list[int]]:
    """Of each segment with lists how many blocks they have."""
    listed = [one for one in index._opened.store.current().lists if one is not None]
    return [np.diff(one.blocks.astype(int)).tolist() for one in listed]


@pytest.fixture(scope="module", params=["cosine", "ip"])
def long_lists(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """5,000 documents in lists of some blocks in two segments, 100 in a small one; every ninth is deleted."""
    folder = tmp_path_factory.mktemp("blocks") / "index"
    rows = clustered(5100, DIM)
    order = np.random.default_rng(4).permutation(5100)
    with (
        kernels.use(kernels.available()[0]),
        Index.create(folder, dim=DIM, metric=request.param) as index,
    ):
        for part in np.split(order, [2000, 5000]):
            metadata = [{"n": int(i) % 100, "few": bool(i % 700 == 1)} for i in part]
            index.add(rows[part], ids=part.tolist(), metadata=metadata)
        index.partition(LISTS, code_bytes=16)
        index.delete(range(0, 5100, 9))
        blocks = blocks_in_lists(index)
        assert len(blocks) == 2
        assert max(map(max, blocks)) > 5
        yield index


@native
@pytest.mark.parametrize("plan", PLANS)
def test_the_same_blocks_everywhere(long_lists: Index, plan: str) -> None:
    asked = clustered(9, DIM, seed=3)
    found = same_everywhere(long_lists, asked, 3, plan)
    for threads in (1, 3):
        again = long_lists.search(asked[4:], 3, plan=plan, threads=threads)
        np.testing.assert_array_equal(again.ids, found.ids[4:])
        np.testing.assert_array_equal(again.scores, found.scores[4:])


@native
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("chosen", [{"few": True}, {"n": 7}, {"n": {"$lt": 3}}, {"n": {"$lt": 60}}], ids=str)
def test_blocks_of_which_a_filter_leaves_little_or_nothing(
    long_lists: Index, plan: str, chosen: dict[str, Any]
) -> None:
    found = same_everywhere(long_lists, clustered(5, DIM, seed=8), 4, plan, filter=chosen)
    allowed = {*long_lists.search(np.ones(DIM), 5100, plan="24:float32", filter=chosen).ids[0].tolist()}
    assert {*found.ids.ravel().tolist()} <= allowed
    assert found.ids.shape == (5, 4)


def test_of_the_rows_in_lists_it_scores_what_is_wanted_and_whole_blocks(long_lists: Index, isa: str) -> None:
    view = long_lists._opened.store.current()
    small = sum(segment.rows for segment, one in zip(view.segments, view.lists, strict=True) if one is None)
    asked: list[tuple[int, ...]] = []

    def noted(*given: int) -> int:
        asked.append(given)
        return rows_wanted(*given)

    for probes, keep in ((1, 1), (5, 2), (12, 40), (20, 1)):
        plan = f"24:pq4/{probes}@{keep} > 24:float32"
        with pytest.MonkeyPatch.context() as patch, kernels.use("numpy"):
            patch.setattr(lists_module, "rows_wanted", noted)
            long_lists.search(clustered(1, DIM, seed=1), 1, plan=plan)
        seen, *given = asked.pop()
        assert given == [probes, LISTS, keep]
        scored = long_lists.search(clustered(1, DIM, seed=1), 1, plan=plan).stages[0].scored
        outside = int(np.count_nonzero(view.live[-1])) if view.live[-1] is not None else small
        wanted = rows_wanted(seen, *given)
        assert wanted <= scored - outside < wanted + 32
        assert (scored - outside == seen) == (probes == LISTS)


@native
@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_means_that_are_equal_are_settled_by_their_place(tmp_path: Path, metric: str) -> None:
    """Forty vectors a hundred times each over three segments: most blocks are of one, and tie with others."""
    rows = np.tile(clustered(40, DIM), (100, 1))
    order = np.random.default_rng(5).permutation(4000)
    with Index.create(tmp_path / "index", dim=DIM, metric=metric) as index:
        for part in np.split(order, [1100, 2600]):
            index.add(rows[part], ids=part.tolist())
        index.partition(10, code_bytes=16)
        index.delete(range(0, 4000, 17))
        routes = [one.routes for one in index._opened.store.current().lists if one is not None]
        assert len(routes) == 3
        for keep in (1, 2, 3, 9):
            for probes in (1, 3, 6, 9):
                same_everywhere(index, rows[[1, 7, 30]], keep, f"{DIM}:pq4/{probes}")
        same_everywhere(index, -rows[:4], 5, f"{DIM}:pq4/4@5 > {DIM}:float32")


@native
@pytest.mark.parametrize("factor", [0.0, 1e-44, 1e-30, 1.0, 1e30, 1e38])
def test_scores_of_blocks_that_are_all_equal_or_near_the_ends_of_float32(
    tmp_path: Path, factor: float
) -> None:
    rows = clustered(3000, DIM)
    with Index.create(tmp_path / "index", dim=DIM, metric="ip") as index:
        index.add(rows[:1500])
        index.add(rows[1500:])
        index.partition(10, code_bytes=16)
        asked = clustered(2, DIM, seed=2)
        for plan in ("24:pq4/3", "24:pq4/8@5 > 24:float32"):
            found = same_everywhere(index, asked * np.float32(factor / np.abs(asked).max()), 2, plan)
            assert found.stages[0].scored < 2 * 3000 * 0.7


@native
def test_one_vector_over_and_over(tmp_path: Path) -> None:
    """All blocks of one list score the same: the first ones are taken, and of their rows the first ids."""
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(np.ones((2000, DIM)), ids=range(2000, 4000))
        index.add(np.ones((1500, DIM)), ids=range(1500))
        index.partition(5, code_bytes=16)
        found = same_everywhere(index, np.ones((2, DIM)), 3, "24:pq4/1")
        assert found.ids.tolist() == [[2000, 2001, 2002]] * 2  # blocks by segment, then rows by id
        everything = same_everywhere(index, np.ones((2, DIM)), 3, "24:pq4")
        assert everything.ids.tolist() == [[0, 1, 2]] * 2


@native
@pytest.mark.parametrize("count", [32 * 4096, 32 * 4096 + 1])
def test_as_many_blocks_as_native_code_scores_at_a_time_and_one_more(tmp_path: Path, count: int) -> None:
    rows = clustered(4000, 8, seed=13)[np.arange(count) % 4000]
    with Index.create(tmp_path / "index", dim=8) as index:
        index.add(rows, batch_rows=count)
        index.partition(1, code_bytes=8)
        assert blocks_in_lists(index) == [[-(-count // 32)]]
        found = same_everywhere(index, clustered(1, 8, seed=14), 10, "8:pq4@30 > 8:float32")
        assert found.stages[0].scored == count


# Damage

Change = Callable[[NDArray[Any]], object]


def damaged(folder: Path, section: str, change: Change) -> None:
    """With a wrong checksum, which only verify() looks at."""
    (path,) = (folder / "segments").glob("*.lists")
    (entry,) = [one for one in open_container(path)[0]["sections"] if one["name"] == section]
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    array = np.memmap(path, dtype=dtype, mode="r+", offset=entry["offset"], shape=shape)
    change(array)
    array.flush()


def some(value: float) -> Change:
    def change(array: NDArray[Any]) -> None:
        array[::3] = value

    return change


def mixed(array: NDArray[Any]) -> None:
    values = [np.nan, np.inf, -np.inf, 0.0, -1.0, -0.0, 1e-45, 3.4e38]
    array[:] = np.resize(np.array(values, array.dtype), array.shape)


def any_bits(array: NDArray[Any]) -> None:
    bytes_ = array.view(np.uint8)
    bytes_[:] = np.random.default_rng(0).integers(0, 256, bytes_.shape)


@native
@pytest.mark.parametrize("metric", ["cosine", "ip"])
@pytest.mark.parametrize(
    ("section", "change"),
    [
        *(("routes", some(value)) for value in (np.nan, np.inf, -np.inf, 0.0, -2.0)),
        ("routes", mixed),
        ("routes", any_bits),
        ("routes", lambda array: array.fill(np.nan)),
        ("means", some(255)),
        ("means", any_bits),
    ],
)
def test_damaged_means_and_routes_choose_other_blocks_and_do_no_more_harm(
    tmp_path: Path, metric: str, section: str, change: Change
) -> None:
    rows = clustered(1500, DIM)
    with Index.create(tmp_path / "index", dim=DIM, metric=metric) as index:
        index.add(rows)
        index.partition(10, code_bytes=16)
    damaged(tmp_path / "index", section, change)
    with Index.open(tmp_path / "index") as index:
        for factor in (1.0, 1e30, 0.0):
            asked = clustered(3, DIM, seed=6) * np.float32(factor)
            for plan in ("24:pq4/3", "24:pq4/9@3 > 24:float32"):
                if factor == 0 and metric == "cosine":
                    continue  # zero has no direction: it is no query
                found = same_everywhere(index, asked, 2, plan)
                assert np.isfinite(found.scores).all()
        exact = index.search(rows[:3], 5, plan="24:float32")
        found = same_everywhere(index, rows[:3], 5, "24:pq4@1500 > 24:float32")
        np.testing.assert_array_equal(found.ids, exact.ids)


# What blocks are for


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_blocks_find_more_than_whole_lists_of_as_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    """Of sixteen lists the best quarter of rows, by the means of blocks; of five lists, all rows."""
    dim = 48
    rows, asked = clustered(12_000, dim, places=300), clustered(120, dim, seed=5, places=300)
    with Index.create(tmp_path / "index", dim=dim, metric=metric) as index, kernels.use("numpy"):
        index.add(rows)
        index.partition(60)
        exact = [{*line} for line in index.search(asked, 10, plan="48:float32").ids.tolist()]

        def found(probes: int) -> tuple[float, int]:
            result = index.search(asked, 10, plan=f"48:pq4/{probes}@20 > 48:float32")
            hits = [len({*line} & truth) / 10 for line, truth in zip(result.ids.tolist(), exact, strict=True)]
            return float(np.mean(hits)), result.stages[0].scored

        of_blocks, rows_of_blocks = found(16)
        monkeypatch.setattr(lists_module, "rows_wanted", lambda seen, *_: seen)
        of_lists, rows_of_lists = found(5)
        assert rows_of_blocks <= rows_of_lists
        assert of_blocks > of_lists + 0.02


@native
def test_how_many_rows_of_a_block_are_left_is_counted_once(long_lists: Index) -> None:
    """By whoever looks first, for rows that are not deleted; a filter has counts of its own."""
    asked = clustered(40, DIM, seed=11)
    plan = f"{DIM}:pq4/6@30 > {DIM}:float32"
    with kernels.use("numpy"):
        expected = [long_lists.search(asked, 5, plan=plan, filter=chosen) for chosen in (None, FEW)]
    for name in kernels.available():
        if name == "numpy":
            continue
        with kernels.use(name):
            for threads in (2, 1):  # the counts of two threads that began together, then known ones
                for before, chosen in zip(expected, (None, FEW), strict=True):
                    found = long_lists.search(asked, 5, plan=plan, filter=chosen, threads=threads)
                    np.testing.assert_array_equal(found.ids, before.ids)
                    np.testing.assert_array_equal(found.scores, before.scores)
                    assert reports(found) == reports(before)
