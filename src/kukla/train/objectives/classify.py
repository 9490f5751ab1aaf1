"""Classification at every dim: heads of their own (MRL), or slices of one shared head (MRL-E)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.train.extra import import_torch
from kukla.train.schedule import parse_dims

torch = import_torch("training")

__all__ = ["Classification", "NestedHeads"]

Tensor = Any


class NestedHeads(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Linear classifiers of prefixes: ``heads(prefix)`` gives logits ``(n, classes)`` for each trained dim.

    Kusupati et al. 2022, eq. 1: W^(m) a dim; with ``shared`` (MRL-E, section 3) W^(m) is the first m
    columns of one W, and the bias is one too: no more parameters than a single classifier.

    Parameters
    ----------
    dims : sequence of int
        The prefix lengths; the largest is the width.
    classes : int
        At least 2.
    shared : bool
        MRL-E.
    """

    def __init__(self, dims: Sequence[int], classes: int, *, shared: bool = False) -> None:
        super().__init__()
        self.dims = tuple(sorted(parse_dims(dims)))
        self.classes = check_count(classes, what="the number of classes", least=2)
        self.shared = shared
        widths = self.dims[-1:] if shared else self.dims
        self.heads = torch.nn.ModuleDict({str(width): torch.nn.Linear(width, classes) for width in widths})

    def forward(self, prefix: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of prefixes ``(n, dim)``."""
        dim = prefix.shape[1]
        if dim not in self.dims:
            raise InputError(f"there is no head for {dim} dims; trained are {', '.join(map(str, self.dims))}")
        head = self.heads[str(self.dims[-1] if self.shared else dim)]
        return torch.nn.functional.linear(prefix, head.weight[:, :dim], head.bias)

    def arrays(self) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """A weight ``(classes, dim)`` and a bias ``(classes,)`` for each dim, float32, copied.

        What :class:`kukla.evaluate.LinearScores` takes: classifying needs no torch.
        """
        found = {}
        for dim in self.dims:
            head = self.heads[str(self.dims[-1] if self.shared else dim)]
            weight, bias = (one.detach().cpu().numpy().astype(np.float32) for one in (head.weight, head.bias))
            found[dim] = (weight[:, :dim].copy(), bias.copy())
        return found


class Classification(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Cross entropy of the classes that :class:`NestedHeads` see in one column of embeddings.

    ``labels`` are int64 ``(n,)`` in ``0..classes - 1``.
    """

    def __init__(self, heads: NestedHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """A scalar."""
        if len(embeddings) != 1:
            raise InputError(f"the classification loss takes 1 column of texts, got {len(embeddings)}")
        if labels is None:
            raise InputError("the classification loss needs a class for each text, got none")
        return torch.nn.functional.cross_entropy(self.heads(embeddings[0]), labels.reshape(-1))
