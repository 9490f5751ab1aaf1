"""Prefix-to-full distillation: what prefixes say of a batch must be what whole vectors say of it.

No labels are needed: the target is the similarities of whole vectors, those of the model itself (without a
gradient) or of a frozen teacher. The setting is that of Matryoshka-Adaptor (Yoon et al. 2024, arXiv
2407.20243, section 3.2), whose losses are differences of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from kukla.errors import InputError
from kukla.train.extra import import_torch

torch = import_torch("training")
functional = torch.nn.functional

__all__ = ["DIVERGENCES", "Divergence"]

Tensor = Any
Kind = Literal["cosine", "l2", "kl"]
DIVERGENCES: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Divergence:
    """How far the similarities of prefixes are from those of whole vectors, a mean over rows.

    Rows are those of the first column; candidates those of all others, or, of a single column, its other
    rows.

    Parameters
    ----------
    kind : {"kl", "l2", "cosine"}
        ``kl``: KL(softmax of full similarities, softmax of prefix similarities) over the candidates.
        ``l2``: the mean squared difference of cosines. ``cosine``: 1 - the cosine between both rows of
        similarities, which does not mind their scale.
    scale : float
        The inverse temperature of ``kl``.
    """

    kind: Kind = "kl"
    scale: float = 20.0

    def __post_init__(self) -> None:
        if self.kind not in DIVERGENCES:
            raise InputError(f"the divergence must be one of {', '.join(DIVERGENCES)}, got {self.kind!r}")

    def similarities(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Cosines ``(n, candidates)``; of a single column ``(n, n - 1)``, without a row's own."""
        rows = functional.normalize(embeddings[0], dim=1)
        if len(embeddings) > 1:
            return rows @ functional.normalize(torch.cat(list(embeddings[1:])), dim=1).T
        others = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        return (rows @ rows.T)[others].reshape(len(rows), len(rows) - 1)

    def __call__(self, prefixes: Sequence[Tensor], target: Tensor) -> Tensor:
        """A scalar; ``target`` is what :meth:`similarities` gives of whole vectors, and gets no gradient."""
        found, wanted = self.similarities(prefixes), target.detach()
        if self.kind == "l2":
            return functional.mse_loss(found, wanted)
        if self.kind == "cosine":
            return (1 - functional.cosine_similarity(found, wanted)).mean()
        full, short = ((self.scale * scores).log_softmax(dim=1) for scores in (wanted, found))
        return (full.exp() * (full - short)).sum(dim=1).mean()
