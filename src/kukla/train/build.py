"""From a configuration to the loss it asks for."""

from __future__ import annotations

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
from kukla.train.sentence_loss import SentenceLoss

__all__ = ["build_loss"]


def build_loss(config: TrainConfig, model: Any, classes: int) -> tuple[Any, SentenceLoss]:
    """The module that the trainer calls, and the nested loss in it (the same unless layers are trained too).

    Raises
    ------
    InputError
        A cached batch of one, a classification without classes.
    """
    nested = Nested(
        config.dims,
        _core(config, classes),
        config.weights,
        dims_per_step=config.dims_per_step,
        divergence=None if config.divergence is None else Divergence(config.divergence, config.scale),  # type: ignore[arg-type]
        divergence_weight=config.divergence_weight,
        precisions=config.precisions,
        renormalise=config.loss != "classification",
    )
    teacher = None
    if config.divergence is not None and config.teacher == "base":
        # Random token vectors are no teacher; given ones are.
        if config.base == STATIC and config.token_vectors is None:
            raise InputError(
                "teacher: base has random token vectors; teacher: self, or token_vectors, is needed"
            )
        teacher = load_base(config).to(model.device)
    loss = SentenceLoss(model, nested, mini_batch_size=config.mini_batch, teacher=teacher)
    if not config.layers:
        return loss, loss
    from sentence_transformers.sentence_transformer.losses import AdaptiveLayerLoss

    return AdaptiveLayerLoss(model, loss), loss


def _core(config: TrainConfig, classes: int) -> Any:
    if config.loss == "contrastive":
        return InBatch(config.scale)
    if config.loss == "triplet":
        return Triplet(config.margin)
    if config.loss == "cosine":
        return CosineRegression()
    if config.loss == "cosent":
        return CoSent(config.scale)
    if config.loss == "classification":
        return Classification(NestedHeads(config.dims, classes, shared=config.heads == "shared"))
    return None
