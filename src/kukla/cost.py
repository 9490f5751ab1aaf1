"""The cost model: what a plan reads, computes and keeps in memory, before it is run.

An estimate from sizes alone. ``bytes_read`` counts each code or coordinate that a stage scores once, with
the scale and the prefix norm that belong to it; ``operations`` counts multiply-adds (64-bit words of xor and
popcount for binary). Measured figures of a search are in its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kukla.errors import PlanError
from kukla.kernels.partition import BLOCK_ROWS
from kukla.nesting import Nesting
from kukla.partition.model import SHORTLIST, Partition, rows_wanted
from kukla.plan import Plan, Stage
from kukla.precision import Precision

__all__ = [
    "PlanCost",
    "StageCost",
    "bytes_before",
    "bytes_of_means",
    "bytes_per_row",
    "bytes_per_survivor",
    "bytes_per_vector",
    "plan_cost",
    "rows_in_lists",
    "survivors",
]

NORM_BYTES = 4
ROW_NUMBER_BYTES = 4
"""Of a row in a list beside its record."""

STRETCH_BYTES = 1
"""Of a row in a list beside its short code, and of a block beside the code of its mean. The filling of a
list's last block is not counted: at most 31 rows, and a part of a mean, of each list in each segment."""

ROUTE_BYTES = 4
"""Of a block beside the code of its mean."""

LIST_BYTES = 16
"""Of where the rows and the blocks of a list begin."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage for one query: candidates scored and kept, bytes read, operations.

    ``bytes_per_vector`` are those of each candidate; in lists the best are read once more. There ``scored``
    are the rows of the blocks that a query chooses by their means, of which it reads the codes before.
    """

    stage: Stage
    scored: int
    kept: int
    bytes_per_vector: int
    bytes_read: int
    operations: int


@dataclass(frozen=True, slots=True)
class PlanCost:
    """A plan for one query over ``documents`` vectors.

    ``resident_bytes`` is what the first stage reads and so keeps in memory; ``disk_bytes`` is everything
    that the index stores of the vectors, lists included (both without ids, text and metadata).
    """

    plan: Plan
    k: int
    documents: int
    stages: tuple[StageCost, ...]
    resident_bytes: int
    disk_bytes: int
    full_bytes_per_vector: int

    @property
    def full_bytes(self) -> int:
        """Bytes of the same vectors as float32 of the full dim."""
        return self.documents * self.full_bytes_per_vector

    @property
    def bytes_read(self) -> int:
        """Bytes that one query reads in all stages."""
        return sum(stage.bytes_read for stage in self.stages)

    @property
    def operations(self) -> int:
        """Operations of one query in all stages."""
        return sum(stage.operations for stage in self.stages)

    @property
    def memory_ratio(self) -> float:
        """How many times smaller what the first stage keeps in memory is than float32 vectors."""
        if self.resident_bytes:
            return self.full_bytes / self.resident_bytes
        return self.full_bytes_per_vector / self.stages[0].bytes_per_vector  # of no documents

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """The table of :meth:`__str__`: a header row, then one row a stage."""
        header = ("stage", "scores", "keeps", "bytes/vector", "bytes read", "operations")
        body = [
            (
                str(cost.stage),
                f"{cost.scored:,}",
                f"{cost.kept:,}",
                f"{cost.bytes_per_vector:,}",
                format_bytes(cost.bytes_read),
                f"{cost.operations:,}",
            )
            for cost in self.stages
        ]
        return [header, *body]

    def summary(self) -> str:
        """One line: what stays in memory, what lies on disk."""
        return (
            f"{self.documents:,} documents, k={self.k}: {format_bytes(self.resident_bytes)} in memory "
            f"({self.memory_ratio:.1f}x less than float32), {format_bytes(self.disk_bytes)} on disk, "
            f"{format_bytes(self.bytes_read)} read per query"
        )

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in rows
        ]
        return "\n".join([*lines, self.summary()])


def bytes_per_row(
    stage: Stage, nesting: Nesting, *, renormalise: bool, partition: Partition | None = None
) -> int:
    """Bytes of one document that a stage reads: its codes, their scales, and its prefix norm if needed.

    In lists of each document in a chosen block its short code; of :func:`survivors` more.
    """
    if stage.precision is Precision.PQ4:
        return _partition_of(stage, partition).short_bytes + STRETCH_BYTES
    if stage.precision.is_float:
        size = stage.precision.bytes_for(stage.dim)
    else:
        size = sum(stage.precision.bytes_for(high - low) for low, high in nesting.shells_of(stage.dim))
    needs_norm = renormalise and stage.dim < nesting.full and stage.precision is not Precision.BINARY
    return size + (NORM_BYTES if needs_norm else 0)


def bytes_before(stage: Stage, partition: Partition | None, documents: int) -> int:
    """Bytes that a stage reads for each query before it scores one of the index's documents.

    Of centroids, to choose lists, and of the means of their blocks, to choose blocks: of lists of average
    length, all of them with codes.
    """
    if stage.precision is not Precision.PQ4:
        return 0
    given = _partition_of(stage, partition)
    return given.choosing_bytes(stage.probes) + bytes_of_means(given, rows_in_lists(stage, given, documents))


