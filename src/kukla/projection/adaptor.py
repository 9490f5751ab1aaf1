"""The adaptor: a rotation and a small residual network after it, for a model that stays as it is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import as_float32, check_vectors
from kukla.errors import ChecksumError, InputError, VectorError
from kukla.projection.base import Projection
from kukla.projection.rotation import TOLERANCE, orthonormal_error
from kukla.projection.undo import undo

__all__ = ["Adaptor"]

Floats = NDArray[np.float32]

_NAMES = ("matrix", "inner", "outer")


class Adaptor(Projection):
    """``z = x @ matrix``, then ``z + max(z @ inner, 0) @ outer``: not linear, and so not orthonormal.

    The shape of Matryoshka-Adaptor (Yoon et al. 2024, arXiv 2407.20243): a skip connection around a shallow
    perceptron, which learns only the difference. **Full-dim scores change**: an index with an adaptor finds
    what its adapted vectors say, exact search and certificates are about these, and the model's own full
    scores are gone. There are no offsets: an adapted vector is as many times longer as the vector was, so
    that lengths mean what they meant and :meth:`inverse` finds directions whatever the index normalised.

    Parameters
    ----------
    matrix : array of float, shape (dim, dim)
        Orthonormal: where the training started, a rotation or the identity.
    inner : array of float, shape (dim, hidden)
    outer : array of float, shape (hidden, dim)
        All finite. Copied to float32 in row order.
    renormalises_prefixes : bool
        See :attr:`Projection.renormalises_prefixes`.
    about : mapping, optional
        JSON-able: how it was made. Part of the value.

    Raises
    ------
    VectorError
        Not finite, shapes that do not fit, or a ``matrix`` that is not orthonormal to 1e-5.
    """

    kind = "adaptor"

    def __init__(
        self,
        matrix: ArrayLike,
        inner: ArrayLike,
        outer: ArrayLike,
        *,
        renormalises_prefixes: bool = True,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.matrix, self.inner, self.outer = (
            _checked(array, name) for array, name in zip((matrix, inner, outer), _NAMES, strict=True)
        )
        self.dim_in = self.dim_out = len(self.matrix)
        self.hidden = self.inner.shape[1]
        found = tuple(array.shape for array in (self.matrix, self.inner, self.outer))
        wanted = _shapes(self.dim_in, self.hidden)
        if found != wanted:
            raise VectorError(
                f"the matrix, inner and outer weights of an adaptor must have the shapes (dim, dim), "
                f"(dim, hidden) and (hidden, dim), got {', '.join(map(str, found))}"
            )
        error = orthonormal_error(self.matrix)
        if error > TOLERANCE:
            raise VectorError(
                f"the matrix of an adaptor is not orthonormal: it moves scores by about {error:.2g}, allowed "
                f"is {TOLERANCE:g}"
            )
        self._renormalises = bool(renormalises_prefixes)
        self.about: dict[str, Any] = dict(about or {})

    @property
    def renormalises_prefixes(self) -> bool:
        """See :attr:`Projection.renormalises_prefixes`."""
        return self._renormalises

    def transform(self, vectors: Floats) -> Floats:
        """Adapt rows ``(n, dim)``, float32; the last bits may depend on how many rows are given at once."""
        turned: Floats = vectors @ self.matrix
        return turned + self._moved(turned)

    def inverse(self, vectors: Floats) -> Floats:
        """The vectors whose :meth:`transform` these are, found by iteration to 1e-5 of their length.

        Raises
        ------
        InputError
            Naming a row that nothing found is adapted to: a residual network can be many to one, or miss
            what an index of prefixes asks for.
        """
        return undo(vectors, self.inner, self.outer) @ self.matrix.T

    def _moved(self, turned: Floats) -> Floats:
        hidden: Floats = turned @ self.inner
        np.maximum(hidden, 0, out=hidden)
        return hidden @ self.outer

    @cached_property
    def _checksum(self) -> str:
        return _crc32(self.matrix, self.inner, self.outer)

    def to_dict(self) -> dict[str, Any]:
        """The weights are in :meth:`arrays`; here is the CRC-32 of all, so that they cannot be mixed up."""
        return {
            "kind": self.kind,
            "dim": self.dim_in,
            "hidden": self.hidden,
            "crc32": self._checksum,
            "renormalises_prefixes": self._renormalises,
            "about": self.about,
        }

    def arrays(self) -> dict[str, Floats]:
        """``matrix`` (dim, dim), ``inner`` (dim, hidden), ``outer`` (hidden, dim): read-only, not copied."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def _from_dict(cls, parameters: Mapping[str, Any]) -> Self:
        wanted = {"dim": int, "hidden": int, "crc32": str, "renormalises_prefixes": bool, "about": dict}
        for name, type_ in wanted.items():
            if type(parameters.get(name)) is not type_:
                raise InputError(f"an adaptor needs {name} ({type_.__name__}), got {parameters.get(name)!r}")
        arrays = [parameters.get(name) for name in _NAMES]
        shapes = _shapes(parameters["dim"], parameters["hidden"])
        for name, array, shape in zip(_NAMES, arrays, shapes, strict=True):
            if not isinstance(array, np.ndarray):
                raise InputError(f"an adaptor needs its array {name}, got {array!r}")
            if array.shape != shape or array.dtype.kind != "f" or array.dtype.itemsize != 4:
                raise InputError(
                    f"{name} of an adaptor must be float32 {shape}, got {array.dtype} {array.shape}"
                )
        found = _crc32(*arrays)  # type: ignore[arg-type]  # all arrays, as just checked
        if found != parameters["crc32"]:
            raise ChecksumError(f"an adaptor has checksum {found}, expected {parameters['crc32']}")
        options = {name: parameters[name] for name in ("renormalises_prefixes", "about")}
        return cls(*arrays, **options)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        made = f", {self.about['fit']}" if "fit" in self.about else ""
        return f"Adaptor({self.dim_in} -> {self.dim_out}, {self.hidden} hidden{made})"


def _shapes(dim: int, hidden: int) -> tuple[tuple[int, int], ...]:
    return (dim, dim), (dim, hidden), (hidden, dim)


def _checked(array: ArrayLike, name: str) -> Floats:
    what = f"{name} of an adaptor"
    checked = check_vectors(array, what=what)
    if checked.ndim != 2 or not checked.size:
        raise VectorError(f"{what} must be a matrix, got the shape {checked.shape}")
    result: Floats = np.ascontiguousarray(as_float32(checked)).copy()
    result.flags.writeable = False
    return result


def _crc32(*arrays: Floats) -> str:
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array, dtype="<f4").data, value)
    return f"{value:08x}"
