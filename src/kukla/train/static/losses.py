"""Nested losses: a mean over the trained dims of the same loss on the renormalised prefix.

That is Matryoshka representation learning with equal weights (Kusupati et al. 2022, arXiv:2205.13147,
equation 1). Unlike :class:`kukla.train.objectives.InBatch` these know what is no negative, and ask both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.train.extra import import_torch

torch = import_torch("distilling a model")
functional = torch.nn.functional

__all__ = ["contrastive_loss", "prefix", "same_heads", "similarity_loss"]

Tensor = Any

_NEVER = -1e4


def prefix(x: Tensor, dim: int) -> Tensor:
    """The first ``dim`` coordinates of each row, L2-renormalised."""
    return functional.normalize(x[:, :dim], dim=1)


def contrastive_loss(
    queries: Tensor, documents: Tensor, false: Tensor, dims: Sequence[int], scale: float
) -> Tensor:
    """Symmetric in-batch softmax (InfoNCE) at every dim; ``false`` (n, n) marks what is no negative."""
    target = torch.arange(len(queries))
    loss = queries.new_zeros(())
    for dim in dims:
        scores = (scale * prefix(queries, dim) @ prefix(documents, dim).T).masked_fill(false, _NEVER)
        both = functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
        loss = loss + 0.5 * both
    return loss / len(dims)


def similarity_loss(student: Tensor, teacher: Tensor, dims: Sequence[int], scale: float) -> Tensor:
    """KL from the teacher's to the student's softmax over the other texts of the batch, at every dim.

    It compares neighbourhoods, not coordinates, so it binds no axis and lets the contrastive loss rotate
    freely.
    """
    itself = torch.eye(len(student), dtype=torch.bool)
    wanted = functional.softmax((scale * teacher @ teacher.T).masked_fill(itself, _NEVER), dim=1)
    loss = student.new_zeros(())
    for dim in dims:
        x = prefix(student, dim)
        found = functional.log_softmax((scale * x @ x.T).masked_fill(itself, _NEVER), dim=1)
        loss = loss + functional.kl_div(found, wanted, reduction="batchmean")
    return loss / len(dims)


def same_heads(heads: NDArray[np.int64], asked: NDArray[np.bool_]) -> Tensor:
    """Mark (n, n) documents of the same head as a query that *is* a head: they answer it just as well."""
    head = torch.from_numpy(heads)
    return ((head[:, None] == head[None, :]) & torch.from_numpy(asked)[:, None]).fill_diagonal_(False)
