"""Rotations and linear maps: what they keep, what they refuse, how they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kukla import Index
from kukla.errors import ChecksumError, InputError, KuklaError, StorageError, VectorError
from kukla.projection import Identity, Linear, Projection, Rotation, random_rotation
from kukla.space import Space

ROWS = np.random.default_rng(1).standard_normal((20, 12)).astype(np.float32)


@given(dim=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_a_rotation_keeps_every_score_and_leads_back(dim: int, seed: int) -> None:
    rotation = random_rotation(dim, seed=seed)
    rows = np.random.default_rng(seed).standard_normal((7, dim)).astype(np.float32)
    turned = rotation.transform(rows)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-5 * dim)
    np.testing.assert_allclose(rotation.inverse(turned), rows, atol=1e-5)
    assert rotation.keeps_scores


def test_random_rotations_are_uniform_and_repeatable() -> None:
    assert random_rotation(12, seed=3) == random_rotation(12, seed=3)
    assert random_rotation(12, seed=3) != random_rotation(12, seed=4)
    # Haar: the trace has mean 0 and variance 1. Without Mezzadri's signs its mean is far from 0.
    traces = [float(np.trace(random_rotation(12, seed=seed).matrix)) for seed in range(300)]
    assert abs(np.mean(traces)) < 0.25
    assert 0.7 < np.var(traces) < 1.4
    assert random_rotation(12).renormalises_prefixes
    with pytest.raises(InputError, match="seed must be an integer, at least 0"):
        random_rotation(12, seed=-1)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3)[:2], r"a rotation is square, got the shape \(2, 3\)"),
        (2 * np.eye(3), "is not orthonormal: it moves scores by about .*; Linear takes any matrix"),
        (np.eye(3) + np.float32(0.001), "is not orthonormal"),
        (np.diag([1.0, 1.0, 0.0]), "is not orthonormal"),
        (np.full((3, 3), 1e30), "is not orthonormal"),
        (np.zeros((3, 3)), "is not orthonormal"),
        (np.diag([1.0, np.nan, 1.0]), "row 1 holds nan at coordinate 1"),
        (np.eye(3, dtype=np.int64), "must be floats"),
        (np.ones(3), r"must have the shape \(dim_in, dim_out\), got \(3,\)"),
        (np.empty((0, 3)), r"must have the shape"),
        ([[1.0, 0.0], [1.0]], "rows of different lengths"),
    ],
)
def test_what_is_no_rotation(matrix: Any, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        Rotation(matrix)


def test_the_matrix_is_the_projections_own() -> None:
    matrix = np.eye(3, dtype=np.float32)
    rotation = Rotation(matrix)
    matrix[0, 0] = 5
    assert rotation == Rotation(np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        rotation.matrix[0, 0] = 2


def test_rotations_are_values() -> None:
    turn = Rotation(np.eye(3)[::-1], about={"fit": "pca"})
    assert turn == Rotation(np.eye(3)[::-1], about={"fit": "pca"})
    assert hash(turn) == hash(Rotation(np.eye(3)[::-1], about={"fit": "pca"}))
    assert turn != Rotation(np.eye(3), about={"fit": "pca"})
    assert turn != Rotation(np.eye(3)[::-1])
    assert turn != Linear(np.eye(3)[::-1], about={"fit": "pca"})
    assert repr(turn) == "Rotation(3 -> 3, pca)"
    assert not turn.renormalises_prefixes
    assert Rotation(np.eye(3), renormalises_prefixes=True).renormalises_prefixes


def test_a_linear_map_goes_back_as_far_as_it_can() -> None:
    matrix = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    linear = Linear(matrix)
    assert (linear.dim_in, linear.dim_out) == (12, 5)
    assert not linear.keeps_scores
    assert linear.renormalises_prefixes
    small = linear.transform(ROWS)
    assert small.shape == (20, 5)
    np.testing.assert_allclose(linear.transform(linear.inverse(small)), small, atol=1e-4)


@pytest.mark.parametrize("projection", [random_rotation(6), Linear(np.ones((6, 2)), about={"a": [1]})])
def test_a_dictionary_and_arrays_describe_it(projection: Projection) -> None:
    described = {**projection.to_dict(), **projection.arrays()}
    assert Projection.from_dict(described) == projection


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim_in": "6"}, r"a rotation projection needs dim_in \(int\), got '6'"),
        ({"about": None}, "needs about"),
        ({"renormalises_prefixes": 1}, "needs renormalises_prefixes"),
        ({"matrix": None}, "needs its matrix, got None"),
        ({"matrix": np.eye(6)}, r"must be float32 \(6, 6\), got float64"),
        ({"matrix": np.eye(5, dtype=np.float32)}, r"must be float32 \(6, 6\), got float32 \(5, 5\)"),
        ({"matrix": np.eye(6, dtype=np.float32)}, "has checksum .*, expected "),
    ],
)
def test_a_description_that_is_wrong(changes: dict[str, Any], message: str) -> None:
    rotation = random_rotation(6)
    with pytest.raises(KuklaError, match=message) as caught:
        Projection.from_dict({**rotation.to_dict(), **rotation.arrays(), **changes})
    assert isinstance(caught.value, InputError | ChecksumError)


# In an index


def make(path: Path, rows: np.ndarray, **options: Any) -> Index:
    index = Index.create(path, dim=rows.shape[1], **options)
    index.add(rows)
    return index


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_an_index_with_a_rotation_answers_in_full_dims_as_without(tmp_path: Path, metric: Any) -> None:
    rows = np.random.default_rng(5).standard_normal((300, 48)).astype(np.float32)
    make(tmp_path / "turned", rows, metric=metric, projection=random_rotation(48)).close()
    with Index.open(tmp_path / "turned") as turned, make(tmp_path / "plain", rows, metric=metric) as plain:
        assert turned.info().projection == "rotation"
        exact = plain.search(rows[:40], plan="48:float32")
        found = turned.search(rows[:40], plan="48:float32")
        assert np.array_equal(found.ids, exact.ids)
        np.testing.assert_allclose(found.scores, exact.scores, atol=2e-6 * 48)
        for before, after in zip(plain.get(range(9)), turned.get(range(9)), strict=True):
            np.testing.assert_allclose(after.vector, before.vector, atol=1e-5)
        turned.add(rows[:1] + 1)
        turned.compact()
        assert len(turned) == 301
        assert turned.verify() > 0


def test_trained_dims_mean_nothing_after_a_rotation(tmp_path: Path) -> None:
    space = Space(provider="p", model="m", dim=100, trained_dims=(10, 50))
    with Index.create(tmp_path / "a", space=space) as index:
        assert index.nesting.dims == (10, 50, 100)
    with Index.create(tmp_path / "b", space=space, projection=Identity(100)) as index:
        assert index.nesting.dims == (10, 50, 100)
    with Index.create(tmp_path / "c", space=space, projection=random_rotation(100)) as index:
        assert index.nesting.dims == (32, 64, 100)
    with Index.create(tmp_path / "d", space=space, projection=Linear(np.ones((100, 40)))) as index:
        assert index.nesting.dims == (32, 40)


def test_the_matrix_of_an_index_is_checked_when_it_is_opened(tmp_path: Path) -> None:
    make(tmp_path / "index", ROWS, projection=random_rotation(12)).close()
    path = tmp_path / "index" / "projection.seg"
    good = path.read_bytes()
    for at in range(0, len(good), 37):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        with pytest.raises(StorageError, match=r"projection\.seg"):
            Index.open(tmp_path / "index")
    for size in range(0, len(good), 61):
        path.write_bytes(good[:size])
        with pytest.raises(StorageError, match=r"projection\.seg"):
            Index.open(tmp_path / "index")
    path.unlink()
    with pytest.raises(StorageError, match=r"projection\.seg is missing"):
        Index.open(tmp_path / "index")
    # A valid file of another index.
    make(tmp_path / "other", ROWS, projection=random_rotation(12, seed=9)).close()
    path.write_bytes((tmp_path / "other" / "projection.seg").read_bytes())
    with pytest.raises(StorageError, match="has checksum"):
        Index.open(tmp_path / "index")
    path.write_bytes(good)
    Index.open(tmp_path / "index").close()


def test_an_index_without_arrays_has_no_file_for_them(tmp_path: Path) -> None:
    make(tmp_path / "index", ROWS).close()
    assert not (tmp_path / "index" / "projection.seg").exists()
