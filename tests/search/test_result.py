"""The result of a search: nothing in it changes, whenever it is asked what it says of itself."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kukla import Index, SearchResult, kernels

ROWS = np.random.default_rng(7).normal(size=(60, 16)).astype(np.float32)
PLAN = "8:binary@20 > 16:int8@8 > 16:float32"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", dim=16, nesting=(8, 16)) as made:
        made.add(ROWS)
        yield made


@pytest.mark.parametrize("name", kernels.available())
def test_it_travels_between_processes(index: Index, name: str) -> None:
    with kernels.use(name):
        found = index.search(ROWS[:4], 3, plan=PLAN)
    copied = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copied.ids, found.ids)
    assert (copied.stages, copied.certificates()) == (found.stages, found.certificates())


@pytest.mark.parametrize("name", ["ids", "scores", "plan", "stages", "seconds", "evidence", "proof", "other"])
def test_nothing_can_be_set(index: Index, name: str) -> None:
    found = index.search(ROWS[0], 3)
    with pytest.raises(AttributeError):
        setattr(found, name, None)


def test_what_a_search_did_can_be_asked_after_the_index_has_changed(index: Index) -> None:
    def said(found: SearchResult) -> object:
        return found.stages, found.evidence.cuts.tolist(), found.evidence.kth.tolist(), found.certificates()

    early, late = index.search(ROWS[:4], 3, plan=PLAN), index.search(ROWS[:4], 3, plan=PLAN)
    before = said(early)
    index.delete(range(10))
    index.add(-ROWS)
    index.compact()
    index.search(ROWS[:9], 5, plan=PLAN)
    assert said(early) == before
    assert [stage[:4] for stage in late.stages] == [stage[:4] for stage in early.stages]
    assert said(late)[1:] == before[1:]  # type: ignore[index]
    assert (late.scanned, late.rescored) == (240, 4 * (20 + 8))
    assert late.evidence is late.evidence
