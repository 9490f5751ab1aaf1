"""How a stage ranks below the full dim: cosine of prefixes, or dot product if the projection says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kukla import Index
from kukla.projection import Rotation, random_rotation


@pytest.mark.parametrize("renormalises", [True, False])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_projection_decides(tmp_path: Path, renormalises: bool, precision: str) -> None:
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(200, 32)) * np.linspace(2, 0.1, 32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix = random_rotation(32, seed=1).transform(np.eye(32, dtype=np.float32))
    rotation = Rotation(matrix, renormalises_prefixes=renormalises)
    index = Index.create(tmp_path / "r.kukla", dim=32, nesting=(8, 32), projection=rotation)
    index.add(vectors)

    prefixes = (vectors @ matrix)[:, :8]
    if renormalises:
        prefixes /= np.linalg.norm(prefixes, axis=1, keepdims=True)
    expected = prefixes[:5] @ prefixes.T
    found = index.search(vectors[:5], 200, plan=f"8:{precision}")
    scores = np.take_along_axis(expected, found.ids, axis=1)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5 if precision == "float32" else 0.02)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_inner_products_are_never_renormalised(tmp_path: Path) -> None:
    vectors = np.random.default_rng(4).normal(size=(50, 32))
    index = Index.create(tmp_path / "ip.kukla", dim=32, nesting=(8, 32), metric="ip")
    index.add(vectors)
    found = index.search(vectors[0], 50, plan="8:float32")
    np.testing.assert_allclose(found.scores[0], (vectors[0, :8] @ vectors[:, :8].T)[found.ids[0]], rtol=1e-5)
