"""Settings: what was decided when an index was made, and does not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from kukla.checks import as_float32, check_dim, normalise
from kukla.errors import ForeignFileError, InputError, KuklaError, NewerFormatError
from kukla.nesting import Nesting
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.projection import Identity, Projection
from kukla.space import Space
from kukla.storage.layout import Layout

__all__ = ["Metric", "Settings"]

Metric = Literal["cosine", "ip"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The space, metric, nesting, precisions, projection and default plan of an index."""

    space: Space
    metric: Metric
    nesting: Nesting
    precisions: tuple[Precision, ...]
    projection: Projection
    plan: Plan

    @classmethod
    def make(
        cls,
        *,
        dim: int | None,
        space: Space | None,
        metric: str,
        nesting: Iterable[int] | None,
        precisions: Iterable[Precision | str],
        plan: Plan | str | None,
        projection: Projection | None,
    ) -> Self:
        """Settings from the arguments of ``Index.create``, checked against each other."""
        if dim is not None:
            dim = check_dim(dim, what="dim")
        if space is None:
            if dim is None:
                raise InputError("give dim, space or embedder: an index must know the width of its vectors")
            space = Space.unknown(dim)
        if dim is not None and dim != space.dim:
            raise InputError(f"dim is {dim}, but the space has {space.dim} dims")
        if metric not in get_args(Metric):
            raise InputError(f"unknown metric {metric!r}; allowed: {', '.join(get_args(Metric))}")
        if projection is None:
            projection = Identity(space.dim)
        if projection.dim_in != space.dim:
            raise InputError(f"the projection takes {projection.dim_in} dims, but the space has {space.dim}")
        full = projection.dim_out
        # After a projection the model's trained dims mean nothing: its first coordinates are other ones.
        trained = space.trained_dims if type(projection) is Identity else ()
        nested = Nesting.default(full, trained) if nesting is None else Nesting(nesting)
        if nested.full != full:
            raise InputError(f"the last dim of the nesting must be the full dim {full}, got {nested}")
        kept = _check_precisions(precisions)
        chosen = Plan.default(nested, kept) if plan is None else Plan.of(plan)
        chosen.check(nested, kept)
        return cls(space, metric, nested, kept, projection, chosen)  # type: ignore[arg-type]

    @property
    def dim(self) -> int:
        """The width of the vectors that are added and searched."""
        return self.space.dim

    @property
    def cosine(self) -> bool:
        """Whether vectors are normalised."""
        return self.metric == "cosine"

    @property
    def renormalises_prefixes(self) -> bool:
        """Whether a stage ranks by the cosine of prefixes, not by their dot product."""
        return self.cosine and self.projection.renormalises_prefixes

    @property
    def layout(self) -> Layout:
        """What segments hold."""
        return Layout(self.nesting, self.precisions, self.cosine)

    def stored(self, vectors: NDArray[np.floating[Any]], *, first_row: int = 0) -> NDArray[np.float32]:
        """Finite rows ``(n, dim)`` as they are stored and compared: normalised for cosine, projected.

        Raises
        ------
        VectorError
            Naming an all-zero row (cosine), or one with a value beyond float32 (ip).
        """
        prepare = normalise if self.cosine else as_float32
        prepared = prepare(vectors, first_row=first_row)
        if type(self.projection) is Identity:
            return prepared
        projected = self.projection.transform(prepared)
        return np.ascontiguousarray(prepare(projected, first_row=first_row))

    def unprojected(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows as :meth:`stored` returns them, before the projection: for cosine of length 1 as far as known.

        A map that is not orthonormal changed lengths, and they were normalised after it.
        """
        rows = self.projection.inverse(stored)
        return normalise(rows) if self.cosine and not self.projection.keeps_scores else rows

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the inverse of :meth:`from_dict`."""
        return {
            "space": self.space.to_dict(),
            "metric": self.metric,
            "nesting": list(self.nesting),
            "precisions": [precision.value for precision in self.precisions],
            "projection": self.projection.to_dict(),
            "plan": str(self.plan),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str) -> Self:
        """Settings as a catalog holds them; ``source`` names it in errors."""
        try:
            return cls.make(
                dim=None,
                space=Space.from_dict(values["space"]),
                metric=values["metric"],
                nesting=values["nesting"],
                precisions=values["precisions"],
                plan=values["plan"],
                projection=Projection.from_dict(values["projection"]),
            )
        except NewerFormatError:
            raise
        except (KeyError, TypeError, AttributeError, KuklaError) as error:
            raise ForeignFileError(
                f"{source} holds settings that are not those of an index: {error!r}"
            ) from None


def _check_precisions(precisions: Iterable[Precision | str]) -> tuple[Precision, ...]:
    if isinstance(precisions, str) or not isinstance(precisions, Iterable):
        raise InputError(f"precisions is a list of names, got {precisions!r}")
    kept = tuple(sorted({Precision.parse(p) for p in precisions}, key=lambda precision: precision.bits))
    if not any(precision.is_float for precision in kept):
        raise InputError(
            "an index keeps float32 or float16 vectors for the last stage; give at least one of them"
        )
    return kept
