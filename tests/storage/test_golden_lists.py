"""An index with lists that the first version of their format wrote: it opens and answers as it did."""

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
from kukla.storage.container import open_container

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden-lists-v1"


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
    expected: dict[str, Any] = json.loads((DATA / "golden-lists-v1.json").read_text(encoding="utf-8"))
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
        new = -np.eye(8, dtype=np.float32)[:2]
        index.add(new, ids=[70_000, 70_001])
        assert index.search(new, 1, plan="8:pq4/1@20 > 8:float16").ids[:, 0].tolist() == [70_000, 70_001]
        index.delete([70_000, 70_001])
        check(index, maker)
        index.compact()
        partition = index._opened.store.current().partition
        assert partition is not None
        assert partition.fingerprint == json.loads((DATA / "golden-lists-v1.json").read_text())["fingerprint"]
        exact, found = (
            index.search(new, 9, plan=plan).ids for plan in ("8:float16", "8:pq4@2000 > 8:float16")
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
