"""Linear maps given by a matrix: orthonormal ones, which change no score, and all others."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import as_float32, check_dim, check_vectors
from kukla.errors import ChecksumError, InputError, VectorError
from kukla.projection.base import Projection

__all__ = ["TOLERANCE", "Linear", "Rotation", "orthonormal_error"]

TOLERANCE = 1e-5
"""How far from orthonormal a rotation may be: float32 rounding is about 1e-7, float16 about 3e-4."""

_PROBES = 8


class Linear(Projection):
    """Any linear map: ``transform(x) = x @ matrix``.

    For matrices that come with a model. **Full-dim scores change** unless the matrix is orthonormal (then use
    :class:`Rotation`): an index with a linear map finds what its projected vectors say, and exact search
    means exact in the projected space. There is no offset on purpose: it would not cancel in a dot product.

    Parameters
    ----------
    matrix : array of float, shape (dim_in, dim_out)
        Finite. Copied to float32 in row order.
    renormalises_prefixes : bool, optional
        See :attr:`Projection.renormalises_prefixes`. Heads are trained with cosine losses: default ``True``.
    about : mapping, optional
        JSON-able: how the matrix was made. Part of the value.

    Raises
    ------
    VectorError
        Not a matrix of finite floats.
    """

    kind = "linear"
    _renormalises_by_default = True

    def __init__(
        self,
        matrix: ArrayLike,
        *,
        renormalises_prefixes: bool | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        what = f"the matrix of a {self.kind} projection"
        checked = check_vectors(matrix, what=what)
        if checked.ndim != 2 or not len(checked):
            raise VectorError(f"{what} must have the shape (dim_in, dim_out), got {checked.shape}")
        self.matrix: NDArray[np.float32] = np.ascontiguousarray(as_float32(checked))
        self.matrix.flags.writeable = False
        self.dim_in = check_dim(self.matrix.shape[0], what=f"the rows of {what}")
        self.dim_out = check_dim(self.matrix.shape[1], what=f"the columns of {what}")
        default = self._renormalises_by_default
        self._renormalises = default if renormalises_prefixes is None else bool(renormalises_prefixes)
        self.about: dict[str, Any] = dict(about or {})

    @property
    def renormalises_prefixes(self) -> bool:
        """See :attr:`Projection.renormalises_prefixes`."""
        return self._renormalises

    def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``vectors @ matrix`` in float32; the last bits may depend on how many rows are given at once."""
        return vectors @ self.matrix

    def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The shortest vectors that project as near to ``vectors`` as can be (Moore-Penrose inverse)."""
        return vectors @ self._pseudo_inverse

    def scored(self, *, renormalises_prefixes: bool) -> Self:
        """The same map with prefixes ranked the other way, or the same."""
        return type(self)(self.matrix, renormalises_prefixes=renormalises_prefixes, about=self.about)

    @cached_property
    def _pseudo_inverse(self) -> NDArray[np.float32]:
        return np.linalg.pinv(self.matrix.astype(np.float64)).astype(np.float32)

    @cached_property
    def _checksum(self) -> str:
        return f"{zlib.crc32(self.matrix.astype('<f4', copy=False).data):08x}"

    def to_dict(self) -> dict[str, Any]:
        """The matrix is in :meth:`arrays`; here is its CRC-32, so that the two cannot be mixed up."""
        return {
            "kind": self.kind,
            "dim_in": self.dim_in,
            "dim_out": self.dim_out,
            "crc32": self._checksum,
            "renormalises_prefixes": self._renormalises,
            "about": self.about,
        }

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """``{"matrix": float32 (dim_in, dim_out)}``, read-only, not copied."""
        return {"matrix": self.matrix}

    @classmethod
    def _from_dict(cls, parameters: Mapping[str, Any]) -> Self:
        matrix = parameters.get("matrix")
        wanted = {"dim_in": int, "dim_out": int, "crc32": str, "renormalises_prefixes": bool, "about": dict}
        for name, type_ in wanted.items():
            if type(parameters.get(name)) is not type_:
                raise InputError(
                    f"a {cls.kind} projection needs {name} ({type_.__name__}), got {parameters.get(name)!r}"
                )
        if not isinstance(matrix, np.ndarray):
            raise InputError(f"a {cls.kind} projection needs its matrix, got {matrix!r}")
        shape = (parameters["dim_in"], parameters["dim_out"])
        if matrix.shape != shape or matrix.dtype.kind != "f" or matrix.dtype.itemsize != 4:
            raise InputError(
                f"the matrix of a {cls.kind} projection must be float32 {shape}, "
                f"got {matrix.dtype} {matrix.shape}"
            )
        found = f"{zlib.crc32(np.ascontiguousarray(matrix, dtype='<f4').data):08x}"
        if found != parameters["crc32"]:
            raise ChecksumError(
                f"the matrix of a {cls.kind} projection has checksum {found}, expected {parameters['crc32']}"
            )
        about, renormalises = parameters["about"], parameters["renormalises_prefixes"]
        return cls(matrix, renormalises_prefixes=renormalises, about=about)

    def __repr__(self) -> str:
        made = f", {self.about['fit']}" if "fit" in self.about else ""
        return f"{type(self).__name__}({self.dim_in} -> {self.dim_out}{made})"


class Rotation(Linear):
    """An orthonormal map: every full-dim inner product, length and distance stays as it is, to rounding.

    There is no centring shift: subtracting a mean from documents and queries changes inner products by terms
    that differ from document to document, and so the ranking that the user asked for.

    Parameters
    ----------
    matrix : array of float, shape (dim, dim)
        ``matrix @ matrix.T`` is the identity; column ``i`` is the direction of coordinate ``i``. Reflections
        count as rotations.
    renormalises_prefixes : bool, optional
        Default ``False``: the partial dot product ranked better after most fitted rotations;
        :func:`kukla.projection.choose.choose_projection` measures both.
    about : mapping, optional

    Raises
    ------
    VectorError
        Not square, not finite, or not orthonormal to 1e-5: then it is a :class:`Linear` map.
    """

    kind = "rotation"
    _renormalises_by_default = False

    def __init__(
        self,
        matrix: ArrayLike,
        *,
        renormalises_prefixes: bool | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(matrix, renormalises_prefixes=renormalises_prefixes, about=about)
        if self.dim_in != self.dim_out:
            raise VectorError(f"a rotation is square, got the shape {self.matrix.shape}")
        error = orthonormal_error(self.matrix)
        if error > TOLERANCE:
            raise VectorError(
                f"the matrix is not orthonormal: it moves scores by about {error:.2g}, allowed is "
                f"{TOLERANCE:g}; Linear takes any matrix"
            )

    @property
    def keeps_scores(self) -> bool:
        """``True``."""
        return True

    def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``vectors @ matrix.T``: what :meth:`transform` was given, to float32 rounding."""
        return vectors @ self.matrix.T


def orthonormal_error(matrix: NDArray[np.float32]) -> float:
    """How far ``matrix @ matrix.T`` is from the identity, relative, on the worst of a few random vectors.

    Freivalds' check: O(dim^2) where the whole product is O(dim^3), so that opening an index stays fast. For
    Gaussian vectors the expected square is the squared Frobenius norm of the defect over the dim.
    """
    probes = np.random.default_rng(0).standard_normal((_PROBES, len(matrix)), dtype=np.float32)
    # Scaled, for finite values whose products overflow.
    scale = float(np.abs(matrix).max())
    if not 1e-3 < scale * np.sqrt(len(matrix)) < 1e6:
        return float("inf")
    defect = (probes @ matrix) @ matrix.T - probes
    return float((np.linalg.norm(defect, axis=1) / np.linalg.norm(probes, axis=1)).max())
