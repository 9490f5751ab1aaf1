"""Small indexes to damage, and processes of their own to kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import Index, kernels

DIM = 12

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(40, DIM)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, vectors: NDArray[np.float32]) -> Path:
    """A closed index: string ids, texts, metadata, two segments, a deleted row."""
    path = tmp_path / "index"
    with Index.create(path, dim=DIM, nesting=(5, 12), precisions=("binary", "int8", "float32")) as index:
        for low, high in ((0, 25), (25, 40)):
            index.add(
                vectors[low:high],
                ids=[f"d{i:02d}" for i in range(low, high)],
                texts=[f"text {i}" for i in range(low, high)],
                metadata=[{"even": i % 2 == 0} for i in range(low, high)],
            )
        index.delete("d03")
    return path


@pytest.fixture
def spawn() -> Spawn:
    """Run Python code in a process of its own; its arguments are ``sys.argv[1:]``."""

    def run(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", code, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run
