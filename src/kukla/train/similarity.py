"""Losses of adaptors: prefixes of adapted vectors should be as similar as the whole vectors were.

All take torch tensors and are differentiable. They are the losses of Matryoshka-Adaptor (Yoon et al. 2024,
arXiv 2407.20243, eq. 1 to 5), which SMEC (Zhang et al. 2025, arXiv 2510.12474) shares, as means where the
papers write sums, so that weights do not depend on the size of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from kukla.train.losses import prefix_scores

__all__ = ["Ranked", "difference", "ranking", "reconstruction", "similarities"]

Tensor = Any  # torch is imported by those who call

Ranked = Literal["cosine", "unit", "plain"]
"""How prefixes compare: by cosine, by partial dot product of unit vectors, or of vectors as they are."""

_SMALLEST_LENGTH = 1e-9


def similarities(queries: Tensor, documents: Tensor, dims: Sequence[int], ranked: Ranked) -> list[Tensor]:
    """Similarities of each prefix, ``(n, m)`` a dim, as a search computes them."""
    if ranked == "unit":
        queries, documents = (
            rows / rows.norm(dim=1, keepdim=True).clamp_min(_SMALLEST_LENGTH) for rows in (queries, documents)
        )
    return list(prefix_scores(queries, documents, dims, cosine=ranked == "cosine"))


def difference(scores: Iterable[Tensor], target: Tensor, columns: Tensor | None = None) -> Tensor:
    """The mean over dims and pairs of the absolute difference to the original similarity (eq. 1).

    Parameters
    ----------
    scores : iterable of tensors (n, m)
        Of prefixes.
    target : tensor (n, m)
        Of the original, whole vectors.
    columns : tensor of int (n, k), optional
        Only these of each row: its nearest neighbours (eq. 2).
    """
    wanted = target if columns is None else target.gather(1, columns)
    found = [score if columns is None else score.gather(1, columns) for score in scores]
    return sum((score - wanted).abs().mean() for score in found) / len(found)


def reconstruction(moved: Tensor) -> Tensor:
    """How far vectors are moved (eq. 3): the mean absolute value of all coordinates."""
    return moved.abs().mean()


def ranking(scores: Iterable[Tensor], positives: Tensor, others: Tensor) -> Tensor:
    """The mean over dims, pairs and other documents of ``log(1 + exp(s_other - s_relevant))``.

    Eq. 5 with grades 1 and 0.

    Parameters
    ----------
    scores : iterable of tensors (n, m)
    positives : tensor of int (n,)
        The column of each row's relevant document.
    others : tensor of bool (n, m)
        Documents that are not known to be relevant to the row.
    """
    losses = []
    for score in scores:
        gaps = (score - score.gather(1, positives[:, None]))[others]
        losses.append((gaps.clamp_min(0) + (-gaps.abs()).exp().log1p()).mean())  # for gaps of any size
    return sum(losses) / len(losses)
