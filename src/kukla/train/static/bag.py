"""Token vectors as a trainable parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.train.extra import import_torch

torch = import_torch("distilling a model")

__all__ = ["Bag", "Tokens", "descend", "set_rate"]

Tensor = Any
Tokens = NDArray[np.int32]

_WARM_UP_STEPS = 20


class Bag:
    """Token vectors (V, D) as a trainable parameter; a text is the plain mean of its tokens."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.weight = torch.nn.Parameter(torch.from_numpy(vectors.copy()))

    def __call__(self, rows: Sequence[Tokens]) -> Tensor:
        """float32 (n, D); a row without tokens is zeros."""
        lengths = np.fromiter((len(r) for r in rows), dtype=np.int64, count=len(rows))
        offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)[:-1]))
        ids = torch.from_numpy(np.concatenate(rows).astype(np.int64))
        return torch.nn.functional.embedding_bag(ids, self.weight, torch.from_numpy(offsets), mode="mean")

    def numpy(self) -> NDArray[np.float32]:
        """A copy of the vectors, float32 (V, D)."""
        copied: NDArray[np.float32] = self.weight.detach().numpy().copy()
        return copied


def set_rate(optimiser: Any, rate: float, step: int, steps: int) -> None:
    """Linear warm-up over 20 steps, then linear decay to 2 %."""
    for group in optimiser.param_groups:
        group["lr"] = rate * min(1.0, (step + 1) / _WARM_UP_STEPS) * max(0.02, 1 - step / steps)


def descend(optimiser: Any, loss: Tensor) -> None:
    """One step down."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
