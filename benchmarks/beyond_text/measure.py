"""Accuracy of every way to make a short vector, and what adaptive classification reads, fold by fold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.beyond_text.models import Trained, train
from benchmarks.beyond_text.tasks import Split, Task
from kukla import truncate
from kukla.evaluate import learn_thresholds

__all__ = ["LOSSES", "SYSTEMS", "Accuracy", "Adaptive", "measure_fold", "nearest_accuracy", "probe_accuracy"]

SYSTEMS = {
    "FF": "a model trained at that size alone",
    "SVD": "the largest FF, rotated by the SVD of its training vectors, cut",
    "random": "random coordinates of the largest FF",
    "MRL": "prefixes of one model, a head a dim",
    "MRL-E": "prefixes of one model, slices of one head",
    "inputs": "no network: the SVD of the features themselves, cut",
}
LOSSES = (0.0, 0.005, 0.01)
"""What adaptive classification may lose on validation rows."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one system at one dim on the test rows of one fold.

    ``probe``: a linear classifier fitted to the training vectors; ``nearest``: the class of the nearest
    training vector by cosine; ``head``: the classifier that it was trained with, where there is one.
    """

    fold: int
    system: str
    dim: int
    probe: float
    nearest: float
    head: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Thresholds learned on validation rows, at test rows; beside one prefix for all, chosen the same way."""

    fold: int
    system: str
    per_dim: bool
    loss: float
    full: float
    accuracy: float
    mean_dims: float
    fixed_accuracy: float
    fixed_dim: int
    validation: float
    thresholds: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def measure_fold(task: Task, split: Split) -> Iterator[Accuracy | Adaptive]:
    """Train everything on one fold and measure it, model by model."""
    largest = task.dims[-1]
    for dim in task.dims:
        fixed = train(task, split, [dim])
        yield _accuracy(task, split, "FF", dim, fixed.embeddings, _head(task, split, fixed, dim))
    rng = np.random.default_rng(split.fold)
    coordinates = rng.permutation(largest)
    rotated = fixed.embeddings @ _rotation(fixed.embeddings[split.train])
    for dim in task.dims:
        yield _accuracy(task, split, "SVD", dim, rotated[:, :dim])
        yield _accuracy(task, split, "random", dim, fixed.embeddings[:, coordinates[:dim]])
    for system, shared in (("MRL", False), ("MRL-E", True)):
        nested = train(task, split, task.dims, shared=shared)
        for dim in task.dims:
            vectors = nested.embeddings[:, :dim]
            yield _accuracy(task, split, system, dim, vectors, _head(task, split, nested, dim))
        yield from _adaptive(task, split, system, nested)
    inputs = task.inputs(split).reshape(len(task.labels), -1)
    rotated = inputs @ _rotation(inputs[split.train])
    for dim in dict.fromkeys(min(dim, inputs.shape[1]) for dim in (*task.dims, inputs.shape[1])):
        yield _accuracy(task, split, "inputs", dim, rotated[:, :dim])


def _accuracy(
    task: Task,
    split: Split,
    system: str,
    dim: int,
    vectors: NDArray[np.float32],
    head: float | None = None,
) -> Accuracy:
    known, asked = vectors[split.train], vectors[split.test]
    labels, wanted = task.labels[split.train], task.labels[split.test]
    probe = probe_accuracy(known, labels, asked, wanted)
    return Accuracy(split.fold, system, dim, probe, nearest_accuracy(known, labels, asked, wanted), head)


def probe_accuracy(
    known: NDArray[np.float32],
    labels: NDArray[np.int64],
    asked: NDArray[np.float32],
    wanted: NDArray[np.int64],
) -> float:
    """Of a logistic regression on vectors scaled to unit variance by the training rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = known.std() or 1.0
    with warnings.catch_warnings():
        # Separable classes push weights outwards for ever; after 300 steps the classes no longer change.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=300).fit(known / scale, labels)
    return float((fitted.predict(asked / scale) == wanted).mean())


def nearest_accuracy(
    known: NDArray[np.float32],
    labels: NDArray[np.int64],
    asked: NDArray[np.float32],
    wanted: NDArray[np.int64],
) -> float:
    """1-NN by cosine; a vector without direction (all zeros) has the first class."""
    units = [_units(rows) for rows in (asked, known)]
    return float((labels[np.argmax(units[0] @ units[1].T, axis=1)] == wanted).mean())


def _units(rows: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    there = rows.any(axis=1)
    units = np.zeros(rows.shape)
    units[there] = truncate(rows[there], rows.shape[1])
    return units


def _head(task: Task, split: Split, trained: Trained, dim: int) -> float:
    logits = trained.scores(trained.embeddings[split.test, :dim])
    return float((logits.argmax(axis=1) == task.labels[split.test]).mean())


def _rotation(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns by descending singular value; not centred, so that cosines of whole vectors stay."""
    return np.asarray(np.linalg.svd(rows.T @ rows)[0], dtype=np.float32)


def _adaptive(task: Task, split: Split, system: str, nested: Trained) -> Iterator[Adaptive]:
    vectors, labels = nested.embeddings, task.labels
    known, asked = vectors[split.validation], vectors[split.test]
    wanted = labels[split.test]

    def right(rows: NDArray[np.float32], classes: NDArray[np.int64], dim: int) -> float:
        return float((nested.scores(rows[:, :dim]).argmax(axis=1) == classes).mean())

    validated = {dim: right(known, labels[split.validation], dim) for dim in task.dims}
    for per_dim, loss in product((False, True), LOSSES):
        learned = learn_thresholds(
            known, labels[split.validation], nested.scores, task.dims, loss=loss, per_dim=per_dim
        )
        found = learned.classify(asked, nested.scores)
        least = validated[task.dims[-1]] - loss
        fixed = next(dim for dim in task.dims if validated[dim] >= least - 1e-12)
        yield Adaptive(
            fold=split.fold,
            system=system,
            per_dim=per_dim,
            loss=loss,
            full=right(asked, wanted, task.dims[-1]),
            accuracy=found.accuracy(wanted),
            mean_dims=found.mean_dims,
            fixed_accuracy=right(asked, wanted, fixed),
            fixed_dim=fixed,
            validation=learned.classify(known, nested.scores).accuracy(labels[split.validation]),
            thresholds=learned.thresholds,
        )
