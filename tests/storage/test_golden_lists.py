"""Indexes with lists that the versions of their format wrote: the newest answers as it did, those before
open and ask to be partitioned again."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kukla import Index, kernels
from kukla.errors import PlanError
from kukla.storage.container import open_container

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden-lists-v3"
EARLIER = {"golden-lists-v1": 8, "golden-lists-v2": 16}  # their dims


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden_lists", DATA / "make_golden_lists.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(index: Index, maker: ModuleType) -> None:
    index.verify()
    said: dict[str, Any] = maker.answers(index)
    expected: dict[str, Any] = json.loads((DATA / "golden-lists-v3.json").read_text(encoding="utf-8"))
    for name in ("count", "lists", "fingerprint"):
        assert said[name] == expected[name]
    assert said["plans"].keys() == expected["plans"].keys()
    for name, plan in [*expected["plans"].items(), ("filtered", expected["filtered"])]:
        mine = said["filtered"] if name == "filtered" else said["plans"][name]
        assert (mine["ids"], mine["scored"]) == (plan["ids"], plan["scored"]), name
        np.testing.assert_allclose(mine["scores"], plan["scores"], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", kernels.available())
def test_it_answers_where_it_lies_and_is_not_changed(maker: ModuleType, name: str) -> None:
    before = {path: path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    with kernels.use(name), Index.open(GOLDEN, read_only=True) as index:
        check(index, maker)
    assert {path: path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()} == before
    assert sorted(str(path.relative_to(GOLDEN)) for path in before) == [
        "catalog.sqlite", "partition.1.seg", "segments/00000001.1.lists", "segments/00000001.seg",
        "segments/00000002.seg",
    ]  # fmt: skip
    assert sum(map(len, before.values())) < 200_000


def test_a_copy_can_be_changed(maker: ModuleType, tmp_path: Path) -> None:
    with Index.open(shutil.copytree(GOLDEN, tmp_path / "copy")) as index:
        new = -np.eye(16, dtype=np.float32)[:2]
        index.add(new, ids=[70_000, 70_001])
        assert index.search(new, 1, plan="16:pq4/1@20 > 16:float16").ids[:, 0].tolist() == [70_000, 70_001]
        index.delete([70_000, 70_001])
        check(index, maker)
        index.compact()
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.fingerprint == json.loads((DATA / "golden-lists-v3.json").read_text())["fingerprint"]
        exact, found = (
            index.search(new, 9, plan=plan).ids for plan in ("16:float16", "16:pq4@2000 > 16:float16")
        )
        np.testing.assert_array_equal(found, exact)
        index.partition(20)
        index.verify()


def test_what_is_written_today_has_the_same_layout(maker: ModuleType, tmp_path: Path) -> None:
    """A change of the layout needs a new version, and a golden index of its own."""
    maker.write(tmp_path / "new")
    for name in ("partition.1.seg", "segments/00000001.1.lists"):
        old, new = (
            {
                entry["name"]: (entry["dtype"], entry["shape"][1:])
                for entry in open_container(folder / name)[0]["sections"]
            }
            for folder in (GOLDEN, tmp_path / "new")
        )
        assert list(new.items()) == list(old.items())


# One code a row: the first version. No blocks of rows that are like each other: the second


@pytest.fixture(params=EARLIER)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(DATA / request.param, tmp_path / request.param)


@pytest.mark.parametrize(("name", "dim"), EARLIER.items())
def test_lists_of_the_versions_before_are_not_used(maker: ModuleType, name: str, dim: int) -> None:
    """The index opens and answers plans without lists as it did; plans with lists say what to do."""
    before = {path: path.read_bytes() for path in (DATA / name).rglob("*") if path.is_file()}
    expected = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    with Index.open(DATA / name, read_only=True, verify=True) as index:
        assert len(index) == expected["count"]
        assert (index.info().partition, index.info().earlier_lists) == (None, True)
        asked, exact = maker.vectors(5000, 3, dim=dim), f"{dim}:float16"
        found, plan = index.search(asked, 6, plan=exact), expected["plans"][exact]
        assert found.ids.tolist() == plan["ids"]
        np.testing.assert_allclose(found.scores, plan["scores"], rtol=0, atol=1e-6)
        with pytest.raises(PlanError, match=r"the index has no lists; make them with its partition\(\)"):
            index.search(asked, 6, plan=f"{dim}:pq4/3@40 > {exact}")
    assert {path: path.read_bytes() for path in (DATA / name).rglob("*") if path.is_file()} == before


def test_they_can_be_changed_and_partitioned_again(maker: ModuleType, earlier: Path) -> None:
    dim = EARLIER[earlier.name]
    exact, everything = f"{dim}:float16", f"{dim}:pq4@2200 > {dim}:float16"
    with Index.open(earlier) as index:
        new = -maker.vectors(9000, 1100, dim=dim)
        index.add(new, ids=range(70_000, 71_100))
        index.delete([70_001])
        index.compact()
        assert index.search(new[:1], 1, plan=exact).ids.tolist() == [[70_000]]
        assert index.info().earlier_lists
    with Index.open(earlier) as index:
        assert index.info().earlier_lists
        index.partition(12)
        assert not index.info().earlier_lists
        assert sorted(path.name for path in earlier.glob("partition*")) == ["partition.2.seg"]
        assert [path.suffixes for path in (earlier / "segments").glob("*.lists")] == [[".2", ".lists"]]
        of_lists, of_all = (index.search(new[:5], 9, plan=plan).ids for plan in (everything, exact))
        np.testing.assert_array_equal(of_lists, of_all)
        index.verify()


def test_their_lists_can_be_removed(earlier: Path) -> None:
    with Index.open(earlier) as index:
        index.partition(0)
        assert (index.info().partition, index.info().earlier_lists) == (None, False)
        assert [*earlier.glob("partition*"), *earlier.rglob("*.lists")] == []
