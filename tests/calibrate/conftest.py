"""A small corpus with structure: clusters, and variance that falls along the coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import Index, kernels

DIM = 32
Draw = Callable[[int], NDArray[np.float32]]


@pytest.fixture(autouse=True, scope="session")
def kernels_without_warning() -> Iterator[None]:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        if kernels.available() == ("numpy",):
            patch.setenv("KUKLA_KERNELS", "numpy")
        yield


def make_draw(seed: int) -> Draw:
    """Draws documents and queries alike; the clusters are always the same."""
    centres = np.random.default_rng(0).standard_normal((20, DIM))
    rng = np.random.default_rng([1, seed])
    scale = 1 / np.sqrt(1 + np.arange(DIM) / 4)

    def draw(count: int) -> NDArray[np.float32]:
        noise = 0.7 * rng.standard_normal((count, DIM))
        return ((centres[rng.integers(0, 20, count)] + noise) * scale).astype(np.float32)

    return draw


def make_index(path: Path, documents: NDArray[np.float32]) -> Index:
    """An index of three dims."""
    index = Index.create(path, dim=DIM, nesting=(8, 16, DIM))
    index.add(documents)
    return index


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index of 800 documents that no test changes, but for its calibrations."""
    with make_index(tmp_path_factory.mktemp("shared") / "a.kukla", make_draw(0)(800)) as index:
        yield index


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Index]:
    """An index of 600 documents to change."""
    with make_index(tmp_path / "own.kukla", make_draw(1)(600)) as index:
        yield index


@pytest.fixture
def draw() -> Draw:
    """Fresh queries."""
    return make_draw(2)
