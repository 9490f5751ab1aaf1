"""Hard negatives: pairs of one topic share a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kukla.train.extra import import_torch
from kukla.train.static.bag import Bag, Tokens
from kukla.train.static.losses import prefix
from kukla.train.static.settings import Settings

torch = import_torch("distilling a model")

__all__ = ["find_topics", "topic_batches"]

_DIM = 64
_BLOCK = 8192
_ROUNDS = 8


def find_topics(
    bag: Bag, texts: Sequence[Tokens], settings: Settings, rng: np.random.Generator
) -> NDArray[np.int64]:
    """k-means (8 rounds on a sample) over the 64-prefix of each text: its topic, int64 (n,)."""
    with torch.no_grad():
        x = torch.cat([
            prefix(bag([row[: settings.document_tokens] for row in texts[start : start + _BLOCK]]), _DIM)
            for start in range(0, len(texts), _BLOCK)
        ])  # fmt: skip
        count = max(1, min(settings.topics, len(texts) // 4))
        sample = x[torch.from_numpy(rng.permutation(len(x))[: 64 * count])]
        centres = sample[:count].clone()
        for _ in range(_ROUNDS):
            nearest = torch.cat([(part @ centres.T).argmax(1) for part in torch.split(sample, _BLOCK)])
            centres = torch.nn.functional.normalize(
                torch.zeros_like(centres).index_add_(0, nearest, sample) + 1e-6 * centres, dim=1
            )
        found: NDArray[np.int64] = torch.cat(
            [(part @ centres.T).argmax(1) for part in torch.split(x, _BLOCK)]
        ).numpy()
        return found


def topic_batches(
    topics: NDArray[np.int64], block: int, settings: Settings, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """One epoch: blocks of ``block`` rows of one topic, shuffled, then grouped into batches."""
    shuffled = rng.permutation(len(topics))
    by_topic = shuffled[np.argsort(topics[shuffled], kind="stable")]
    count = len(by_topic) // block
    blocks = by_topic[: count * block].reshape(count, block)[rng.permutation(count)]
    per_batch = settings.batch // block
    return [blocks[i : i + per_batch].ravel() for i in range(0, count - per_batch + 1, per_batch)]
