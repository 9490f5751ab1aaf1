"""What an index says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kukla import kernels
from kukla.settings import Settings
from kukla.space import Space
from kukla.storage.store import View

__all__ = ["CHANGED", "IndexInfo", "describe"]

CHANGED = "not orthonormal: exact is about the vectors after it, not the model's own"
"""Said beside a projection that does not keep scores."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """Counts, sizes in bytes, and settings of an index, and the kernels that would run.

    ``deleted_rows`` still take room until ``compact``. ``vector_bytes`` are the segment files, vectors in all
    precisions with ids and norms; ``catalog_bytes`` texts, metadata and ids. ``keeps_scores`` is whether
    full-dim scores are those of the vectors that were given, which an adaptor's are not: exact search and
    certificates are then about the vectors after the projection.
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; of the space only provider, model, revision and dims."""
        space = {
            name: getattr(self.space, name)
            for name in ("provider", "model", "revision", "dim", "trained_dims")
        }
        return {name: getattr(self, name) for name in self.__slots__} | {"space": space}


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
    )
