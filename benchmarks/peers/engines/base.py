"""What a peer must offer to be measured: build to disk, open, answer one query, answer a batch.

An engine is used in two kinds of process. One builds: vectors in, a folder with everything out. Others open
that folder and search it, so that what building left in memory is not counted. A library is imported inside
the methods: a peer that is not installed is recorded as failed, and the others run.

Building and opening state their parameters as plain values. The grids (`builds`, `searches`) are the peer's
own best as we could find it; each file says where its guide was read. Order matters: the first build is what
the guide recommends, and searches go from the cheapest to the dearest: once one has reached recall .9995,
those that ask for at least as much in every parameter are skipped. `quick_builds` are the one or two builds
that have been the peer's best before, at a million rows; each is searched with its whole grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Engine", "Floats", "Ids", "Params", "Shape", "power_of_two"]

Params = dict[str, Any]
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a grid may depend on."""

    rows: int
    dim: int

    def prefixes(self, *wanted: int) -> list[int]:
        """Those of the wanted prefix lengths that are shorter than the vectors; else all of their dims."""
        return [dim for dim in wanted if dim < self.dim] or [self.dim]


def power_of_two(value: float) -> int:
    """The power of two nearest to a value on a log scale, at least 16."""
    return max(16, 1 << round(float(np.log2(value))))


class Engine(ABC):
    """One peer. Subclasses are found by the name of their module."""

    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions key the results; the first is what `pip install` needs."""
    modules: ClassVar[tuple[str, ...]]
    """What to import before memory is first measured: a library's own data is not its index."""
    guide: ClassVar[str]
    """Where the grid's advice was read."""

    @staticmethod
    @abstractmethod
    def builds(shape: Shape) -> list[Params]:
        """Every index to build."""

    @classmethod
    def quick_builds(cls, shape: Shape) -> list[Params]:
        """The builds of `--quick`."""
        return cls.builds(shape)[:1]

    @staticmethod
    @abstractmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        """Every way to search one of them, cheapest first."""

    @classmethod
    def version(cls) -> str:
        """As results are keyed."""
        from importlib.metadata import version

        return version(cls.packages[0])

    @abstractmethod
    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        """Index all rows of `base` (mapped) and leave in `folder` what `open` needs."""

    @abstractmethod
    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        """Make ready to search. `base` is mapped, for engines that rescore with it."""

    @abstractmethod
    def configure(self, search: Params) -> None:
        """Take the parameters of the searches that follow."""

    @abstractmethod
    def one(self, query: Floats, k: int) -> Ids:
        """Row numbers of the best `k` for one query (dim,), best first."""

    @abstractmethod
    def batch(self, queries: Floats, k: int) -> Ids:
        """The same for (n, dim), in as many threads as `open` was given: (n, k), -1 where there are fewer."""

    def full_vectors(self) -> int:
        """Bytes of whole float32 vectors this engine holds in private memory: not counted as its index."""
        return 0

    def full_vector_ranges(self) -> list[tuple[Path, int, int]]:
        """Where in mapped files of its own it keeps whole float32 vectors: (file, first byte, bytes)."""
        return []

    def bytes_read(self) -> float | None:
        """Bytes that one query at the present parameters has to read, or None where we cannot tell."""
        return None
