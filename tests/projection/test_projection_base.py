"""Projections: one interface, a registry by kind, values that compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla.errors import InputError, NewerFormatError, VectorError
from kukla.projection import Identity, Projection


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Kinds defined by a test are gone after it."""
    before = dict(Projection._kinds)
    yield
    Projection._kinds.clear()
    Projection._kinds.update(before)


def make_householder() -> type[Projection]:
    """A class of orthonormal maps: the reflection that swaps a vector with its negative."""

    class Householder(Projection):
        kind = "householder"

        def __init__(self, normal: list[float]) -> None:
            self.normal = np.array(normal)
            self.dim_in = self.dim_out = len(normal)

        def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            reflected = vectors - 2 * np.outer(vectors @ self.normal, self.normal) / (
                self.normal @ self.normal
            )
            result: NDArray[np.float32] = reflected.astype(np.float32)
            return result

        inverse = transform

        def to_dict(self) -> dict[str, Any]:
            return {"kind": self.kind, "normal": self.normal.tolist()}

        @classmethod
        def _from_dict(cls, parameters: Mapping[str, Any]) -> Projection:
            return cls(parameters["normal"])

    return Householder


ROWS = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)


def test_the_identity_changes_nothing() -> None:
    identity = Identity(4)
    assert (identity.dim_in, identity.dim_out) == (4, 4)
    assert np.array_equal(identity.transform(ROWS), ROWS)
    assert np.array_equal(identity.inverse(ROWS), ROWS)
    assert repr(identity) == "Identity(4)"


def test_a_dictionary_describes_a_projection() -> None:
    identity = Identity(np.int64(4))  # type: ignore[arg-type]
    assert identity.to_dict() == {"kind": "identity", "dim": 4}
    assert Projection.from_dict(json.loads(json.dumps(identity.to_dict()))) == identity


def test_projections_are_values() -> None:
    assert Identity(4) == Identity(4)
    assert hash(Identity(4)) == hash(Identity(4))
    assert Identity(4) != Identity(5)
    assert Identity(4) != 4
    assert make_householder()([1.0, 0, 0, 0]) != Identity(4)  # type: ignore[call-arg]


@pytest.mark.parametrize("dim", [0, -1, True, 2.5, "4", None, 70_000])
def test_the_dim_is_checked(dim: Any) -> None:
    with pytest.raises(VectorError, match="the dim of a projection must be an integer from 1 to 65536"):
        Identity(dim)


@pytest.mark.parametrize("dim", [None, "4", 2.5, [4]])
def test_a_described_dim_is_checked_too(dim: Any) -> None:
    with pytest.raises(InputError, match="an identity projection needs an integer dim, got"):
        Projection.from_dict({"kind": "identity", "dim": dim})


@pytest.mark.parametrize("kind", ["pca9", "", None, 5, ["identity"]])
def test_an_unknown_kind_is_of_a_later_version(kind: Any) -> None:
    with pytest.raises(NewerFormatError, match=r"unknown projection .*; this version knows: .*identity"):
        Projection.from_dict({"kind": kind, "dim": 4})
    with pytest.raises(NewerFormatError, match="unknown projection None"):
        Projection.from_dict({})


@pytest.mark.parametrize("parameters", [None, "identity", [("kind", "identity")]])
def test_parameters_are_a_mapping(parameters: Any) -> None:
    with pytest.raises(InputError, match="a projection's parameters are a mapping"):
        Projection.from_dict(parameters)


def test_a_projection_of_ones_own_is_found_by_its_kind() -> None:
    original = make_householder()([1.0, 2.0, 3.0, 4.0])  # type: ignore[call-arg]
    found = Projection.from_dict(json.loads(json.dumps(original.to_dict())))
    assert found == original
    assert type(found) is type(original)
    projected = found.transform(ROWS)
    assert projected.dtype == np.float32
    assert not np.allclose(projected, ROWS)
    # Orthonormal: no full-dim score changes, and the inverse leads back.
    np.testing.assert_allclose(projected @ projected.T, ROWS @ ROWS.T, atol=1e-5)
    np.testing.assert_allclose(found.inverse(projected), ROWS, atol=1e-6)


def test_a_subclass_without_a_kind_does_not_take_its_parents_place() -> None:
    class Loud(Identity):
        pass

    assert Projection.from_dict({"kind": "identity", "dim": 4}) == Identity(4)
    assert type(Projection.from_dict({"kind": "identity", "dim": 4})) is Identity
    assert Loud(4) != Identity(4)


def test_the_interface_has_to_be_filled_in() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Projection()  # type: ignore[abstract]
