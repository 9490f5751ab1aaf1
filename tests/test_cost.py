"""The cost model against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.partition.samples import clustered

from kukla import Index, Nesting, Plan, Precision, Stage, kernels
from kukla.cost import (
    bytes_per_row,
    bytes_per_survivor,
    bytes_per_vector,
    format_bytes,
    plan_cost,
    survivors,
)
from kukla.errors import PlanError
from kukla.partition import Partition, train_partition
from kukla.partition.model import SHORTLIST
from kukla.precision import VECTOR_PRECISIONS
from kukla.storage.layout import Layout

NESTING = Nesting((64, 128, 256, 512, 1536))
KEPT = (Precision.BINARY, Precision.INT8, Precision.FLOAT32)
EXAMPLE = Plan.parse("256:binary@200 > 1536:int8@20 > 1536:float32")

TABLE = """\
stage              scores  keeps  bytes/vector  bytes read  operations
256:binary@200  1,000,000    200            32       32 MB   4,000,000
1536:int8@20          200     20         1,556      311 kB     307,200
1536:float32           20     10         6,144      123 kB      30,720
1,000,000 documents, k=10: 32 MB in memory (192.0x less than float32), 7.91 GB on disk, \
32.4 MB read per query"""


def test_the_example_of_the_design() -> None:
    cost = plan_cost(EXAMPLE, NESTING, KEPT, documents=1_000_000, k=10)
    # The sign bits of 256 coordinates: 32 bytes, or four 64-bit words.
    assert cost.stages[0].bytes_per_vector == 32
    assert (cost.stages[0].scored, cost.stages[0].kept) == (1_000_000, 200)
    assert (cost.stages[0].bytes_read, cost.stages[0].operations) == (32_000_000, 4_000_000)
    # 1536 codes and a float32 scale for each of five shells.
    assert cost.stages[1].bytes_per_vector == 1536 + 5 * 4
    assert (cost.stages[1].scored, cost.stages[1].kept) == (200, 20)
    assert (cost.stages[1].bytes_read, cost.stages[1].operations) == (200 * 1556, 200 * 1536)
    assert cost.stages[2].bytes_per_vector == 1536 * 4
    assert (cost.stages[2].scored, cost.stages[2].kept) == (20, 10)
    assert (cost.stages[2].bytes_read, cost.stages[2].operations) == (20 * 6144, 20 * 1536)

    assert cost.bytes_read == 32_000_000 + 311_200 + 122_880
    assert cost.operations == 4_000_000 + 307_200 + 30_720
    assert cost.resident_bytes == 32_000_000
    # Signs, codes with scales, floats, and the norms of four prefixes.
    assert cost.disk_bytes == 1_000_000 * (192 + 1556 + 6144 + 4 * 4)
    assert cost.full_bytes == 1_000_000 * 6144
    assert cost.memory_ratio == 192.0


def test_the_table() -> None:
    assert str(plan_cost(EXAMPLE, NESTING, KEPT, documents=1_000_000, k=10)) == TABLE


def test_no_stage_scores_or_keeps_more_than_there_is() -> None:
    cost = plan_cost(EXAMPLE, NESTING, KEPT, documents=15, k=50)
    assert [(stage.scored, stage.kept) for stage in cost.stages] == [(15, 15)] * 3


def test_k_widens_a_shortlist_that_is_smaller() -> None:
    cost = plan_cost(EXAMPLE, NESTING, KEPT, documents=1_000_000, k=100)
    assert [stage.kept for stage in cost.stages] == [200, 100, 100]


def test_an_empty_index_costs_nothing_and_keeps_its_ratio() -> None:
    cost = plan_cost(EXAMPLE, NESTING, KEPT, documents=0, k=10)
    assert (cost.bytes_read, cost.operations, cost.resident_bytes, cost.disk_bytes) == (0, 0, 0, 0)
    assert cost.memory_ratio == 192.0


@pytest.mark.parametrize(
    ("stage", "cosine", "expected"),
    [
        ("64:binary", True, 8),
        ("64:int8", True, 64 + 4 + 4),  # codes, one shell's scale, the prefix norm
        ("64:int8", False, 64 + 4),
        ("128:int8", True, 128 + 2 * 4 + 4),
        ("1536:int8", True, 1536 + 5 * 4),  # a whole vector has length 1
        ("64:float32", True, 256 + 4),
        ("64:float32", False, 256),
        ("64:float16", True, 128 + 4),
        ("1536:float16", True, 3072),
    ],
)
def test_bytes_of_a_row(stage: str, cosine: bool, expected: int) -> None:
    assert bytes_per_row(Stage.parse(stage), NESTING, renormalise=cosine) == expected


def test_signs_are_padded_to_bytes_in_every_shell() -> None:
    nesting = Nesting((3, 10, 20))
    stages = [Stage(dim, Precision.BINARY) for dim in nesting]
    assert [bytes_per_row(stage, nesting, renormalise=True) for stage in stages] == [1, 2, 4]


@pytest.mark.parametrize("dims", [(8,), (3, 10, 20), (64, 128, 256, 512, 1536)])
@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("precisions", [KEPT, (Precision.FLOAT16,), VECTOR_PRECISIONS])
def test_the_model_counts_what_segments_hold(
    dims: tuple[int, ...], cosine: bool, precisions: tuple[Precision, ...]
) -> None:
    nesting = Nesting(dims)
    stored = sum(
        int(np.dtype(dtype).itemsize * np.prod(shape))
        for name, dtype, shape in Layout(nesting, precisions, cosine).fields()
        if name != "keys"
    )
    assert bytes_per_vector(nesting, precisions, cosine=cosine) == stored


@pytest.fixture(scope="module")
def partition() -> Partition:
    rows = clustered(600, 200)
    with kernels.use(kernels.available()[0]):
        return train_partition(rows, lists=50, code_bytes=32)


def test_a_plan_that_looks_into_lists(partition: Partition) -> None:
    """The centroids' heads and the rest of those of the probes; the means of a tenth of the blocks; the rows
    of the best of these by their short codes; the best rows by their long codes."""
    nesting = Nesting((64, 200))
    options = {"documents": 100_000, "k": 10, "partition": partition}
    cost = plan_cost(Plan.parse("200:pq4/5@100 > 200:float32"), nesting, KEPT, **options)  # type: ignore[arg-type]
    centroids = 50 * 128 + 50 * 8 + 5 * 72
    blocks = 313  # of 10,000 rows in a tenth of the lists
    first, second = cost.stages
    assert (first.scored, first.kept, first.bytes_per_vector) == (2500, 100, 8 + 1)
    twice = 100 * SHORTLIST
    assert first.bytes_read == centroids + blocks * (16 + 1 + 4) + 2500 * 9 + twice * (32 + 4)
    assert first.operations == centroids + blocks * 32 + 2500 * 16 + twice * 60  # a look-up for each group
    assert (second.scored, second.bytes_read) == (100, 100 * 800)
    all_blocks = 3125 * (16 + 1 + 4)
    assert cost.resident_bytes == 100_000 * (9 + 36) + all_blocks + 50 * (200 + 4 + 4)
    assert cost.memory_ratio == 100_000 * 800 / cost.resident_bytes
    everything = plan_cost(Plan.parse("200:pq4@100 > 200:float32"), nesting, KEPT, **options)  # type: ignore[arg-type]
    assert everything.stages[0].scored == 100_000
    assert everything.stages[0].bytes_read == 50 * (128 + 8 + 72) + all_blocks + 100_000 * 9 + twice * 36
    # Of four fifths of the lists, four fifths; of few rows, all that are scored by long codes.
    most = plan_cost(Plan.parse("200:pq4/40@100 > 200:float32"), nesting, KEPT, **options)  # type: ignore[arg-type]
    assert most.stages[0].scored == 100_000 * 0.8 * 0.8 * 0.8
    long = plan_cost(Plan.parse("200:pq4/5@600 > 200:float32"), nesting, KEPT, **options)  # type: ignore[arg-type]
    assert long.stages[0].scored == 600 * SHORTLIST
    # So few lists do not hold what is kept: more are looked into.
    few = plan_cost(Plan.parse("200:pq4/1@5000 > 200:float32"), nesting, KEPT, **options)  # type: ignore[arg-type]
    assert few.stages[0].scored == 5000
    assert few.stages[0].bytes_read == 50 * (128 + 8) + 72 + 157 * 21 + 5000 * (9 + 36)  # all twice


def test_a_stage_without_lists_scores_nothing_twice() -> None:
    stage = Stage.parse("1536:int8@20")
    assert survivors(stage, 1000, 20) == bytes_per_survivor(stage, None) == 0
    lists = Stage.parse("1536:pq4/9@20")
    assert survivors(lists, 100_000, 20) == 20 * SHORTLIST
    assert survivors(lists, 30, 20) == 30
    with pytest.raises(PlanError, match="the index has no lists"):
        bytes_per_survivor(lists, None)


def test_lists_on_disk_are_what_their_files_hold(tmp_path: Path) -> None:
    """But for the filling of last blocks, of rows and of means, the headers and alignment."""
    lists, rows = 60, clustered(3000, 48)
    with Index.create(tmp_path / "index", dim=48) as index:
        index.add(rows)
        without = index.explain().disk_bytes
        index.partition(lists, code_bytes=8)
        counted, found = index.explain().disk_bytes - without, index.info().partition
    assert found is not None
    filling = (31 * (2 + 1) + (4 + 1 + 4)) * lists + 31 * (4 + 1)
    assert counted <= found.bytes <= counted + filling + 4096


def test_without_lists_such_a_plan_has_no_cost() -> None:
    with pytest.raises(PlanError, match="the index has no lists"):
        plan_cost(Plan.parse("1536:pq4@9 > 1536:float32"), NESTING, KEPT, documents=1, k=1)


def test_a_plan_that_does_not_fit_has_no_cost() -> None:
    with pytest.raises(PlanError, match="dim 100 is not in the nesting"):
        plan_cost(Plan.parse("100:float32"), NESTING, KEPT, documents=1, k=1)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (7.908e9, "7.91 GB"),
        (2.5e13, "25 TB"),
    ],
)
def test_bytes_are_printed_with_decimal_units(count: float, text: str) -> None:
    assert format_bytes(count) == text