def rows_in_lists(stage: Stage, partition: Partition, documents: int) -> int:
    """How many documents the lists that a stage looks into hold on average."""
    return -(-min(stage.probes or partition.lists, partition.lists) * documents // partition.lists)


def bytes_of_means(partition: Partition, rows: int) -> int:
    """Bytes of the means of the blocks of so many rows: their codes, stretches and routes."""
    return -(-rows // BLOCK_ROWS) * (partition.mean_bytes + STRETCH_BYTES + ROUTE_BYTES)


def survivors(stage: Stage, scored: int, kept: int) -> int:
    """How many of the rows that a stage scores it scores once more, by their long codes.

    Of several queries together at most so many.
    """
    return min(scored, SHORTLIST * kept) if stage.precision is Precision.PQ4 else 0


def bytes_per_survivor(stage: Stage, partition: Partition | None) -> int:
    """Bytes of each of them: its number, its long code and the stretch of that."""
    if stage.precision is not Precision.PQ4:
        return 0
    return _partition_of(stage, partition).code_bytes + ROW_NUMBER_BYTES


def _partition_of(stage: Stage, partition: Partition | None) -> Partition:
    if partition is None:
        raise PlanError(f"stage {stage}: the index has no lists; make them with its partition()")
    return partition


def _rows_bytes(partition: Partition, documents: int) -> int:
    """Bytes of the rows in lists: both codes, numbers, and the means of their blocks."""
    of_one = partition.short_bytes + STRETCH_BYTES + partition.code_bytes + ROW_NUMBER_BYTES
    return documents * of_one + bytes_of_means(partition, documents)


def _lists_bytes(partition: Partition, documents: int) -> int:
    """Bytes of the files of a partition and its lists, all of them with codes."""
    model = sum(array.nbytes for array in partition.arrays().values())
    return model + LIST_BYTES * partition.lists + _rows_bytes(partition, documents)


def bytes_per_vector(nesting: Nesting, precisions: Sequence[Precision], *, cosine: bool) -> int:
    """Bytes that an index stores for one vector in all its precisions, prefix norms included."""
    whole = sum(bytes_per_row(Stage(nesting.full, p), nesting, renormalise=False) for p in precisions)
    return whole + (NORM_BYTES * (len(nesting) - 1) if cosine else 0)


def plan_cost(
    plan: Plan,
    nesting: Nesting,
    precisions: Sequence[Precision],
    *,
    documents: int,
    k: int,
    cosine: bool = True,
    renormalise: bool = True,
    partition: Partition | None = None,
) -> PlanCost:
    """The cost of ``plan`` for one query over ``documents`` vectors.

    Raises
    ------
    PlanError
        When the plan does not fit the nesting and the precisions.
    """
    plan.check(nesting, precisions if partition is None else [*precisions, Precision.PQ4])
    stages = []
    scored = documents
    for stage in plan.stages:
        per_row = bytes_per_row(stage, nesting, renormalise=cosine and renormalise, partition=partition)
        before = again = 0
        if stage.precision is Precision.PQ4 and partition is not None:
            # Lists of average length; a query of more lists where these hold too few.
            probes, keep = min(stage.probes or partition.lists, partition.lists), min(stage.kept(k), scored)
            seen = max(keep, rows_in_lists(stage, partition, scored))
            centroids = partition.choosing_bytes(probes)
            before = centroids + bytes_of_means(partition, seen)
            scored = rows_wanted(seen, probes, partition.lists, keep)
            twice = survivors(stage, scored, keep)
            again = twice * bytes_per_survivor(stage, partition)
            operations = centroids + -(-seen // BLOCK_ROWS) * partition.mean.groups
            operations += scored * partition.short.groups + twice * partition.long.groups
        else:
            operations = scored * (-(-stage.dim // 64) if stage.precision is Precision.BINARY else stage.dim)
        kept = min(stage.kept(k), scored)
        stages.append(StageCost(stage, scored, kept, per_row, before + scored * per_row + again, operations))
        scored = kept
    return PlanCost(
        plan=plan,
        k=k,
        documents=documents,
        stages=tuple(stages),
        resident_bytes=_resident(stages[0], documents, partition),
        disk_bytes=documents * bytes_per_vector(nesting, precisions, cosine=cosine)
        + (0 if partition is None else _lists_bytes(partition, documents)),
        full_bytes_per_vector=nesting.full * 4,
    )


def _resident(first: StageCost, documents: int, partition: Partition | None) -> int:
    if first.stage.precision is Precision.PQ4 and partition is not None:
        return _rows_bytes(partition, documents) + partition.centroid_bytes
    return first.bytes_read


def format_bytes(count: float) -> str:
    """``1536`` as ``1.54 kB``: decimal units, three digits."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.3g} {units[0]}"
