"""A nested objective as a loss of sentence-transformers' trainer, with gradient caching for big batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kukla.errors import InputError
from kukla.train.extra import import_sentence_transformers, import_torch
from kukla.train.objectives.nested import Nested

torch = import_torch("training a model")
import_sentence_transformers()

from sentence_transformers.base.losses.gradcache import (  # noqa: E402 - only where the extra is installed
    CachedLossMixin,
    has_static_embedding_input,
)
from sentence_transformers.base.losses.merged_forward import embed_columns  # noqa: E402

__all__ = ["SentenceLoss"]

Tensor = Any


class SentenceLoss(CachedLossMixin, torch.nn.Module):  # type: ignore[misc, name-defined]
    """``loss(features, labels)`` as :class:`sentence_transformers.SentenceTransformerTrainer` calls it.

    Parameters
    ----------
    model : SentenceTransformer
    nested : Nested
        Parameters of its core (the heads of a classification) are trained with the model.
    mini_batch_size : int, optional
        GradCache (Gao et al. 2021, arXiv 2101.06983): texts are embedded this many at a time, twice, so that
        memory does not grow with the batch; the numbers are those of the whole batch. Not for static models.
    teacher : SentenceTransformer, optional
        Its similarities are the target of a divergence, instead of those of the model's own whole vectors.
    sums : dict, optional
        Where the loss of each dim is added up, to share between losses; empty to begin with.

    Raises
    ------
    InputError
        ``mini_batch_size`` for a static model.
    """

    def __init__(
        self,
        model: Any,
        nested: Nested,
        *,
        mini_batch_size: int | None = None,
        teacher: Any = None,
        sums: dict[int, tuple[Tensor, int]] | None = None,
    ) -> None:
        super().__init__()
        if mini_batch_size is not None and has_static_embedding_input(model):
            raise InputError("a static model needs no cached batches: leave mini_batch out")
        self.model = model
        self.nested = nested
        self.core = nested.core if isinstance(nested.core, torch.nn.Module) else None  # so it is trained
        self.mini_batch_size = mini_batch_size or 0
        self.uses_gradient_cache = mini_batch_size is not None
        if teacher is not None:
            teacher.eval().requires_grad_(False)
        self._teacher = (teacher,)  # in a tuple it is no submodule: not trained, not saved
        self._targets: Sequence[Tensor] | None = None
        self._sums: dict[int, tuple[Tensor, int]] = {} if sums is None else sums

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """The weighted loss of one batch, a scalar."""
        features = list(sentence_features)
        self._targets = self._teach(features)
        if self.uses_gradient_cache:
            return self.forward_cached(features, labels)
        return self._total(embed_columns(self.model, features), labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of embeddings that come in mini-batches; what :class:`CachedLossMixin` asks for."""
        loss = self._total([torch.cat(column) for column in reps], labels)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss

    def take_parts(self) -> dict[int, float]:
        """The mean loss of each dim, before its weight, since this was last asked."""
        means = {dim: float(total / count) for dim, (total, count) in self._sums.items()}
        self._sums.clear()
        return means

    def get_config_dict(self) -> dict[str, Any]:
        """For the model card that sentence-transformers writes."""
        return {"dims": list(self.nested.dims), "weights": list(self.nested.weights)}

    def _total(self, embeddings: Sequence[Tensor], labels: Tensor | None) -> Tensor:
        parts = self.nested.parts(embeddings, labels, targets=self._targets)
        for dim, part in parts.items():
            total, count = self._sums.get(dim, (0.0, 0))
            self._sums[dim] = (total + part.detach(), count + 1)
        return self.nested.total(parts)

    def _teach(self, features: Sequence[dict[str, Tensor]]) -> Sequence[Tensor] | None:
        (teacher,) = self._teacher
        if teacher is None:
            return None
        with torch.no_grad():  # a model writes its output into the features: hand it a copy
            return [teacher(dict(one))["sentence_embedding"] for one in features]
