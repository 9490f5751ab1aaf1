"""Projection: what makes prefixes good.

A model trained with the Matryoshka loss needs none (:class:`Identity`). For other models an orthonormal
map, applied to documents and queries alike, moves what matters into the first coordinates without
changing a single full-dim score. Every projection has the same interface, and an index carries its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_dim
from kukla.errors import InputError, NewerFormatError

__all__ = ["Identity", "Projection"]


class Projection(ABC):
    """A map from the vectors of a space to the vectors that an index stores.

    Subclasses set ``kind``, by which :meth:`from_dict` finds them again. A projection is a value: those that
    :meth:`to_dict` and :meth:`arrays` describe alike are equal.
    """

    kind: ClassVar[str]
    _kinds: ClassVar[dict[str, type[Projection]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:  # else a subclass would take the place of its parent
            Projection._kinds[cls.kind] = cls

    dim_in: int
    dim_out: int

    @property
    def keeps_scores(self) -> bool:
        """Whether every full-dim inner product stays as it is, to rounding: only orthonormal maps do that."""
        return False

    @property
    def renormalises_prefixes(self) -> bool:
        """How a stage of a cosine index ranks by prefixes of what :meth:`transform` returns.

        ``True``: by the cosine of the renormalised prefixes, which ranked better on vectors as models make
        them. ``False``: by the partial dot product, which mostly ranked better after a fitted rotation,
        above all one fitted on few vectors: the length of a prefix then says how much of the vector the first
        directions explain. ``docs/projections.md`` has both, and cases of either.
        """
        return True

    @abstractmethod
    def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project rows ``(n, dim_in)`` to ``(n, dim_out)``, float32. Not renormalised."""

    @abstractmethod
    def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo :meth:`transform` for rows ``(n, dim_out)``: exact, up to rounding, where orthonormal."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-able parameters, ``kind`` included, without those that :meth:`arrays` returns."""

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The parameters that are arrays, by name: kept in a file of their own, beside the settings."""
        return {}

    @classmethod
    @abstractmethod
    def _from_dict(cls, parameters: Mapping[str, Any]) -> Projection: ...

    @staticmethod
    def from_dict(parameters: Mapping[str, Any]) -> Projection:
        """The projection that :meth:`to_dict` described, with its :meth:`arrays` among the parameters.

        Raises
        ------
        NewerFormatError
            When this version of Kukla does not know the kind.
        """
        if not isinstance(parameters, Mapping):
            raise InputError(f"a projection's parameters are a mapping, got {parameters!r}")
        kind = parameters.get("kind")
        if not isinstance(kind, str) or kind not in Projection._kinds:
            known = ", ".join(sorted(Projection._kinds))
            raise NewerFormatError(f"unknown projection {kind!r}; this version knows: {known}")
        return Projection._kinds[kind]._from_dict(parameters)

    def save(self, path: str | Path) -> None:
        """Write one file that :meth:`load` reads; see :func:`kukla.projection.save_projection`."""
        from kukla.projection.matrix_file import save_projection

        save_projection(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Projection:
        """Read a saved projection, or a bare matrix; see :func:`kukla.projection.load_projection`."""
        from kukla.projection.matrix_file import load_projection

        return load_projection(Path(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Projection) or type(self) is not type(other):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        return (
            self.to_dict() == other.to_dict()
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.dim_in, self.dim_out))


class Identity(Projection):
    """No change: for models that were trained with nested dims."""

    kind = "identity"

    def __init__(self, dim: int) -> None:
        self.dim_in = self.dim_out = check_dim(dim, what="the dim of a projection")

    @property
    def keeps_scores(self) -> bool:
        """``True``."""
        return True

    def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors

    def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "dim": self.dim_in}

    @classmethod
    def _from_dict(cls, parameters: Mapping[str, Any]) -> Identity:
        if not isinstance(parameters.get("dim"), int):
            raise InputError(f"an identity projection needs an integer dim, got {parameters.get('dim')!r}")
        return cls(parameters["dim"])

    def __repr__(self) -> str:
        return f"Identity({self.dim_in})"
