"""Which kernels run, and what is said when the native ones are missing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from kukla import kernels
from kukla.errors import InputError

FIRST_CALL = "import warnings; from kukla import kernels; print(kernels.active()); print(kernels.active())"
WITHOUT_NATIVE = "import sys; sys.modules['kukla.kernels._native'] = None; " + FIRST_CALL


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "KUKLA_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(os.environ.get("KUKLA_ALLOW_NO_NATIVE") == "1", reason="KUKLA_ALLOW_NO_NATIVE=1")
def test_native_build_is_there() -> None:
    assert "scalar" in kernels.available(), (
        "the native kernels were not built; set KUKLA_ALLOW_NO_NATIVE=1 if that is intended"
    )


def test_the_best_is_the_default() -> None:
    done = python(FIRST_CALL, KUKLA_KERNELS="")
    assert kernels.available()[0] == "numpy"
    assert done.stdout.split() == [kernels.available()[-1]] * 2


@pytest.mark.parametrize("name", kernels.available())
def test_environment_forces_one(name: str) -> None:
    done = python(FIRST_CALL, KUKLA_KERNELS=name)
    assert done.stdout.split() == [name] * 2
    assert not done.stderr


def test_unknown_name_in_the_environment() -> None:
    done = python(FIRST_CALL, KUKLA_KERNELS="sse9")
    assert done.returncode == 1
    assert "KUKLA_KERNELS: no kernels named 'sse9' here; available: numpy" in done.stderr


def test_missing_native_warns_once() -> None:
    done = python(WITHOUT_NATIVE)
    assert done.stdout.split() == ["numpy", "numpy"]
    assert done.stderr.count("RuntimeWarning") == 1
    assert "pip install" in done.stderr


def test_missing_native_is_silent_when_numpy_was_asked_for() -> None:
    assert not python(WITHOUT_NATIVE, KUKLA_KERNELS="numpy").stderr


def test_missing_native_cannot_be_forced() -> None:
    done = python(WITHOUT_NATIVE, KUKLA_KERNELS="scalar")
    assert done.returncode == 1
    assert "available: numpy" in done.stderr


def test_use_is_undone_and_stays_in_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUKLA_KERNELS", kernels.available()[-1])
    seen: list[str] = []
    with kernels.use("numpy"):
        assert kernels.active() == "numpy"
        thread = threading.Thread(target=lambda: seen.append(kernels.active()))
        thread.start()
        thread.join()
    assert kernels.active() == seen[0] == kernels.available()[-1]


def test_use_of_an_unknown_name() -> None:
    with (
        pytest.raises(InputError, match=r"kernels\.use: no kernels named 'fast' here; available: numpy"),
        kernels.use("fast"),
    ):
        pass
