"""A user at a shell: the real command in a process of its own, or click's runner for many short runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kukla import Index, kernels
from kukla.cli import cli

Kukla = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]

DIM = 64


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")
    for name in ("KUKLA_DEBUG", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kukla(tmp_path: Path) -> Kukla:
    """Run ``kukla ARGUMENTS`` as a user would, in ``tmp_path``."""

    def run(
        *arguments: object, stdin: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kukla", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=os.environ | (environment or {}),
            timeout=100,
            check=False,
        )

    return run


@pytest.fixture
def invoke() -> Invoke:
    """Run ``kukla ARGUMENTS`` in this process."""

    def run(*arguments: object, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, list(map(str, arguments)), input=stdin)

    return run


def error_of(result: Result, status: int = 1) -> str:
    """The one line on stderr of a command that failed as it should: no traceback, nothing on stdout."""
    assert result.exit_code == status, (result.output, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    if status == 1:
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
    return lines[-1]


@pytest.fixture
def vectors() -> np.ndarray:
    """Fifty vectors, float32 (50, 64)."""
    return np.random.default_rng(7).standard_normal((50, DIM)).astype(np.float32)


@pytest.fixture
def vectors_file(tmp_path: Path, vectors: np.ndarray) -> Path:
    """The vectors as npy."""
    path = tmp_path / "vectors.npy"
    np.save(path, vectors)
    return path


@pytest.fixture
def numbered(tmp_path: Path, vectors: np.ndarray) -> Path:
    """An index of the vectors with the ids 0..49, dims 16, 32, 64, and years as metadata."""
    path = tmp_path / "numbered.kukla"
    with Index.create(path, dim=DIM, nesting=(16, 32, DIM)) as index:
        index.add(
            vectors, texts=[f"text {i}" for i in range(50)], metadata=[{"year": 1990 + i} for i in range(50)]
        )
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of three documents and a file that is none."""
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "bread.md").write_text("# Bread\n\nKnead the dough for ten minutes, then let it rise.\n")
    (folder / "deep" / "dolls.txt").write_text("A wooden doll opens, and inside it is a smaller doll.\n")
    (folder / "garden.rst").write_text("Garden\n======\n\nTomatoes want sun and water every day.\n")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    return folder
