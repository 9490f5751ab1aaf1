"""How token vectors are trained; a model's card prints it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """The defaults are what was tried and kept for the built-in model.

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
    similarity_block: int = 1  # texts of one topic in such a batch: 1 draws them at random
    similarity_weight: float = 1.0
    query_tokens: int = 48
    document_tokens: int = 128
