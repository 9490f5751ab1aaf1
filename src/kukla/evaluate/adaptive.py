"""Adaptive classification: each row reads the smallest prefix that is sure of its class.

Kusupati et al. 2022 (arXiv 2205.13147, section 4.2.1 and appendix D): classify by the shortest prefix, stop
where the largest softmax probability is above a threshold, else go on to the next prefix. Prefixes are
nested, so a row that stops at ``dim`` has read ``dim`` coordinates, whatever it looked at before. NumPy
alone: where the classifiers were trained does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import check_vectors
from kukla.errors import InputError, VectorError
from kukla.nesting import Nesting

__all__ = ["AdaptiveClassifier", "AdaptiveResult", "LinearScores", "Scores", "learn_thresholds"]

Floats = NDArray[np.floating[Any]]
Scores = Callable[[Floats], Floats]
"""From bare prefixes ``(n, dim)``, not renormalised, to the logits ``(n, classes)`` of that dim."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """A linear classifier for each dim: logits are ``prefix @ weight.T + bias``.

    Parameters
    ----------
    heads : mapping of int to (weight, bias)
        ``weight`` of float (classes, dim), ``bias`` of float (classes,); what
        :meth:`kukla.train.objectives.NestedHeads.arrays` gives.
    """

    heads: Mapping[int, tuple[Floats, Floats]]

    def __call__(self, prefixes: Floats) -> Floats:
        """Logits ``(n, classes)`` of prefixes ``(n, dim)``; ``InputError`` for a dim without a head."""
        dim = prefixes.shape[1]
        if dim not in self.heads:
            raise InputError(f"there is no head for {dim} dims; there are {', '.join(map(str, self.heads))}")
        weight, bias = self.heads[dim]
        return prefixes @ weight.T + bias


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveResult:
    """Classes, and what they cost.

    Parameters
    ----------
    classes : ndarray of int64, shape (n,)
        Columns of the logits.
    dims : ndarray of int64, shape (n,)
        The prefix that each row stopped at.
    """

    classes: NDArray[np.int64]
    dims: NDArray[np.int64]

    @property
    def mean_dims(self) -> float:
        """Coordinates read per row; 0 without rows."""
        return float(self.dims.mean()) if len(self.dims) else 0.0

    def accuracy(self, labels: ArrayLike) -> float:
        """The share of rows whose class is that of ``labels`` (n,)."""
        return float((self.classes == _labels(labels, len(self.classes))).mean())


@dataclass(frozen=True, slots=True)
class AdaptiveClassifier:
    """Prefix lengths, and how sure each but the last must be.

    Parameters
    ----------
    dims : sequence of int
        Ascending.
    thresholds : sequence of float
        In 0..1, one for each dim but the last, which always answers. A row stops where its confidence, the
        largest softmax probability, is *above* the threshold: 1 never stops, 0 always does.

    Raises
    ------
    InputError
        Dims that do not ascend, another number of thresholds, one outside of 0..1.

    Example
    -------
    >>> import numpy as np
    >>> never = AdaptiveClassifier((1, 2), (1.0,))
    >>> heads = LinearScores({1: (np.eye(2, 1), np.zeros(2)), 2: (np.eye(2), np.zeros(2))})
    >>> never.classify(np.array([[0.2, 0.9]]), heads).dims
    array([2])
    """

    dims: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __init__(self, dims: Sequence[int], thresholds: Sequence[float]) -> None:
        nesting = Nesting(dims)
        given = tuple(float(threshold) for threshold in thresholds)
        if len(given) != len(nesting) - 1:
            raise InputError(
                f"{len(nesting)} dims need {len(nesting) - 1} thresholds (the last dim always answers), "
                f"got {len(given)}"
            )
        if not all(0 <= threshold <= 1 for threshold in given):
            raise InputError(f"thresholds are probabilities in 0..1, got {given}")
        object.__setattr__(self, "dims", nesting.dims)
        object.__setattr__(self, "thresholds", given)

    def classify(self, vectors: ArrayLike, scores: Scores) -> AdaptiveResult:
        """The class of each row, by the first prefix that is sure.

        Parameters
        ----------
        vectors : array of float, shape (n, at least the largest dim)
            As the classifiers were trained: not renormalised, unless ``scores`` does it.
        scores : callable
            See :data:`Scores`; called at each dim with the rows that went on to it, and no others.

        Returns
        -------
        AdaptiveResult

        Raises
        ------
        VectorError
            Vectors narrower than the largest dim; logits that are not finite ``(n, classes)``.
        """
        rows = _rows(vectors, self.dims[-1])
        classes = np.zeros(len(rows), dtype=np.int64)
        dims = np.full(len(rows), self.dims[-1], dtype=np.int64)
        unsure = np.arange(len(rows))
        for dim, threshold in zip(self.dims, (*self.thresholds, 0.0), strict=True):
            if not len(unsure):
                break
            classes[unsure], confidence = _decide(rows[unsure, :dim], scores)
            dims[unsure] = dim
            unsure = unsure[confidence <= threshold]
        return AdaptiveResult(classes, dims)


def learn_thresholds(
    vectors: ArrayLike, labels: ArrayLike, scores: Scores, dims: Sequence[int], *, loss: float = 0.0
) -> AdaptiveClassifier:
    """The lowest thresholds that keep the accuracy of the largest dim on these rows.

    From the last dim but one back to the first, each threshold is the lowest for which the whole rest of the
    cascade keeps the accuracy; greedy, as in the paper's appendix D, but over every threshold that makes a
    difference instead of a grid of a hundred. O(dims * n log n).

    Give it rows that **no classifier was trained on**: on training rows every prefix is sure of itself. And
    measure on others again: the thresholds are the lowest that happen to be good here, so fresh rows lose a
    little more than ``loss``.

    Parameters
    ----------
    vectors : array of float, shape (n, at least the largest dim)
    labels : array of int, shape (n,)
        Columns of the logits.
    scores : callable
        See :data:`Scores`.
    dims : sequence of int
        Ascending prefix lengths.
    loss : float
        How much lower than at the largest dim the accuracy on these rows may be, in 0..1.

    Returns
    -------
    AdaptiveClassifier

    Raises
    ------
    InputError
        No rows, another number of labels, a loss outside of 0..1.
    VectorError
        As :meth:`AdaptiveClassifier.classify`.
    """
    nesting = Nesting(dims)
    rows = _rows(vectors, nesting.full)
    wanted = _labels(labels, len(rows))
    if not len(rows):
        raise InputError("thresholds are learned from labelled rows, got none")
    if not 0 <= loss <= 1:
        raise InputError(f"the accuracy that may be lost must be in 0..1, got {loss}")
    last, _ = _decide(rows[:, : nesting.full], scores)
    later = last == wanted  # right, when the rest of the cascade decides
    least = later.sum() - loss * len(rows)
    thresholds: list[float] = []
    for dim in reversed(nesting.dims[:-1]):
        classes, confidence = _decide(rows[:, :dim], scores)
        right = classes == wanted
        threshold = _lowest(confidence, right, later, least)
        thresholds.insert(0, threshold)
        later = np.where(confidence > threshold, right, later)
    return AdaptiveClassifier(nesting.dims, thresholds)


def _lowest(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], later: NDArray[np.bool_], least: float
) -> float:
    """The threshold that most rows are above while at least ``least`` rows stay right."""
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    gains = np.concatenate([[0], np.cumsum(right[order].astype(np.int64) - later[order])])
    good = later.sum() + gains >= least
    # Rows of one confidence stop together or not at all.
    good[1:-1] &= sure[:-1] > sure[1:]
    stopped = int(np.flatnonzero(good)[-1])
    if stopped == 0:
        return 1.0
    return 0.0 if stopped == len(sure) else float(sure[stopped])


def _decide(prefixes: Floats, scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Classes ``(n,)``, the first of equals, and their softmax probabilities."""
    logits = np.asarray(scores(prefixes))
    if logits.ndim != 2 or len(logits) != len(prefixes) or not np.isfinite(logits).all():
        raise VectorError(
            f"scores must be finite logits ({len(prefixes)}, classes) at {prefixes.shape[1]} dims, got shape "
            f"{logits.shape}{'' if np.isfinite(logits).all() else ' with values that are not finite'}"
        )
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return np.argmax(wide, axis=1), 1.0 / np.exp(wide).sum(axis=1)


def _rows(vectors: ArrayLike, least: int) -> Floats:
    rows = check_vectors(vectors)
    if rows.ndim != 2 or rows.shape[1] < least:
        raise VectorError(f"vectors must be a batch (n, at least {least} dims), got shape {rows.shape}")
    return rows


def _labels(labels: ArrayLike, count: int) -> NDArray[np.integer[Any]]:
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise InputError(
            f"labels must be {count} integers, one a row, got {found.dtype} of shape {found.shape}"
        )
    return found
