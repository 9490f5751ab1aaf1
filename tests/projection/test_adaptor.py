"""Adaptors: a residual network as a projection; turned back, kept in files and indexes, refused damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index
from kukla.errors import ChecksumError, InputError, NewerFormatError, VectorError
from kukla.projection import Adaptor, Projection, Rotation, random_rotation
from kukla.projection.held_out import Metric
from kukla.projection.measure import as_stored, prefix_recalls

DIM, HIDDEN = 16, 24


def weights(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rotation, and a network that moves vectors by about ``scale`` of their length."""
    rng = np.random.default_rng(5)
    inner = rng.standard_normal((DIM, HIDDEN)).astype(np.float32) / DIM**0.5
    outer = scale * rng.standard_normal((HIDDEN, DIM)).astype(np.float32) * (2 / HIDDEN) ** 0.5
    return random_rotation(DIM, seed=1).matrix, inner, outer.astype(np.float32)


ADAPTOR = Adaptor(*weights(0.3), about={"fit": "adaptor"})
ROWS = np.random.default_rng(3).standard_normal((200, DIM)).astype(np.float32)


def test_it_is_what_its_docstring_says() -> None:
    matrix, inner, outer = weights(0.3)
    expected = []
    for row in ROWS.astype(np.float64):
        turned = row @ matrix
        expected.append(turned + np.array([max(unit, 0.0) for unit in turned @ inner]) @ outer)
    found = ADAPTOR.transform(ROWS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert repr(ADAPTOR) == "Adaptor(16 -> 16, 24 hidden, adaptor)"


def test_it_changes_full_scores_and_says_so() -> None:
    assert not ADAPTOR.keeps_scores
    found = ADAPTOR.transform(ROWS)
    assert np.abs(found @ found.T - ROWS @ ROWS.T).max() > 1


def test_without_movement_it_is_its_rotation() -> None:
    matrix, inner, outer = weights(0.0)
    still = Adaptor(matrix, inner, outer)
    np.testing.assert_array_equal(still.transform(ROWS), Rotation(matrix).transform(ROWS))


def test_lengths_mean_what_they_meant() -> None:
    np.testing.assert_allclose(ADAPTOR.transform(4 * ROWS), 4 * ADAPTOR.transform(ROWS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.5])  # the last is no contraction: Newton's method
def test_it_is_turned_back(scale: float) -> None:
    adaptor = Adaptor(*weights(scale))
    back = adaptor.inverse(adaptor.transform(ROWS))
    assert back.dtype == np.float32
    again = adaptor.transform(back)
    lengths = np.linalg.norm(again, axis=1, keepdims=True)
    assert (np.abs(again - adaptor.transform(ROWS)) < 1e-4 * lengths).all()
    if scale < 0.5:
        np.testing.assert_allclose(back, ROWS, atol=1e-3)


def test_what_nothing_is_moved_to_is_not_turned_back() -> None:
    # z + max(z, 0) * -1 is never above 0.
    adaptor = Adaptor(np.eye(2), np.eye(2), -np.eye(2))
    with pytest.raises(InputError, match="row 1 cannot be turned back: no vector was found"):
        adaptor.inverse(np.array([[-1.0, -1.0], [1.0, 1.0]], dtype=np.float32))


def test_it_is_a_value(tmp_path: Path) -> None:
    ADAPTOR.save(tmp_path / "a.npz")
    loaded = Projection.load(tmp_path / "a.npz")
    assert loaded == ADAPTOR
    assert hash(loaded) == hash(ADAPTOR)
    np.testing.assert_array_equal(loaded.transform(ROWS), ADAPTOR.transform(ROWS))
    assert Adaptor(*weights(0.3), renormalises_prefixes=False, about={"fit": "adaptor"}) != ADAPTOR
    with pytest.raises(ValueError, match="read-only"):
        ADAPTOR.outer[0, 0] = 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.eye(4), np.ones((4, 3)), np.ones((4, 3))), r"got \(4, 4\), \(4, 3\), \(4, 3\)"),
        ((2 * np.eye(4), np.ones((4, 3)), np.ones((3, 4))), "matrix of an adaptor is not orthonormal"),
        ((np.eye(4), np.full((4, 3), np.nan), np.ones((3, 4))), "inner of an adaptor: row 0 holds nan"),
        (
            (np.eye(4), np.ones(4), np.ones((3, 4))),
            r"inner of an adaptor must be a matrix, got the shape \(4,\)",
        ),
    ],
)
def test_what_is_no_adaptor(arrays: Any, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        Adaptor(*arrays)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dim": "16"}, InputError, r"an adaptor needs dim \(int\), got '16'"),
        ({"crc32": None}, InputError, "an adaptor needs crc32"),
        ({"hidden": 23}, InputError, r"inner of an adaptor must be float32 \(16, 23\)"),
        ({"outer": None}, InputError, "an adaptor needs its array outer, got None"),
        ({"outer": ADAPTOR.outer + 1}, ChecksumError, "an adaptor has checksum .*, expected"),
    ],
)
def test_what_describes_no_adaptor(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Projection.from_dict({**ADAPTOR.to_dict(), **ADAPTOR.arrays(), **changes})


# In an index


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapted") / "i.kukla"
    with Index.create(path, dim=DIM, projection=ADAPTOR, nesting=(4, 8, DIM)) as index:
        index.add(ROWS)
    return path


def test_an_index_searches_the_adapted_vectors(folder: Path) -> None:
    adapted = ADAPTOR.transform(ROWS)
    adapted /= np.linalg.norm(adapted, axis=1, keepdims=True)
    exact = np.argsort(-(adapted[:20] @ adapted.T), axis=1, kind="stable")[:, :5]
    with Index.open(folder) as index:
        assert index.info().projection == "adaptor"
        assert not index.info().keeps_scores
        np.testing.assert_array_equal(index.search(ROWS[:20], 5, plan="16:float32").ids, exact)
        certified = index.search(ROWS[:20], 5, certify=True)
        np.testing.assert_array_equal(certified.ids, exact)
        assert {certificate.kind for certificate in certified.certificates()} == {"exact"}
        calibrated = index.calibrate(ROWS[:150] + 0.01, target="recall@5>=0.8", timed=False)
        assert index.search(ROWS[0], 5, plan=calibrated.plan).ids[0, 0] == 0
        assert "full means whole vectors after the index's projection (adaptor)" in calibrated.notes[-1]


def test_documents_come_back(folder: Path) -> None:
    with Index.open(folder) as index:
        document = index.get(7)[0]
        assert document.vector is not None
        np.testing.assert_allclose(document.vector, ROWS[7] / np.linalg.norm(ROWS[7]), atol=1e-3)
        assert index.get(7, vectors=False)[0].vector is None


def test_a_reader_that_does_not_know_adaptors_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As versions before adaptors do: they look the kind up in the same way."""
    monkeypatch.delitem(Projection._kinds, "adaptor")
    with pytest.raises(NewerFormatError, match="unknown projection 'adaptor'; this version knows: identity"):
        Index.open(folder)


def test_a_changed_byte_of_the_network_is_found(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(folder)).parent.mkdir(exist_ok=True)
            (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    file = copy / "projection.seg"
    raw = bytearray(file.read_bytes())
    raw[-30] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ChecksumError):
        Index.open(copy)


def test_it_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np; from kukla import Index\n"
        f"with Index.open({str(folder)!r}) as i: print(i.search(np.ones(16), 1).ids.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 1)\n"


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_measured_as_an_index_stores(metric: Metric) -> None:
    """Partial dot products of a map that changes lengths are those of unit vectors, for cosine."""
    adaptor = Adaptor(*weights(0.3), renormalises_prefixes=False)
    stored = as_stored(adaptor, ROWS, metric)
    assert np.allclose(np.linalg.norm(stored, axis=1), 1) == (metric == "cosine")
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    rows = unit if metric == "cosine" else ROWS
    scores = as_stored(adaptor, rows[:30], metric)[:, :8] @ as_stored(adaptor, rows[30:], metric)[:, :8].T
    found = np.argsort(-scores, axis=1)[:, :5]
    exact = np.argsort(-(rows[:30] @ rows[30:].T), axis=1)[:, :5]
    expected = [
        len({*mine} & {*right}) / 5 for mine, right in zip(found.tolist(), exact.tolist(), strict=True)
    ]
    measured = prefix_recalls({"": adaptor}, rows[30:], rows[:30], (8,), 5, metric)[""][0]
    np.testing.assert_allclose(measured, expected)
