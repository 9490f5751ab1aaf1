"""One calibrated index and its report, and a real browser where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index, Space, kernels
from kukla.report import Report, report_index

DIM = 64
TARGET = "recall@5>=0.9"
EVIL = "<script>document.title='owned'</script>\"'&\u202e\x1b[31m"
"""A name that would run, break out of an attribute, reorder text or drive a terminal."""

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


def draw(count: int, seed: int) -> np.ndarray:
    """Vectors whose first coordinates matter most, float32 (count, 64)."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, DIM)) / (1 + np.arange(DIM) / 4)).astype(np.float32)


def make_index(path: Path, count: int = 400, model: str = "one") -> Path:
    """An index of three dims."""
    space = Space(provider="maker", model=model, dim=DIM)
    with Index.create(path, space=space, nesting=(16, 32, DIM)) as index:
        if count:
            index.add(draw(count, 1))
    return path


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 documents and a calibration on 250 queries."""
    path = make_index(tmp_path_factory.mktemp("report") / "my.kukla")
    with Index.open(path) as index:
        index.calibrate(draw(250, 2), target=TARGET, population="questions.npy", timed=False)
    return path


@pytest.fixture(scope="session")
def report(calibrated: Path) -> Report:
    """Its report, without other queries."""
    with Index.open(calibrated, read_only=True) as index:
        return report_index(index)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; without it tests are skipped, but never in CI."""
    where = shutil.which("chromium")
    if where is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must check the page in a browser, and there is no chromium (apt-get install it)")
        pytest.skip("no chromium on this machine: the page is not looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=where, args=list(_ARGUMENTS))
        yield started
        started.close()
