"""Every test that takes `isa` runs once per implementation that this machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kukla import kernels


@pytest.fixture(params=kernels.available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    with kernels.use(request.param) as name:
        yield name
