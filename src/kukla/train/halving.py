"""One stage of SMEC: a layer on the coordinates of a dim, and which of them a shorter dim keeps."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.train.adapting import Adapting
from kukla.train.extra import import_torch
from kukla.train.neighbours import OTHERS, draw_neighbours
from kukla.train.pair_batch import draw_pairs
from kukla.train.similarity import Ranked, difference, ranking, similarities

__all__ = ["Halving"]

_BATCH_PAIRS = 64
_SMALLEST_ENERGY = 1e-12

Floats = NDArray[np.float32]


class Halving:
    """Parameters, loss and result of the stage from ``dim`` to ``shorter``.

    The layer is ``z + z @ change``, so that it starts as no change. Coordinates are chosen by the logits
    plus Gumbel noise (Jang et al. 2017, arXiv 1611.01144), the largest ones, with the gradient of the softmax
    (straight through); the logits start as the logarithm of each coordinate's energy, so that after a PCA
    the first ones are chosen.

    Parameters
    ----------
    found : Adapting
    matrix : ndarray of float32 (width, width)
        What the stages before settled.
    dim, shorter : int
    memory : int
        Rows.
    ranking_weight : float
    """

    def __init__(
        self,
        found: Adapting,
        matrix: Floats,
        dim: int,
        shorter: int,
        memory: int,
        ranking_weight: float,
    ) -> None:
        self._torch = torch = import_torch("SMEC")
        self._found, self._matrix, self._dim, self._shorter = found, matrix, dim, shorter
        self._ranking_weight = ranking_weight
        self._documents = torch.from_numpy(np.ascontiguousarray(found.sample.documents @ matrix))
        self._queries = torch.from_numpy(np.ascontiguousarray(found.sample.queries @ matrix))
        energy = self._documents[:, :dim].square().mean(dim=0).clamp_min(_SMALLEST_ENERGY)
        self._change = torch.zeros((dim, dim), requires_grad=True)
        self._logits = energy.log().requires_grad_(True)
        self._memory: deque[int] = deque(maxlen=min(memory, len(found.documents)))
        self._memory.extend(found.rng.permutation(len(found.documents))[: self._memory.maxlen].tolist())

    @property
    def parameters(self) -> tuple[Any, Any]:
        """The layer and the logits."""
        return self._change, self._logits

    def matrix(self) -> Floats:
        """The whole map: the chosen coordinates first, then the others of the dim, then what is frozen."""
        torch = self._torch
        kept = torch.zeros(self._dim, dtype=torch.bool)
        kept[self._logits.topk(self._shorter).indices] = True
        # In the order they are in: inside a dim it is what the start, or a later stage, made of it.
        order = torch.cat([kept.nonzero()[:, 0], (~kept).nonzero()[:, 0]]).numpy()
        block = self._matrix[:, : self._dim]
        layered = (block + block @ self._change.detach().numpy())[:, order]
        return np.ascontiguousarray(np.hstack([layered, self._matrix[:, self._dim :]]), dtype=np.float32)

    def loss(self) -> Any:
        """Of the dim and the shorter one: similarities to neighbours in the memory and to others; ranks."""
        torch, found = self._torch, self._found
        original = found.sample
        batch = draw_neighbours(
            original.documents, original.queries, found.k, found.rng, within=np.array(self._memory)
        )
        self._memory.extend(batch.documents[: batch.others].tolist())
        target, near = torch.from_numpy(batch.target), torch.from_numpy(batch.near)
        mask = self._mask()
        asked = torch.from_numpy(batch.asked @ self._matrix)
        scores = self._scores(asked, self._documents[torch.from_numpy(batch.documents)], mask)
        total = difference(scores, target, near) + difference(
            [score[:, : batch.others] for score in scores], target[:, : batch.others]
        )
        if len(original.pairs):
            total = total + self._ranking_weight * self._ranks(mask)
        return total

    def _ranks(self, mask: Any) -> Any:
        torch, found = self._torch, self._found
        rows = len(found.documents)
        others = found.rng.choice(rows, min(OTHERS, rows), replace=False)
        batch = draw_pairs(
            found.sample.pairs, others, queries=_BATCH_PAIRS, documents=_BATCH_PAIRS + OTHERS, rng=found.rng
        )
        asked, documents = (torch.from_numpy(chosen) for chosen in (batch.queries, batch.documents))
        scores = self._scores(self._queries[asked], self._documents[documents], mask)
        positives = torch.from_numpy(batch.positives)
        negatives = torch.from_numpy(~batch.also_relevant).scatter(1, positives[:, None], False)
        return ranking(scores, positives, negatives)

    def _scores(self, asked: Any, documents: Any, mask: Any) -> list[Any]:
        """Similarities by the dim and by what the shorter one keeps of it, ``(n, m)`` each."""
        torch, dim = self._torch, self._dim
        rows = torch.cat([asked, documents])
        layered = rows[:, :dim] + rows[:, :dim] @ self._change
        if self._found.ranked == "unit":  # by the length of the whole vector, what is frozen included
            lengths = (layered.square().sum(dim=1) + rows[:, dim:].square().sum(dim=1)).sqrt()
            layered = layered / lengths.clamp_min(1e-9)[:, None]
        ranked: Ranked = "cosine" if self._found.ranked == "cosine" else "plain"
        size = len(asked)
        return [similarities(one[:size], one[size:], (dim,), ranked)[0] for one in (layered, layered * mask)]

    def _mask(self) -> Any:
        """1 for the chosen coordinates and 0 for others, with the gradient of ``shorter`` times a softmax."""
        torch = self._torch
        uniform = self._found.rng.uniform(1e-9, 1 - 1e-9, self._dim)
        noise = torch.from_numpy(-np.log(-np.log(uniform)).astype(np.float32))
        noisy = self._logits + noise
        soft = self._shorter * noisy.softmax(dim=0)
        hard = torch.zeros(self._dim)
        hard[noisy.topk(self._shorter).indices] = 1.0
        return hard + soft - soft.detach()
