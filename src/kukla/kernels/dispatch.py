"""Which implementation runs: the best the processor has, `KUKLA_KERNELS`, or `use` in a test."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kukla.errors import InputError

_import_error: ImportError | None = None
try:
    import kukla.kernels._native as native
except ImportError as error:
    _import_error = error

__all__ = ["ENVIRONMENT", "active", "available", "forced", "native", "use"]

ENVIRONMENT = "KUKLA_KERNELS"

_forced: ContextVar[str | None] = ContextVar("kukla_kernels_forced", default=None)


def available() -> tuple[str, ...]:
    """What this machine can run, slowest first: "numpy", then, with the native build, "scalar" and more."""
    return ("numpy", *(native.available() if _import_error is None else ()))


def active() -> str:
    """The name of the implementation that the next call runs.

    Returns
    -------
    str
        "numpy", "scalar", "avx2", "avx512" or "neon": what `use` says, else the environment variable
        ``KUKLA_KERNELS``, else the last of `available`. Answers do not depend on it (the float scans': within
        their stated tolerance), only speed does.

    Raises
    ------
    InputError
        ``KUKLA_KERNELS`` names something that this machine does not have.

    Warns
    -----
    RuntimeWarning
        Once, if the native kernels are missing and NumPy was not asked for.
    """
    return _forced.get() or _default(os.environ.get(ENVIRONMENT, ""))


def forced() -> str | None:
    """The name that `use` was given, in this thread or task."""
    return _forced.get()


@contextmanager
def use(name: str) -> Iterator[str]:
    """Run one implementation inside a ``with`` block, in this thread (or task) only.

    Example
    -------
    >>> from kukla import kernels
    >>> with kernels.use("numpy"):
    ...     kernels.active()
    'numpy'
    """
    token = _forced.set(_checked(name, "kernels.use"))
    try:
        yield name
    finally:
        _forced.reset(token)


@functools.cache
def _default(wanted: str) -> str:
    if wanted:
        return _checked(wanted, f"environment variable {ENVIRONMENT}")
    if _import_error is not None:
        warnings.warn(
            f"Kukla's native kernels are missing ({_import_error}); searching with NumPy, many times slower. "
            f"For the native build install a C++17 compiler (g++ or clang++) and run "
            f"'pip install --force-reinstall --no-deps --no-binary kukla kukla'; "
            f"to keep NumPy without this warning set {ENVIRONMENT}=numpy.",
            RuntimeWarning,
            stacklevel=2,
        )
    return available()[-1]


def _checked(name: str, where: str) -> str:
    if name not in available():
        raise InputError(f"{where}: no kernels named {name!r} here; available: {', '.join(available())}")
    return name
