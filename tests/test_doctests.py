"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

# Modules whose examples need neither a model nor the native kernels.
MODULES = [
    "kukla.evaluate.adaptive",
    "kukla.kernels.dispatch",
    "kukla.known_models",
    "kukla.nesting",
    "kukla.plan",
    "kukla.space",
    "kukla.target",
    "kukla.train.schedule",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
