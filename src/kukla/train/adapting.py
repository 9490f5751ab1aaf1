"""What adaptors share: checked options, a sample turned to where the training starts, and its measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.progress import Progress
from kukla.projection.base import Identity, Projection
from kukla.projection.held_out import Metric
from kukla.projection.rotation import Linear
from kukla.train.sample import Given, Sample, draw_sample
from kukla.train.schedule import check_dims
from kukla.train.similarity import Ranked
from kukla.train.start import Start, choose_start, fit_again, held_out_recall

__all__ = ["Adapting", "check_options", "prepare"]

STARTS = ("best", "identity")

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Adapting:
    """One training: ``documents`` and ``queries`` are those of the sample, turned by the start.

    ``dims`` are trained, the width among them; ``measured`` decide which step is taken.
    """

    sample: Sample
    start: Start
    documents: Floats
    queries: Floats
    dims: tuple[int, ...]
    measured: tuple[int, ...]
    metric: Metric
    k: int
    rng: np.random.Generator

    @property
    def renormalises(self) -> bool:
        """How the start ranks prefixes, and so what is trained."""
        return self.metric == "cosine" and self.start.projection.renormalises_prefixes

    @property
    def ranked(self) -> Ranked:
        """How the losses compare prefixes."""
        return "plain" if self.metric == "ip" else "cosine" if self.renormalises else "unit"

    def recall(self, projection: Projection) -> float:
        """On the held-out queries, the mean over the measured dims."""
        return held_out_recall(self.sample, projection, self.measured, self.k, self.metric)

    def report(self, progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
        """Progress of a part of the training, after ``before`` of ``total`` steps."""

        def show(step: int) -> None:
            if progress is not None:
                progress(before + step, total)

        return show

    def about(self, fit: str, step: int, recall: float) -> dict[str, Any]:
        """How it was made, JSON-able."""
        return {
            "fit": fit,
            "vectors": len(self.sample.documents),
            "queries": len(self.sample.queries),
            "pairs": len(self.sample.pairs),
            "dims": list(self.measured),
            "metric": self.metric,
            "start": self.start.kind,
            "step": step,
            "held_out": len(self.sample.held_out),
            "start_recall": round(self.start.recall, 4),
            "recall": round(recall, 4),
        }

    def start_on_everything(self, vectors: Given, queries: Given | None, about: Mapping[str, Any]) -> Linear:
        """The start that no step improved, fitted on what was held out as well."""
        return fit_again(self.start, vectors, queries, metric=self.metric, about=about)


def check_options(
    steps: int, patience: int, learning_rate: float, start: str, weights: Mapping[str, float]
) -> None:
    """Raise ``InputError`` for an option of a training that is out of range."""
    for value, what in ((steps, "steps"), (patience, "patience")):
        check_count(value, what=what)
    if not 0 < learning_rate <= 1:
        raise InputError(f"the learning rate must be a number above 0, at most 1, got {learning_rate!r}")
    if start not in STARTS:
        raise InputError(f"start must be {' or '.join(STARTS)}, got {start!r}")
    for what, weight in weights.items():
        if not weight >= 0 or not isfinite(weight):
            raise InputError(f"{what} must be a number of 0 or more, got {weight!r}")


def prepare(
    vectors: Given,
    queries: Given | None,
    pairs: NDArray[np.integer[Any]] | None,
    *,
    dims: Iterable[int] | None,
    start: Literal["best", "identity"],
    metric: Metric,
    k: int,
    sample: int,
    seed: int,
) -> Adapting:
    """Draw the sample, choose where to start and turn the sample there.

    Raises
    ------
    InputError, VectorError
    """
    check_count(k, what="k")
    check_count(sample, what="sample", least=100)
    rng = np.random.default_rng(check_count(seed, what="seed", least=0))
    drawn = draw_sample(vectors, queries, pairs, metric=metric, size=sample, rng=rng)
    width = drawn.documents.shape[1]
    if len(drawn.documents) < 2 * k:
        raise InputError(f"k = {k} needs at least {2 * k} vectors to search, got {len(drawn.documents)}")
    measured = check_dims(dims, width)
    # Whole vectors are trained in any case: unlike a rotation, an adaptor changes what they score.
    trained = tuple(sorted({*measured, width}))
    if start == "identity":
        plain = Identity(width)
        chosen = Start("identity", plain, held_out_recall(drawn, plain, measured, k, metric))
    else:
        chosen = choose_start(drawn, measured, k, metric, renormalise_only=False)
    documents, asked = drawn.documents @ chosen.matrix, drawn.queries @ chosen.matrix
    return Adapting(drawn, chosen, documents, asked, trained, measured, metric, k, rng)
