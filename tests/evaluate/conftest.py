"""Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""

from __future__ import annotations

import pytest

from kukla import kernels


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """See above."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")
