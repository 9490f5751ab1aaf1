"""What an index says about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kukla import kernels
from kukla.settings import Settings
from kukla.space import Space
from kukla.storage.store import View

__all__ = ["CHANGED", "IndexInfo", "PartitionInfo", "describe"]

CHANGED = "not orthonormal: exact is about the vectors after it, not the model's own"
"""Said beside a projection that does not keep scores."""


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """The lists of an index: how many, bytes of codes, rows of the shortest and longest list.

    ``short_bytes`` and ``code_bytes`` are those of a row's two codes, ``mean_bytes`` of the code of the mean
    of 32 rows.

    ``bytes`` are those of centroids, codebooks and the files of lists. ``segments_without_lists`` are small,
    or were written by an earlier version, and are scanned. Deleted rows count until ``compact``.
    """

    lists: int
    mean_bytes: int
    short_bytes: int
    code_bytes: int
    bytes: int
    segments_without_lists: int
    shortest: int
    median: int
    longest: int


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """Counts, sizes in bytes, and settings of an index, and the kernels that would run.

    ``deleted_rows`` still take room until ``compact``. ``vector_bytes`` are the segment files, vectors in all
    precisions with ids and norms; ``catalog_bytes`` texts, metadata and ids. ``keeps_scores`` is whether
    full-dim scores are those of the vectors that were given, which an adaptor's are not: exact search and
    certificates are then about the vectors after the projection.
    ``partition`` is ``None`` where there are no lists; ``earlier_lists`` is whether there are some that an
    earlier version of Kukla made, which are not used: partition again.
    """

    path: str
    documents: int
    deleted_rows: int
    segments: int
    space: Space
    metric: str
    nesting: tuple[int, ...]
    precisions: tuple[str, ...]
    projection: str
    keeps_scores: bool
    plan: str
    vector_bytes: int
    catalog_bytes: int
    kernels: str
    partition: PartitionInfo | None = None
    earlier_lists: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; of the space only provider, model, revision and dims."""
        space = {
            name: getattr(self.space, name)
            for name in ("provider", "model", "revision", "dim", "trained_dims")
        }
        partition = None if self.partition is None else asdict(self.partition)
        own = {"space": space, "partition": partition}
        return {name: getattr(self, name) for name in self.__slots__} | own


def describe(folder: Path, view: View, settings: Settings) -> IndexInfo:
    """The :class:`IndexInfo` of one view."""
    rows = sum(segment.rows for segment in view.segments)
    return IndexInfo(
        path=str(folder),
        documents=view.count,
        deleted_rows=rows - view.count,
        segments=len(view.segments),
        space=settings.space,
        metric=settings.metric,
        nesting=settings.nesting.dims,
        precisions=tuple(precision.value for precision in settings.precisions),
        projection=settings.projection.kind,
        keeps_scores=settings.projection.keeps_scores,
        plan=str(settings.plan),
        vector_bytes=sum(segment.bytes for segment in view.segments),
        catalog_bytes=sum(path.stat().st_size for path in folder.glob("catalog.sqlite*")),
        kernels=kernels.active(),
        partition=_partition(view),
        earlier_lists=view.earlier_lists,
    )


def _partition(view: View) -> PartitionInfo | None:
    if view.partition is None:
        return None
    listed = [lists for lists in view.lists if lists is not None]
    sizes = np.zeros(view.partition.lists, dtype=np.int64)
    for lists in listed:
        ends = lists.offsets.astype(np.int64)
        sizes += ends[1:] - ends[:-1]
    return PartitionInfo(
        lists=view.partition.lists,
        mean_bytes=view.partition.mean_bytes,
        short_bytes=view.partition.short_bytes,
        code_bytes=view.partition.code_bytes,
        bytes=sum(array.nbytes for array in view.partition.arrays().values())
        + sum(lists.bytes for lists in listed),
        segments_without_lists=len(view.lists) - len(listed),
        shortest=int(sizes.min()),
        median=int(np.median(sizes)),
        longest=int(sizes.max()),
    )
