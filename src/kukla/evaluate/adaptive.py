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
    vectors: ArrayLike,
    labels: ArrayLike,
    scores: Scores,
    dims: Sequence[int],
    *,
    loss: float = 0.0,
    per_dim: bool = False,
) -> AdaptiveClassifier:
    """The lowest thresholds that keep the accuracy of the largest dim on these rows.

    A threshold is taken when it, and every higher one, keeps the accuracy. O(dims * n log n).

    Give it rows that **no classifier was trained on**: on training rows every prefix is sure of itself. And
    measure on others again: what is lowest here is a little too low elsewhere, ``per_dim`` more so.

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
    per_dim : bool
        A threshold for each dim, chosen from the last back to the first as in the paper's appendix D (there
        from a grid of a hundred), instead of one for all: fewer dims, and a larger loss on fresh rows
        (docs/beyond-text.md).

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
    decided = [_decide(rows[:, :dim], scores) for dim in nesting]
    right = np.stack([classes == wanted for classes, _ in decided])
    if len(nesting) == 1:
        return AdaptiveClassifier(nesting.dims, ())
    sure = np.stack([confidence for _, confidence in decided[:-1]])
    spare = loss * len(rows)
    if per_dim:
        return AdaptiveClassifier(nesting.dims, _each(sure, right, spare))
    return AdaptiveClassifier(nesting.dims, [_shared(sure, right, spare)] * len(sure))


def _each(sure: NDArray[np.float64], right: NDArray[np.bool_], spare: float) -> list[float]:
    """A threshold for each dim: greedy, from the last back to the first."""
    thresholds: list[float] = []
    later = right[-1]  # whether a row is right when the rest of the cascade decides
    for confidence, own in zip(sure[::-1], right[-2::-1], strict=True):
        lost = right[-1].sum() - later.sum()
        threshold = _lowest(confidence, own.astype(np.int64) - later, spare - lost)
        thresholds.insert(0, threshold)
        later = np.where(confidence > threshold, own, later)
    return thresholds


def _shared(sure: NDArray[np.float64], right: NDArray[np.bool_], spare: float) -> float:
    """One threshold for all dims.

    As it sinks, a row stops at its most confident dim first, then at the one before that is the most
    confident of those up to it, and so on: only dims that are surer than all before them ever answer.
    """
    before = np.maximum.accumulate(np.concatenate([np.zeros((1, sure.shape[1])), sure]))[:-1]
    answers = sure > before
    changes = np.zeros(sure.shape, dtype=np.int64)
    later = right[-1]
    for place in reversed(range(len(sure))):
        changes[place] = right[place].astype(np.int64) - later
        later = np.where(answers[place], right[place], later)
    return _lowest(sure[answers], changes[answers], spare)


def _lowest(confidence: NDArray[np.float64], changes: NDArray[np.int64], spare: float) -> float:
    """The lowest threshold such that neither it nor a higher one loses more than ``spare`` rows.

    ``changes`` (-1, 0, 1) happen to the number of right rows when the threshold sinks below ``confidence``.
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    lost = -np.cumsum(changes[order])
    # Those of one confidence happen together, so only the last of them can be a threshold's end.
    ends = np.append(falling[:-1] > falling[1:], True)
    bad = np.flatnonzero(ends & (lost > spare + 1e-9))
    if not len(bad):
        return 0.0
    return float(falling[bad[0]])


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
