"""sentence-transformers' trainer, with what it lacks: a stop at NaN, whole checkpoints, nested curves."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from kukla.errors import InputError
from kukla.train.checkpoints import MARKER, RunFolder
from kukla.train.curves import Curves, draw_training
from kukla.train.dev import Collection
from kukla.train.extra import import_sentence_transformers, import_torch
from kukla.train.sentence_loss import SentenceLoss

torch = import_torch("training a model")
library = import_sentence_transformers()

from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

__all__ = ["DevEvaluator", "NestedTrainer", "Recorder", "Watch"]

CORE_FILE = "core.pt"
Watch = Callable[[Curves], None]
"""Called with all curves whenever there is a new point."""


class NestedTrainer(library.SentenceTransformerTrainer):  # type: ignore[misc, name-defined]
    """Stops at a loss that is no number; writes no card into checkpoints (theirs asks the hub)."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """The loss of a batch; ``InputError`` where it is not finite."""
        loss = super().compute_loss(model, inputs, *args, **options)
        value = loss[0] if isinstance(loss, tuple) else loss
        if not torch.isfinite(value.detach()).all():
            raise InputError(
                f"the loss became {value.item()} in step {self.state.global_step + 1} at the learning rate "
                f"{self.args.learning_rate:g}; a smaller one, a longer warmup or mixed: no may help"
            )
        return loss

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the card of the result is ours."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(output_dir or self.args.output_dir, create_model_card=False)


class DevEvaluator(SentenceEvaluator):  # type: ignore[misc]
    """nDCG@10 of every dim on a collection, and their mean, by which the best checkpoint is chosen."""

    def __init__(self, collection: Collection, dims: tuple[int, ...], batch_size: int) -> None:
        super().__init__()
        self.collection, self.dims, self.batch_size = collection, dims, batch_size
        self.primary_metric = "ndcg_mean"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Metrics ``ndcg_DIM`` and ``ndcg_mean``."""
        found = self.collection.quick(*self.collection.vectors(model, self.batch_size), self.dims)
        metrics = {f"ndcg_{dim}": value for dim, value in found.items()}
        return metrics | {"ndcg_mean": sum(found.values()) / len(found)}


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Keeps and draws the curves, and completes checkpoints: parameters of the loss, then the marker."""

    def __init__(
        self,
        curves: Curves,
        folder: RunFolder,
        loss: SentenceLoss,
        core: Any,
        *,
        draw: bool,
        watch: Watch | None,
    ) -> None:
        self.curves, self.folder, self.loss, self.core = curves, folder, loss, core
        self.draw, self.watch = draw, watch

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """How long it will take."""
        self.curves.total_steps = state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A point of the losses."""
        if logs is not None and "loss" in logs and (parts := self.loss.take_parts()):
            self.curves.losses[state.global_step] = parts
            self._show(draw=False)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """A point of the quality."""
        found = {dim: metrics.get(f"eval_ndcg_{dim}") for dim in self.curves.dims}
        self.curves.quality[state.global_step] = {d: v for d, v in found.items() if v is not None}
        self._show(draw=True)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The trainer's files are written: now the checkpoint counts."""
        checkpoint = self.folder.checkpoints / f"checkpoint-{state.global_step}"
        if len(self.core):  # the trainer saves the model, not what belongs to its losses
            torch.save(self.core.state_dict(), checkpoint / CORE_FILE)
        for path in checkpoint.rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
        (checkpoint / MARKER).touch()
        self._show(draw=True)

    def _show(self, *, draw: bool) -> None:
        self.curves.write(self.folder.curves)
        if draw and self.draw:
            draw_training(self.curves, self.folder.figure)
        if self.watch is not None:
            self.watch(self.curves)
