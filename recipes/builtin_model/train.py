"""Training the token vectors: regression to the teacher, then the nested contrastive loss."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .data import TokenPassage, Tokens, make_pair
from .losses import contrastive_loss, false_negatives, prefix, similarity_loss

__all__ = ["Bag", "Settings", "regress", "topic_batches", "train"]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What was tried and kept; the model card prints it.

    ``rounds`` are (block, steps): blocks of that many pairs of one topic share a batch and are each other's
    hard negatives. Hard negatives first, nearly random batches after, each with its own decay: the second
    round gave most to short prefixes.
    """

    dims: tuple[int, ...] = (512, 256, 128, 64, 32)
    batch: int = 2048
    rounds: tuple[tuple[int, int], ...] = ((128, 300), (16, 600))
    topics: int = 1024
    scale: float = 20.0  # inverse temperature of the softmax over in-batch documents
    regress_epochs: int = 8
    regress_rate: float = 0.01
    rate: float = 0.006
    similarity_batch: int = 1024
    similarity_weight: float = 1.0
    query_tokens: int = 48
    document_tokens: int = 128


class Bag:
    """Token vectors (V, D) as a trainable parameter; a text is the plain mean of its tokens."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.weight = torch.nn.Parameter(torch.from_numpy(vectors.copy()))

    def __call__(self, rows: Sequence[Tokens]) -> Tensor:
        lengths = np.fromiter((len(r) for r in rows), dtype=np.int64, count=len(rows))
        offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)[:-1]))
        ids = torch.from_numpy(np.concatenate(rows).astype(np.int64))
        return F.embedding_bag(ids, self.weight, torch.from_numpy(offsets), mode="mean")

    def numpy(self) -> NDArray[np.float32]:
        return self.weight.detach().numpy().copy()


def regress(
    bag: Bag,
    texts: list[Tokens],
    targets: NDArray[np.float32],
    settings: Settings,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Fit bag means to ``targets`` (n, d), principal axes first: 1 - cosine at every prefix (tokenlearn)."""
    width = targets.shape[1]
    dims = [width, *(d for d in settings.dims if d < width)]
    steps = settings.regress_epochs * (len(texts) // settings.batch)
    optimiser = torch.optim.Adam([bag.weight], lr=settings.regress_rate, fused=True)
    order = np.concatenate([rng.permutation(len(texts)) for _ in range(settings.regress_epochs + 1)])
    for step in range(steps):
        _set_rate(optimiser, settings.regress_rate, step, steps)
        rows = order[step * settings.batch : (step + 1) * settings.batch]
        x, y = bag([texts[i] for i in rows]), torch.from_numpy(targets[rows])
        loss = torch.stack([1 - F.cosine_similarity(x[:, :d], y[:, :d]).mean() for d in dims]).mean()
        _step(optimiser, loss)
        if step % 50 == 0 or step == steps - 1:
            report(f"regression {step}/{steps}: {loss.item():.4f}")


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


def find_topics(
    bag: Bag, passages: list[TokenPassage], settings: Settings, rng: np.random.Generator
) -> NDArray[np.int64]:
    """k-means (8 rounds on a sample) over the 64-prefix of each passage: its topic, int64 (n,)."""
    with torch.no_grad():
        parts = []
        for start in range(0, len(passages), 8192):
            rows = [
                np.concatenate((p.head, *p.body))[: settings.document_tokens]
                for p in passages[start : start + 8192]
            ]
            parts.append(prefix(bag(rows), 64))
        x = torch.cat(parts)
        sample = x[torch.from_numpy(rng.permutation(len(x))[: 64 * settings.topics])]
        centres = sample[: settings.topics].clone()
        for _ in range(8):
            nearest = torch.cat([(part @ centres.T).argmax(1) for part in torch.split(sample, 8192)])
            centres = F.normalize(
                torch.zeros_like(centres).index_add_(0, nearest, sample) + 1e-6 * centres, dim=1
            )
        return torch.cat([(part @ centres.T).argmax(1) for part in torch.split(x, 8192)]).numpy()


def train(
    bag: Bag,
    passages: list[TokenPassage],
    stems: list[Tokens],
    texts: list[Tokens],
    teacher: NDArray[np.float32],
    settings: Settings,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Contrastive training on pairs of ``passages``; second task: the teacher's view of ``texts``."""
    topics = find_topics(bag, passages, settings, rng)
    heads = np.array([zlib.crc32(p.head.tobytes()) for p in passages])
    for block, steps in settings.rounds:
        optimiser = torch.optim.Adam([bag.weight], lr=settings.rate, fused=True)
        batches: list[NDArray[np.int64]] = []
        for step in range(steps):
            _set_rate(optimiser, settings.rate, step, steps)
            batches = batches or topic_batches(topics, block, settings, rng)
            rows = batches.pop()
            pairs = [
                make_pair(
                    passages[i],
                    rng,
                    stems,
                    query_tokens=settings.query_tokens,
                    document_tokens=settings.document_tokens,
                )
                for i in rows
            ]
            loss = contrastive_loss(
                bag([p.query for p in pairs]),
                bag([p.document for p in pairs]),
                false_negatives(heads[rows], pairs),
                settings.dims,
                settings.scale,
            )
            chosen = rng.integers(len(texts), size=settings.similarity_batch)
            near = similarity_loss(
                bag([texts[i] for i in chosen]),
                torch.from_numpy(teacher[chosen]),
                settings.dims,
                settings.scale,
            )
            _step(optimiser, loss + settings.similarity_weight * near)
            if step % 25 == 0 or step == steps - 1:
                report(f"contrastive, block {block}, {step}/{steps}: {loss.item():.4f} + {near.item():.4f}")


def _set_rate(optimiser: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Linear warm-up over 20 steps, then linear decay to 2 %."""
    for group in optimiser.param_groups:
        group["lr"] = rate * min(1.0, (step + 1) / 20) * max(0.02, 1 - step / steps)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
