"""Vectors whose nesting is known because they were made that way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kukla import kernels

Make = Callable[..., np.ndarray]


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")
    for name in ("KUKLA_DEBUG", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def make_clusters(n: int, width: int, *, seed: int, decay: float, upto: int | None = None) -> np.ndarray:
    """Clustered vectors, float32 (n, width); the spread of coordinate i falls as ``i ** -decay``.

    With ``upto`` it falls in one step at that coordinate instead: the outer doll is there, no inner one.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n // 5, width))
    rows = centres[rng.integers(0, len(centres), n)] + 0.7 * rng.standard_normal((n, width))
    place = np.arange(1, width + 1, dtype=float)
    spread = place**-decay if upto is None else np.where(place <= upto, 1.0, upto**-decay)
    return (rows * spread).astype(np.float32)


@pytest.fixture(scope="session")
def nested() -> np.ndarray:
    """Prefixes at every scale hold more than their share."""
    return make_clusters(300, 64, seed=1, decay=0.5)


@pytest.fixture(scope="session")
def rotated(nested: np.ndarray) -> np.ndarray:
    """The same neighbourhoods, no order of the coordinates."""
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((64, 64)))[0]
    return (nested @ turn).astype(np.float32)


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Random numbers, as in a file of placeholder vectors."""
    return np.random.default_rng(3).uniform(-1, 1, (97, 96)).astype(np.float32)
