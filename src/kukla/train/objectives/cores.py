"""Loss cores: one number from the embeddings of a batch, whatever their dim.

Each is called as ``core(embeddings, labels)`` with a list of float tensors ``(n, dim)``, one a column, and
gives a scalar. The numbers are those of the losses of the same purpose in sentence-transformers
(``tests/train/test_parity.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kukla.errors import InputError
from kukla.train.extra import import_torch

torch = import_torch("training")
functional = torch.nn.functional

__all__ = ["CoSent", "CosineRegression", "InBatch", "Triplet"]

Tensor = Any


@dataclass(frozen=True)
class InBatch:
    """The cross entropy of each query's document among all documents of the batch.

    Multiple negatives ranking (Henderson et al. 2017, arXiv 1705.00652; van den Oord et al. 2018, arXiv
    1807.03748, eq. 4). Columns: queries, their documents, then hard negatives, any number; those of one
    query are negatives of all.

    Parameters
    ----------
    scale : float
        The inverse temperature that cosines are multiplied by.
    """

    scale: float = 20.0

    def __call__(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """A scalar; ``labels`` are not looked at."""
        _columns(embeddings, 2, None, "in-batch contrastive")
        queries, documents = embeddings[0], torch.cat(list(embeddings[1:]))
        scores = functional.normalize(queries, dim=1) @ functional.normalize(documents, dim=1).T
        own = torch.arange(len(queries), device=queries.device)
        return functional.cross_entropy(scores * self.scale, own)


@dataclass(frozen=True)
class Triplet:
    """``max(0, distance(anchor, positive) - distance(anchor, negative) + margin)``, the mean of it.

    Schroff et al. 2015 (FaceNet, arXiv 1503.03832, eq. 2). Columns: anchor, positive, negative. ``cosine``
    distance is 1 - cosine; ``euclidean`` is of the vectors as they come, which :class:`Nested` renormalises.
    """

    margin: float = 0.5
    distance: Literal["cosine", "euclidean"] = "cosine"

    def __call__(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """A scalar; ``labels`` are not looked at."""
        _columns(embeddings, 3, 3, "triplet")
        anchor, positive, negative = embeddings
        if self.distance == "cosine":
            near, far = (1 - functional.cosine_similarity(anchor, other) for other in (positive, negative))
        else:
            near, far = (functional.pairwise_distance(anchor, other) for other in (positive, negative))
        return (near - far + self.margin).relu().mean()


@dataclass(frozen=True)
class CosineRegression:
    """The mean squared difference between the cosine of two columns and the score in ``labels`` (n,)."""

    def __call__(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """A scalar."""
        _columns(embeddings, 2, 2, "cosine regression")
        cosines = functional.cosine_similarity(embeddings[0], embeddings[1])
        return functional.mse_loss(cosines, _labels(labels, cosines))


@dataclass(frozen=True)
class CoSent:
    """``log(1 + sum of exp(scale * (cos_i - cos_j)))`` over pairs whose scores say i below j.

    Su 2022 (CoSENT, kexue.fm/archives/8847). Only the order of ``labels`` (n,) counts. Columns: two.
    """

    scale: float = 20.0

    def __call__(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """A scalar; 0 where all labels of the batch are equal."""
        _columns(embeddings, 2, 2, "CoSENT")
        scores = self.scale * functional.cosine_similarity(embeddings[0], embeddings[1])
        given = _labels(labels, scores)
        differences = scores[:, None] - scores[None, :]
        wrong = differences[given[:, None] < given[None, :]]
        return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)


def _columns(embeddings: Sequence[Tensor], least: int, most: int | None, what: str) -> None:
    if len(embeddings) < least or (most is not None and len(embeddings) > most):
        allowed = str(least) if most == least else f"at least {least}"
        raise InputError(f"the {what} loss takes {allowed} columns of texts, got {len(embeddings)}")


def _labels(labels: Tensor | None, scores: Tensor) -> Tensor:
    if labels is None or labels.numel() != len(scores):
        found = "none" if labels is None else f"{labels.numel()}"
        raise InputError(f"this loss needs one score for each of the {len(scores)} pairs, got {found}")
    return labels.reshape(-1).to(scores.dtype)
