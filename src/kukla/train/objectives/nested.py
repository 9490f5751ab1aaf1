"""Matryoshka representation learning as published: one loss at every nested dim, summed.

Kusupati et al. 2022 (arXiv 2205.13147), eq. 1: the sum over dims m of c_m L(z_{1:m}).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kukla.errors import InputError
from kukla.precision import Precision
from kukla.train.extra import import_torch
from kukla.train.objectives.distil import Divergence
from kukla.train.objectives.quantised import straight_through
from kukla.train.schedule import parse_dims, parse_weights

torch = import_torch("training")

__all__ = ["Core", "Nested", "nested_weights"]

Tensor = Any
Core = Callable[[Sequence[Tensor], Tensor | None], Tensor]
nested_weights = parse_weights


@dataclass(frozen=True)
class Nested:
    """A core, a divergence from whole vectors, or both, at every dim and precision.

    Parameters
    ----------
    dims : sequence of int
        Prefix lengths; any order, no duplicates.
    core : callable, optional
        ``core(embeddings, labels)`` -> scalar, such as :class:`kukla.train.objectives.InBatch`.
    weights : "equal", "small" or sequence of float
        As :func:`nested_weights` reads them: in the order of ``dims``.
    dims_per_step : int, optional
        That many dims drawn at random (by torch's generator) in each step that takes gradients; their loss is
        scaled by the share of weights drawn, so that its expectation is that of all dims for equal weights.
    divergence : Divergence, optional
        Adds ``divergence_weight`` times the divergence of each prefix from the whole vectors; without a core
        it is the loss.
    precisions : sequence of Precision or str
        Each prefix is scored at each of them, equally; coarse ones pass gradients straight through.
    renormalise : bool
        Prefixes are L2-normalised. The paper's classifiers see them as they are: ``False``.

    Raises
    ------
    InputError
        Dims, weights, precisions that cannot be; neither a core nor a divergence.
    """

    dims: Sequence[int]
    core: Core | None = None
    weights: str | Sequence[float] = "equal"
    dims_per_step: int | None = None
    divergence: Divergence | None = None
    divergence_weight: float = 1.0
    precisions: Sequence[Precision | str] = (Precision.FLOAT32,)
    renormalise: bool = True

    def __post_init__(self) -> None:
        dims = parse_dims(self.dims)
        object.__setattr__(self, "weights", parse_weights(self.weights, dims))
        object.__setattr__(self, "dims", dims)
        object.__setattr__(self, "precisions", tuple(Precision.parse(one) for one in self.precisions))
        if self.core is None and self.divergence is None:
            raise InputError(
                "a nested loss needs a core, a divergence from whole vectors, or both; got neither"
            )
        if not self.precisions:
            raise InputError("a nested loss needs at least one precision, got none")
        if self.dims_per_step is not None and not 1 <= self.dims_per_step <= len(dims):
            raise InputError(f"dims per step must be from 1 to {len(dims)}, got {self.dims_per_step}")

    def parts(
        self,
        embeddings: Sequence[Tensor],
        labels: Tensor | None = None,
        *,
        targets: Sequence[Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """The loss of each dim, before its weight.

        Parameters
        ----------
        embeddings : sequence of tensors (n, width)
            One a column.
        labels : tensor (n,), optional
        targets : sequence of tensors (n, any width), optional
            What a teacher says of the same rows; by default the whole ``embeddings``.
        """
        width = embeddings[0].shape[1]
        if max(self.dims) > width:
            raise InputError(f"dims to train are up to {max(self.dims)}, the embeddings have {width}")
        target = None
        if self.divergence is not None:
            whole = [column.detach() for column in (embeddings if targets is None else targets)]
            target = self.divergence.similarities(whole)
        return {dim: self._at(dim, embeddings, labels, target) for dim in self._drawn()}

    def __call__(
        self,
        embeddings: Sequence[Tensor],
        labels: Tensor | None = None,
        *,
        targets: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The weighted sum of :meth:`parts`: a scalar."""
        return self.total(self.parts(embeddings, labels, targets=targets))

    def total(self, parts: dict[int, Tensor]) -> Tensor:
        """The weighted sum of what :meth:`parts` gave."""
        weights = dict(zip(self.dims, parse_weights(self.weights, self.dims), strict=True))
        drawn: Tensor = sum(weights[dim] * part for dim, part in parts.items())
        return drawn * (len(self.dims) / len(parts))

    def _drawn(self) -> list[int]:
        if self.dims_per_step is None or not torch.is_grad_enabled():
            return list(self.dims)
        chosen = torch.randperm(len(self.dims))[: self.dims_per_step].sort().values
        return [self.dims[place] for place in chosen.tolist()]

    def _at(
        self, dim: int, embeddings: Sequence[Tensor], labels: Tensor | None, target: Tensor | None
    ) -> Tensor:
        prefixes = [column[:, :dim] for column in embeddings]
        if self.renormalise:
            prefixes = [torch.nn.functional.normalize(column, dim=1) for column in prefixes]
        total: Tensor = 0.0
        for precision in self.precisions:
            stored = [straight_through(column, precision) for column in prefixes]
            if self.core is not None:
                total = total + self.core(stored, labels)
            if self.divergence is not None and target is not None:
                total = total + self.divergence_weight * self.divergence(stored, target)
        return total / len(self.precisions)
