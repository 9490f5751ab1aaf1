"""Nested losses: a mean over the trained dims of the same loss on the renormalised prefix.

That is Matryoshka representation learning with equal weights (Kusupati et al. 2022, arXiv:2205.13147,
equation 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .data import Pair

__all__ = ["contrastive_loss", "false_negatives", "prefix", "similarity_loss"]


def prefix(x: Tensor, dim: int) -> Tensor:
    """The first ``dim`` coordinates of each row, L2-renormalised."""
    return F.normalize(x[:, :dim], dim=1)


def contrastive_loss(
    queries: Tensor, documents: Tensor, false: Tensor, dims: Sequence[int], scale: float
) -> Tensor:
    """Symmetric in-batch softmax (InfoNCE) at every dim; ``false`` (n, n) marks what is no negative."""
    target = torch.arange(len(queries))
    loss = queries.new_zeros(())
    for dim in dims:
        scores = (scale * prefix(queries, dim) @ prefix(documents, dim).T).masked_fill(false, -1e4)
        loss = loss + 0.5 * (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target))
    return loss / len(dims)


def similarity_loss(student: Tensor, teacher: Tensor, dims: Sequence[int], scale: float) -> Tensor:
    """KL from the teacher's to the student's softmax over the other texts of the batch, at every dim.

    It compares neighbourhoods, not coordinates, so it binds no axis and lets the contrastive loss rotate
    freely.
    """
    itself = torch.eye(len(student), dtype=torch.bool)
    wanted = F.softmax((scale * teacher @ teacher.T).masked_fill(itself, -1e4), dim=1)
    loss = student.new_zeros(())
    for dim in dims:
        x = prefix(student, dim)
        loss = loss + F.kl_div(
            F.log_softmax((scale * x @ x.T).masked_fill(itself, -1e4), dim=1), wanted, reduction="batchmean"
        )
    return loss / len(dims)


def false_negatives(heads: NDArray[np.int64], pairs: list[Pair]) -> Tensor:
    """Mark (n, n) documents of the same head as a query that *is* a head: they answer it just as well."""
    head = torch.from_numpy(heads)
    asks_head = torch.tensor([p.is_head for p in pairs])
    return ((head[:, None] == head[None, :]) & asks_head[:, None]).fill_diagonal_(False)
