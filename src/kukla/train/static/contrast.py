"""Training token vectors on pairs: in-batch softmax at every dim, beside the teacher's neighbourhoods."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError
from kukla.train.extra import import_torch
from kukla.train.static.bag import Bag, Tokens, descend, set_rate
from kukla.train.static.losses import contrastive_loss, same_heads, similarity_loss
from kukla.train.static.settings import Settings
from kukla.train.static.topics import cluster, find_topics, topic_batches

torch = import_torch("distilling a model")

__all__ = ["FixedPairs", "Pairs", "contrast", "text_batches"]

Report = Callable[[str], None]


class Pairs(Protocol):
    """What pairs are drawn from: each row gives one, anew each time or always the same."""

    def __len__(self) -> int:
        """Rows."""

    def whole(self, row: int) -> Tokens:
        """All tokens of a row: what its topic is found by."""

    def head(self, row: int) -> Tokens:
        """What rows that answer the same query share."""

    def draw(self, row: int, rng: np.random.Generator) -> tuple[Tokens, Tokens, bool]:
        """A query, its document, and whether the query is the row's head."""


class FixedPairs:
    """Queries and documents as they are given."""

    def __init__(self, queries: Sequence[Tokens], documents: Sequence[Tokens], settings: Settings) -> None:
        self._queries = [row[: settings.query_tokens] for row in queries]
        self._documents = [row[: settings.document_tokens] for row in documents]

    def __len__(self) -> int:
        return len(self._queries)

    def whole(self, row: int) -> Tokens:
        """Query and document."""
        return np.concatenate((self._queries[row], self._documents[row]))

    def head(self, row: int) -> Tokens:
        """The query."""
        return self._queries[row]

    def draw(self, row: int, rng: np.random.Generator) -> tuple[Tokens, Tokens, bool]:
        """The pair."""
        return self._queries[row], self._documents[row], True


def contrast(
    bag: Bag,
    pairs: Pairs,
    texts: Sequence[Tokens],
    teacher: NDArray[np.float32],
    settings: Settings,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Contrastive training on ``pairs``; second task: the ``teacher``'s view (n, d) of ``texts``.

    Raises
    ------
    InputError
        Fewer pairs than a batch takes; a loss that is no number.
    """
    topics = find_topics(bag, [pairs.whole(row) for row in range(len(pairs))], settings, rng)
    heads = np.array([zlib.crc32(pairs.head(row).tobytes()) for row in range(len(pairs))])
    texts_of_steps = text_batches(teacher, settings, rng)
    for block, steps in settings.rounds:
        optimiser = torch.optim.Adam([bag.weight], lr=settings.rate, fused=True)
        batches: list[NDArray[np.int64]] = []
        for step in range(steps):
            set_rate(optimiser, settings.rate, step, steps)
            batches = batches or topic_batches(topics, block, settings.batch, rng)
            if not batches:
                raise InputError(
                    f"batch: {settings.batch} pairs a step of {len(pairs):,}; allowed: no more than there are"
                )
            rows = batches.pop()
            drawn = [pairs.draw(int(row), rng) for row in rows]
            loss = contrastive_loss(
                bag([query for query, _, _ in drawn]),
                bag([document for _, document, _ in drawn]),
                same_heads(heads[rows], np.array([asked for _, _, asked in drawn])),
                settings.dims,
                settings.scale,
            )
            chosen = next(texts_of_steps)
            near = similarity_loss(
                bag([texts[i] for i in chosen]),
                torch.from_numpy(teacher[chosen]),
                settings.dims,
                settings.scale,
            )
            total = loss + settings.similarity_weight * near
            if not torch.isfinite(total):
                raise InputError(
                    f"the loss is no number at step {step} of {steps}: try a smaller learning rate"
                )
            descend(optimiser, total)
            if step % 25 == 0 or step == steps - 1:
                report(f"contrastive, block {block}, {step}/{steps}: {loss.item():.4f} + {near.item():.4f}")


def text_batches(
    teacher: NDArray[np.float32], settings: Settings, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Rows whose neighbourhoods are compared, without end: at random, or in blocks of one topic.

    In a random batch of 512 of 60,000 texts hardly any has a neighbour; in blocks of one topic what the
    teacher holds apart, and what not, is there to be learned.
    """
    size, block = min(settings.similarity_batch, len(teacher)), settings.similarity_block
    if block == 1:
        while True:
            yield rng.integers(len(teacher), size=size)
    topics = cluster(teacher, settings.topics, rng)
    while True:
        yield from topic_batches(topics, min(block, size), size, rng)
