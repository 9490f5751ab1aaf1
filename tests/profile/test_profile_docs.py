"""The examples are true."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "profile.md").read_text(encoding="utf-8")


def test_the_docstring() -> None:
    # By name: `kukla.profile.profile` is the function.
    failed, attempted = doctest.testmod(importlib.import_module("kukla.profile.measure"))
    assert (failed, attempted > 0) == (0, True)


def test_the_example_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    np.save(tmp_path / "vectors.npy", nested)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/profile.md", "exec"), {})
    assert capsys.readouterr().out.startswith("nested\n")
    assert (tmp_path / "profile.png").stat().st_size > 10_000
