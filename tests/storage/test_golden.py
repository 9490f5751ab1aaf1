"""An index that the first version of the format wrote: it opens, verifies and answers as it did."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kukla import Index
from kukla.storage.container import open_container

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden-v1"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden", DATA / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(index: Index, maker: ModuleType) -> None:
    index.verify()
    said: dict[str, Any] = maker.answers(index)
    expected: dict[str, Any] = json.loads((DATA / "golden-v1.json").read_text(encoding="utf-8"))
    assert said["count"] == expected["count"] == 59
    assert said["default plan"] == expected["default plan"]
    assert said["plans"].keys() == expected["plans"].keys()
    for name, plan in [*expected["plans"].items(), ("filtered", expected["filtered"])]:
        mine = said["filtered"] if name == "filtered" else said["plans"][name]
        assert mine["ids"] == plan["ids"], name
        np.testing.assert_allclose(mine["scores"], plan["scores"], rtol=0, atol=1e-6, err_msg=name)
    for i in (0, 8, 9, 44, 45, 59):
        document = index.get(f"doc-{i:02d}")[0]
        assert (document.text, document.metadata) == (maker.text(i), maker.metadata(i))
        vector = maker.vectors(i, 1)[0]
        assert document.vector is not None
        np.testing.assert_allclose(document.vector, vector / np.linalg.norm(vector), rtol=0, atol=1e-6)
    assert maker.DELETED not in index


def test_it_answers_where_it_lies_and_is_not_changed(maker: ModuleType) -> None:
    before = files(GOLDEN)
    with Index.open(GOLDEN, read_only=True) as index:
        check(index, maker)
    assert files(GOLDEN) == before
    assert sorted(before) == ["catalog.sqlite", "segments/00000001.seg", "segments/00000002.seg"]


def test_a_copy_can_be_changed(maker: ModuleType, tmp_path: Path) -> None:
    folder = shutil.copytree(GOLDEN, tmp_path / "copy")
    with Index.open(folder) as index:
        check(index, maker)
        index.compact()
        check(index, maker)
        index.upsert(maker.vectors(7, 1), ids=["doc-07"])
        index.delete("doc-07")
        check(index, maker)


def test_what_is_written_today_has_the_same_layout(maker: ModuleType, tmp_path: Path) -> None:
    """A change of the layout needs a new version number, and a golden index of its own."""
    maker.write(tmp_path / "new")
    for path in sorted((GOLDEN / "segments").iterdir()):
        old, old_arrays = open_container(path)
        new, new_arrays = open_container(tmp_path / "new" / "segments" / path.name)
        for header in (old, new):
            for entry in header["sections"]:
                del entry["crc32"]
        assert new == old
        for name, array in old_arrays.items():
            np.testing.assert_allclose(
                new_arrays[name].astype(float), array.astype(float), rtol=1e-6, atol=1, err_msg=name
            )
            if array.dtype.kind == "f":
                tolerance = 1e-3 if array.dtype == np.float16 else 1e-6
                np.testing.assert_allclose(new_arrays[name], array, rtol=tolerance, err_msg=name)


def test_it_is_small() -> None:
    assert sum(map(len, files(GOLDEN).values())) < 200_000
