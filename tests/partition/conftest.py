"""A trained partition of rows that gather in places."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered

from kukla import kernels
from kukla.partition import Partition, train_partition

DIM = 40


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture(scope="session")
def rows() -> NDArray[np.float32]:
    """Unit vectors, float32 (1500, 40)."""
    found = clustered(1500, DIM)
    return np.ascontiguousarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.fixture(scope="session")
def partition(rows: NDArray[np.float32]) -> Partition:
    """Of 30 lists, short codes of 4 bytes and records of 20."""
    with kernels.use(kernels.available()[0]):
        return train_partition(rows, lists=30, code_bytes=20)
