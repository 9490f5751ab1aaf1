"""Exact search through torch (its CPU backend): the ids and scores of the native kernels, to the bit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index
from kukla.errors import InputError, MissingExtraError, PlanError
from kukla.evaluate import device, exact, exact_answers, exact_search
from kukla.projection.rotation import Rotation

torch = pytest.importorskip("torch", reason="the extra gpu")
DEVICE = "torch:cpu"


def real_rows(count: int, *, first: int = 0) -> np.ndarray:
    """Lines of this file and its neighbours through the built-in model: near copies, and copies."""
    from kukla import load_embedder

    texts = [path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py"))]
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return load_embedder().encode_documents(lines[first : first + count], dim=64)


def same(index: Index, queries: np.ndarray, k: int, **options: Any) -> exact.ExactResult:
    native = exact_search(index, queries, k, dim=options.get("dim"))
    found = exact_search(index, queries, k, device=DEVICE, **options)
    np.testing.assert_array_equal(found.ids, native.ids)
    np.testing.assert_array_equal(found.scores, native.scores)
    assert (native.device, found.device) == ("cpu", DEVICE)
    return found


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("metric", ["cosine", "ip"])
@pytest.mark.parametrize("dim", [None, 16])
def test_the_same_ids_and_scores(tmp_path: Path, precision: str, metric: str, dim: int | None) -> None:
    rows = real_rows(500)
    with Index.create(
        tmp_path / "i", dim=64, nesting=(16, 64), precisions=[precision], metric=metric
    ) as index:
        index.add(rows)
        for k in (1, 10, 700):
            same(index, rows[::25], k, dim=dim)


def test_several_segments_deleted_rows_and_text_ids(tmp_path: Path) -> None:
    rows = real_rows(400)
    with Index.create(tmp_path / "i", dim=64) as index:
        # Copies in other segments: ties that ids decide.
        for start in (0, 100, 200):
            index.add(rows[:150], ids=[f"{(7 * i) % 151:03}-{start}" for i in range(150)])
        index.delete([f"{i:03}-100" for i in range(1, 151, 2)])
        assert len(index._opened.store.current().segments) > 1
        found = same(index, rows[:20], 5)
        assert [id_[:3] for id_ in found.ids[3][:2]] == ["021", "021"]
        same(index, rows[:20], 400)


def test_a_projected_index(tmp_path: Path) -> None:
    rows = real_rows(300)
    turned = Rotation(np.linalg.qr(np.random.default_rng(0).standard_normal((64, 64)))[0])
    with Index.create(tmp_path / "i", dim=64, projection=turned) as index:
        index.add(rows)
        same(index, rows[:30], 10)
        same(index, rows[:30], 10, dim=32)


def test_more_copies_than_candidates_are_widened_until_proven(tmp_path: Path) -> None:
    rows = real_rows(200)
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(np.concatenate([rows, np.tile(rows[7], (300, 1)), rows]))
        found = same(index, rows[7:8], 10)
        assert found.widened == 1
        assert found.ids[0].tolist() == [7, *range(200, 209)]


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e18, 3e19])
def test_products_beyond_float32_and_below_it(tmp_path: Path, scale: float) -> None:
    rows = real_rows(300) * np.float32(scale)
    with Index.create(tmp_path / "i", dim=64, metric="ip") as index:
        index.add(rows)
        same(index, rows[:10], 10)


def test_blocks_and_parts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = real_rows(500)
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(rows)
        monkeypatch.setattr(exact, "BLOCK_BYTES", 4 * 64 * 37)
        monkeypatch.setattr(exact, "CANDIDATES", 74 * 5)
        monkeypatch.setattr(exact, "RESCORED", 200)
        monkeypatch.setattr(device, "SCORES", 100)
        same(index, rows[::9], 10)


def test_the_bound_holds_for_every_score(tmp_path: Path) -> None:
    rows, queries = real_rows(400), real_rows(20, first=400)
    block = device.Block(rows, np.arange(400), None)
    found = device.scan([block], queries, 400, "cpu")
    true = queries.astype(np.float64) @ rows.T.astype(np.float64)
    off = np.abs(np.take_along_axis(true, found.rows, axis=1) - found.scores)
    assert (off.max(axis=1) <= found.error).all()
    assert off.max() > 0
    assert found.error.max() < 1e-5


def test_what_a_program_has_chosen_for_its_products_does_not_count(tmp_path: Path) -> None:
    rows = real_rows(300)
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(rows)
        torch.set_float32_matmul_precision("medium")
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert same(index, rows[:20], 10).widened < 5
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision("highest")


def test_exact_answers_reach_below_ties_on_a_device_too(tmp_path: Path) -> None:
    rows = real_rows(200)
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(np.concatenate([np.tile(rows[3], (90, 1)), rows]))
        native, found = (exact_answers(index, rows[:5], k=10, device=name) for name in ("cpu", DEVICE))
        np.testing.assert_array_equal(found.ids, native.ids)
        np.testing.assert_array_equal(found.scores, native.scores)
        assert found.ids.shape[1] > 90


def test_nothing_to_find(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i", dim=64) as index:
        assert exact_search(index, np.ones(64), 3, device=DEVICE).ids.shape == (1, 0)
        index.add(real_rows(10))
        assert exact_search(index, np.empty((0, 64)), 3, device=DEVICE).ids.shape == (0, 3)


def test_devices_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(real_rows(10))
        for name in ("gpu", "cuda:", "cuda:x", "mps:1", "torch", "CPU", ""):
            with pytest.raises(InputError, match=r"there is no device .* allowed: cpu .*cuda:N"):
                exact_search(index, np.ones(64), 3, device=name)
        with pytest.raises(InputError, match="CUDA GPUs; allowed"):
            exact_search(index, np.ones(64), 3, device="cuda:4096")
        with pytest.raises(PlanError, match="7"):
            exact_search(index, np.ones(64), 3, dim=7, device=DEVICE)
        with pytest.raises(InputError, match="k must be"):
            exact_search(index, np.ones(64), 0, device=DEVICE)
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(MissingExtraError, match=r"kukla\[gpu\]"):
            exact_search(index, np.ones(64), 3, device="auto")
        assert exact_search(index, np.ones(64), 3).device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("dim", [None, 32])
def test_a_real_gpu_finds_the_same(tmp_path: Path, dim: int | None) -> None:
    rows = real_rows(500)
    with Index.create(tmp_path / "i", dim=64) as index:
        index.add(rows)
        native, found = (exact_search(index, rows, 10, dim=dim, device=name) for name in ("cpu", "cuda"))
        np.testing.assert_array_equal(found.ids, native.ids)
        np.testing.assert_array_equal(found.scores, native.scores)
