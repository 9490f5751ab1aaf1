"""The file of one segment's lists: every row once, blocks filled up, and errors for what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla.errors import ForeignFileError
from kukla.partition import Partition
from kukla.partition import lists as module
from kukla.partition.lists import SegmentLists, lists_path, write_lists
from kukla.storage.container import Section, open_container, write_container

Rows = NDArray[np.float32]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lists_path(tmp_path / "00000042.seg", 3)


def shorts_of(found: SegmentLists, number: int) -> NDArray[np.uint8]:
    """The short codes of one list and their stretches, a row each."""
    blocks = found.blocks_of(number)
    count = int(found.offsets[number + 1] - found.offsets[number])
    flat = blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])
    assert not flat[count:].any(), "the filling is zero"
    assert len(flat) - count < 32
    return flat[:count]


@pytest.mark.parametrize("step", [1 << 16, 64])
def test_every_row_is_in_its_list_with_its_code(
    partition: Partition, rows: Rows, path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(module, "STEP_ROWS", step)
    seen: list[int] = []
    size = write_lists(path, partition, rows, threads=2, progress=lambda done, _: seen.append(done))
    assert path.name == "00000042.3.lists"
    assert size == path.stat().st_size
    assert seen == [min(at + step, 1500) for at in range(0, 1500, step)]
    found = SegmentLists(path, partition, len(rows))
    assert found.coded
    assert found.bytes == size
    assert (found.shorts.shape[1:], found.longs.shape) == ((4 + 1, 32), (1500, 20))
    lists = partition.assign(rows)
    short, short_stretches, long, long_stretches = partition.encode(rows, lists)
    for number in range(partition.lists):
        members = np.flatnonzero(lists == number)  # ascending: the order of ties
        np.testing.assert_array_equal(found.rows_of(number), members)
        shorts = shorts_of(found, number)
        np.testing.assert_array_equal(shorts[:, :-1], short[members])
        np.testing.assert_array_equal(shorts[:, -1], short_stretches[members])
    # Records are in the order of rows.
    assert sorted(found.rows.tolist()) == list(range(1500))
    np.testing.assert_array_equal(found.longs[:, :-2], long[found.rows])
    np.testing.assert_array_equal(found.longs[:, -2], long_stretches[found.rows])
    assert not found.longs[:, -1].any()


def test_short_lists_have_no_codes(partition: Partition, rows: Rows, path: Path) -> None:
    write_lists(path, partition, rows[:239])  # one row short of eight a list
    found = SegmentLists(path, partition, 239)
    assert (found.coded, len(found.blocks)) == (False, 0)
    assert (found.shorts.shape, found.longs.shape) == ((0, 5, 32), (0, 20))
    assert sorted(found.rows.tolist()) == list(range(239))
    write_lists(path, partition, rows[:240])
    assert SegmentLists(path, partition, 240).coded


def test_float16_vectors_are_listed_as_they_are_stored(partition: Partition, rows: Rows, path: Path) -> None:
    half = rows.astype(np.float16)
    write_lists(path, partition, half)
    found = SegmentLists(path, partition, 1500)
    lists = partition.assign(half.astype(np.float32))
    np.testing.assert_array_equal(np.diff(found.offsets.astype(int)), np.bincount(lists, minlength=30))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("rows"),
        lambda a: a.pop("shorts"),
        lambda a: a.pop("longs"),
        lambda a: a.update(offsets=a["offsets"][:-1]),
        lambda a: a.update(offsets=a["offsets"].astype("<i8")),
        lambda a: a.update(offsets=a["offsets"] + np.uint64(1)),
        lambda a: a.update(offsets=np.where(np.arange(31) == 4, 2**62, a["offsets"]).astype("<u8")),
        lambda a: a.update(offsets=np.where(np.arange(31) == 4, 2**64 - 1, a["offsets"]).astype("<u8")),
        lambda a: a.update(offsets=np.empty(0, "<u8")),
        lambda a: a.update(offsets=np.empty((), "<u8")),
        lambda a: a.update(rows=np.zeros(7, "<u4")),
        lambda a: a.update(rows=a["rows"].astype("<i8")),
        lambda a: a.update(blocks=a["blocks"] + np.uint64(1)),
        lambda a: a.update(blocks=np.empty(0, "<u8")),
        lambda a: a.update(blocks=np.minimum(a["blocks"], 3)),
        lambda a: a.update(shorts=a["shorts"][:-1]),
        lambda a: a.update(shorts=a["shorts"][:, :4]),
        lambda a: a.update(shorts=a["shorts"][:, :, :16]),
        lambda a: a.update(shorts=a["shorts"].astype("|i1")),
        lambda a: a.update(shorts=a["shorts"][:0]),
        lambda a: a.update(longs=a["longs"][:-1]),
        lambda a: a.update(longs=a["longs"][:0]),
        lambda a: a.update(longs=a["longs"][:, :-2]),
        lambda a: a.update(longs=a["longs"].astype("|i1")),
    ],
)  # fmt: skip
def test_lists_of_another_partition_or_segment_are_foreign(
    partition: Partition, rows: Rows, path: Path, change: Change
) -> None:
    """With valid checksums, as a file copied from elsewhere has."""
    write_lists(path, partition, rows)
    _, arrays = open_container(path)
    changed = {name: np.array(array) for name, array in arrays.items()}
    change(changed)
    path.unlink()
    sections = [
        Section(name, array.dtype.str, array.shape, lambda array=array: (array,))  # type: ignore[misc]
        for name, array in changed.items()
    ]
    write_container(path, sections, {"rows": 1500})
    with pytest.raises(ForeignFileError, match=r"00000042\.3\.lists holds no lists of this partition"):
        SegmentLists(path, partition, 1500)
