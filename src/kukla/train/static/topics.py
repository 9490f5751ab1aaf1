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

__all__ = ["cluster", "find_topics", "topic_batches"]

_DIM = 64
_BLOCK = 8192
_ROUNDS = 8


def find_topics(
    bag: Bag, texts: Sequence[Tokens], settings: Settings, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The topic of each text, by its 64-prefix: int64 (n,)."""
    with torch.no_grad():
        short = Bag(np.ascontiguousarray(bag.numpy()[:, :_DIM]))
        x = torch.cat([
            prefix(short([row[: settings.document_tokens] for row in texts[start : start + _BLOCK]]), _DIM)
            for start in range(0, len(texts), _BLOCK)
        ])  # fmt: skip
        return cluster(x.numpy(), settings.topics, rng)


def cluster(vectors: NDArray[np.float32], topics: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Spherical k-means (8 rounds on a sample) over L2-normalised ``vectors`` (n, d): topics, int64 (n,).

    At most ``topics``, and four vectors or more a topic in the mean.
    """
    with torch.no_grad():
        x = torch.from_numpy(vectors)
        count = max(1, min(topics, len(x) // 4))
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
    topics: NDArray[np.int64], block: int, batch: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """One epoch of batches of ``batch`` rows: shuffled blocks of ``block`` rows of one topic."""
    shuffled = rng.permutation(len(topics))
    by_topic = shuffled[np.argsort(topics[shuffled], kind="stable")]
    count = len(by_topic) // block
    blocks = by_topic[: count * block].reshape(count, block)[rng.permutation(count)]
    per_batch = batch // block
    return [blocks[i : i + per_batch].ravel() for i in range(0, count - per_batch + 1, per_batch)]
