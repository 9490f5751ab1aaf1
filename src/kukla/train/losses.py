"""What a learned projection is trained on: every nested prefix must say what the whole vectors say.

All take torch tensors and are differentiable. ``scores`` are those of prefixes, one tensor ``(n, m)`` for
each dim; ``scales`` are learned, one for each dim, because a softmax of shorter prefixes needs another
temperature and a ranking does not change with it. The nested sum is that of Matryoshka representation
learning (Kusupati et al. 2022, arXiv 2205.13147); scores of the full vectors as the target, for any model and
without labels, and pairs where there are some, is the setting of Matryoshka-Adaptor (Yoon et al. 2024,
arXiv 2407.20243), whose losses are differences of scores where ours is a divergence of softmaxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["contrastive", "divergence", "log_softmax", "prefix_scores"]

Tensor = Any  # torch is imported by those who call

_SMALLEST_LENGTH = 1e-9
_HIDDEN = -1e4


def prefix_scores(
    queries: Tensor, documents: Tensor, dims: Sequence[int], *, cosine: bool
) -> Iterator[Tensor]:
    """Scores of each prefix, ``(n, m)`` a dim: shell after shell, each coordinate is multiplied once.

    Parameters
    ----------
    queries, documents : tensor of float, shapes (n, width) and (m, width)
    dims : sequence of int
        Ascending.
    cosine : bool
        Of renormalised prefixes; else the partial dot product.
    """
    scores: Tensor = 0.0
    asked: Tensor = 0.0
    found: Tensor = 0.0
    for low, high in pairwise((0, *dims)):
        query, document = queries[:, low:high], documents[:, low:high]
        scores = scores + query @ document.T
        if not cosine:
            yield scores
            continue
        asked = asked + query.square().sum(dim=1)
        found = found + document.square().sum(dim=1)
        lengths = (asked[:, None] * found[None, :]).clamp_min(_SMALLEST_LENGTH**2).sqrt()
        yield scores / lengths


def log_softmax(scores: Tensor, temperature: float, hidden: Tensor | None = None) -> Tensor:
    """Log-probabilities of the documents of each row; those in ``hidden`` (bool) have none."""
    logits = scores / temperature
    if hidden is not None:
        logits = logits.masked_fill(hidden, _HIDDEN)
    return logits.log_softmax(dim=1)


def divergence(
    target: Tensor,
    scores: Iterator[Tensor],
    scales: Tensor,
    *,
    temperature: float,
    hidden: Tensor | None = None,
) -> Tensor:
    """The mean over dims and rows of KL(softmax of the full scores, softmax of the prefix scores).

    Parameters
    ----------
    target : tensor (n, m)
        ``log_softmax`` of the full vectors' scores at the same temperature.
    scores : iterator of tensors (n, m)
    scales : tensor (dims,)
        Natural logarithms.
    hidden : tensor of bool (n, m), optional
        Documents that are no candidates: a document does not search for itself.
    """
    probabilities = target.exp()
    total: Tensor = 0.0
    for prefix, scale in zip(scores, scales, strict=True):
        learned = log_softmax(prefix * scale.exp(), temperature, hidden)
        total = total + (probabilities * (target - learned)).sum(dim=1).mean()
    return total / len(scales)


def contrastive(
    scores: Iterator[Tensor], scales: Tensor, positives: Tensor, *, temperature: float, hidden: Tensor
) -> Tensor:
    """The mean over dims and pairs of the cross entropy of the relevant document among those of the batch.

    In-batch negatives (van den Oord et al. 2018, arXiv 1807.03748, eq. 4).

    Parameters
    ----------
    scores : iterator of tensors (n, m)
    scales : tensor (dims,)
        Natural logarithms.
    positives : tensor of int (n,)
        The column of each row's relevant document.
    hidden : tensor of bool (n, m)
        Other documents known to be relevant to the row, which are no negatives.
    """
    total: Tensor = 0.0
    for prefix, scale in zip(scores, scales, strict=True):
        learned = log_softmax(prefix * scale.exp(), temperature, hidden)
        total = total - learned.gather(1, positives[:, None]).mean()
    return total / len(scales)
