"""From a configuration to the losses it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kukla.errors import InputError
from kukla.train.base import STATIC, load_base
from kukla.train.config import TrainConfig
from kukla.train.objectives import (
    Classification,
    CoSent,
    CosineRegression,
    Divergence,
    InBatch,
    Nested,
    NestedHeads,
    Triplet,
)
from kukla.train.parts import DataPart
from kukla.train.sentence_loss import SentenceLoss

__all__ = ["build_losses"]


def build_losses(
    config: TrainConfig, model: Any, classes: Sequence[int]
) -> tuple[list[Any], list[SentenceLoss]]:
    """Of each file: the module that the trainer calls, and the nested loss in it (the same without layers).

    What the losses measure of themselves is added up together: :meth:`SentenceLoss.take_parts` of any of them
    is the mean over batches of all files.

    Parameters
    ----------
    config : TrainConfig
    model : SentenceTransformer
    classes : sequence of int
        How many classes each file has; 0 where it has none.

    Raises
    ------
    InputError
        A cached batch of one, a classification without classes.
    """
    teacher = _teacher(config, model)
    sums: dict[int, tuple[Any, int]] = {}
    losses = []
    for part, count in zip(config.parts, classes, strict=True):
        kind = _divergence(config, part)
        nested = Nested(
            config.dims,
            _core(config, part, count),
            config.weights,
            dims_per_step=config.dims_per_step,
            divergence=None if kind is None else Divergence(kind, config.scale),  # type: ignore[arg-type]
            divergence_weight=config.divergence_weight,
            precisions=config.precisions,
            renormalise=part.loss != "classification",
        )
        losses.append(
            SentenceLoss(
                model,
                nested,
                mini_batch_size=config.mini_batch,
                teacher=None if kind is None else teacher,
                sums=sums,
            )
        )
    if not config.layers:
        return list(losses), losses
    from sentence_transformers.sentence_transformer.losses import AdaptiveLayerLoss

    return [AdaptiveLayerLoss(model, loss) for loss in losses], losses


def _divergence(config: TrainConfig, part: DataPart) -> str | None:
    return config.divergence or ("kl" if part.loss == "divergence" else None)


def _teacher(config: TrainConfig, model: Any) -> Any:
    """The frozen base, once for all files, where some loss diverges from it."""
    if config.teacher != "base" or not any(_divergence(config, part) for part in config.parts):
        return None
    # Random token vectors are no teacher; given ones are.
    if config.base == STATIC and config.token_vectors is None:
        raise InputError("teacher: base has random token vectors; teacher: self, or token_vectors, is needed")
    return load_base(config).to(model.device)


def _core(config: TrainConfig, part: DataPart, classes: int) -> Any:
    if part.loss == "contrastive":
        return InBatch(config.scale)
    if part.loss == "triplet":
        return Triplet(config.margin)
    if part.loss == "cosine":
        return CosineRegression()
    if part.loss == "cosent":
        return CoSent(config.scale)
    if part.loss == "classification":
        return Classification(NestedHeads(config.dims, classes, shared=config.heads == "shared"))
    return None
