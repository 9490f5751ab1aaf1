"""The file of one segment's lists: every row once, blocks filled up, and errors for what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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


def places_of(found: SegmentLists) -> NDArray[np.intp]:
    """Where the code of each of ``found.rows`` is, counted in rows of all blocks."""
    sizes = np.diff(found.offsets.astype(np.intp))
    starts = found.blocks[:-1].astype(np.intp) * 32 - found.offsets[:-1].astype(np.intp)
    return np.arange(len(found.rows)) + np.repeat(starts, sizes)


def flat(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes and their stretches, a row each."""
    return blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])


def blocks_of(found: SegmentLists, number: int) -> list[NDArray[np.int64]]:
    """The rows of each block of a list."""
    rows = found.rows_of(number)
    return np.split(rows, range(32, len(rows), 32))


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
    assert found.bytes == size
    assert (found.shorts.shape[1:], found.longs.shape) == ((4 + 1, 32), (1500, 20))
    lists = partition.assign(rows)
    assert np.bincount(lists).max() > 64
    short, short_stretches, long, long_stretches = partition.encode(rows, lists)
    for number in range(partition.lists):
        blocks = blocks_of(found, number)
        assert len(blocks) == found.blocks[number + 1] - found.blocks[number]
        assert all((np.diff(block) > 0).all() for block in blocks)  # ascending: the order of ties
        np.testing.assert_array_equal(np.sort(found.rows_of(number)), np.flatnonzero(lists == number))
    # Short codes are in blocks, filled with zeros; records are in the order of rows.
    assert sorted(found.rows.tolist()) == list(range(1500))
    expected = np.zeros((len(found.shorts) * 32, 5), np.uint8)
    expected[places_of(found)] = np.column_stack([short, short_stretches])[found.rows]
    np.testing.assert_array_equal(flat(found.shorts), expected)
    np.testing.assert_array_equal(found.longs[:, :-2], long[found.rows])
    np.testing.assert_array_equal(found.longs[:, -2], long_stretches[found.rows])
    assert not found.longs[:, -1].any()


@pytest.mark.parametrize("step", [1 << 16, 64])
@pytest.mark.parametrize("cosine", [True, False])
def test_every_block_has_the_code_of_its_mean(
    partition: Partition, rows: Rows, path: Path, monkeypatch: pytest.MonkeyPatch, step: int, cosine: bool
) -> None:
    monkeypatch.setattr(module, "STEP_ROWS", step)
    write_lists(path, partition, rows, cosine=cosine)
    found = SegmentLists(path, partition, len(rows))
    count = len(found.shorts)
    assert count > 32  # more than one block of means
    assert found.means.shape == (-(-count // 32), partition.mean_bytes + 1, 32)
    means, numbers = [], []
    for number in range(partition.lists):
        for block in blocks_of(found, number):
            means.append(rows[block].mean(axis=0, dtype=np.float64))
            numbers.append(number)
    codes = flat(found.means)
    assert not codes[count:].any(), "the filling is zero"
    residuals = (np.stack(means) - partition.centroids[numbers]).astype(np.float32)
    expected, stretches = partition.mean.encode(residuals)
    # Another order of adding may choose another of two codewords that are as near, hardly ever.
    assert (codes[:count, :-1] == expected).mean() > 0.999
    assert (np.abs(codes[:count, -1].astype(int) - stretches) <= 1).mean() > 0.99
    lengths = np.linalg.norm(means, axis=1)
    routes = 1 / lengths if cosine else partition.routes[numbers]
    np.testing.assert_allclose(found.routes, routes, rtol=1e-5)


def test_means_without_a_direction_are_compared_as_their_lists_are(
    partition: Partition, rows: Rows, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of rows that point everywhere is nearly zero: one over its length would say nothing."""
    monkeypatch.setattr(module, "in_blocks", lambda rows, _: np.arange(len(rows)))
    opposite = np.repeat(rows[:1], 1024, axis=0)
    opposite[1:512:2] *= -0.9999
    alone = replace(partition, codes=np.zeros_like(partition.codes))  # the first of them has all rows
    write_lists(path, alone, opposite)
    found = SegmentLists(path, alone, 1024)
    assert 0 < np.linalg.norm(opposite[:32].mean(axis=0)) < module.LEAST_LENGTH
    np.testing.assert_allclose(found.routes, np.repeat([alone.routes[0], 1], 16), rtol=1e-5)


def test_a_list_of_few_rows_is_a_block_and_an_empty_one_none(
    partition: Partition, rows: Rows, path: Path
) -> None:
    """As in a segment that was added to a large index."""
    write_lists(path, partition, rows[:40])
    found = SegmentLists(path, partition, 40)
    sizes = np.diff(found.offsets.astype(int))
    assert 0 in sizes
    np.testing.assert_array_equal(np.diff(found.blocks.astype(int)), sizes > 0)
    assert found.shorts.shape == (np.count_nonzero(sizes), 5, 32)
    assert sorted(found.rows.tolist()) == list(range(40))


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
        lambda a: a.pop("means"),
        lambda a: a.pop("routes"),
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
        lambda a: a.update(means=a["means"][:-1]),
        lambda a: a.update(means=a["means"][:0]),
        lambda a: a.update(means=np.concatenate([a["means"], a["means"]])),
        lambda a: a.update(means=a["means"][:, 1:]),
        lambda a: a.update(means=a["means"][:, :, :16]),
        lambda a: a.update(means=a["means"].astype("|i1")),
        lambda a: a.update(means=np.empty((), "|u1")),
        lambda a: a.update(routes=a["routes"][:-1]),
        lambda a: a.update(routes=a["routes"][:0]),
        lambda a: a.update(routes=a["routes"][:, None]),
        lambda a: a.update(routes=a["routes"].astype("<f2")),
        lambda a: a.update(routes=a["routes"].astype("<u4")),
        lambda a: a.update(routes=np.empty((), "<f4")),
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
