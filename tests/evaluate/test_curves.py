"""Curves, plans and the figure, on vectors whose answers are known."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import Index, Plan, Precision
from kukla.errors import InputError, MissingExtraError, PlanError, WriteError
from kukla.evaluate import draw_curves, measure_curves, measure_plans


@pytest.fixture
def queries() -> np.ndarray:
    """Twelve queries, float64 (12, 32), whose first coordinates weigh most."""
    return np.random.default_rng(5).standard_normal((12, 32)) / np.sqrt(np.arange(1, 33))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Four hundred vectors like the queries, dims 8, 16, 32."""
    vectors = np.random.default_rng(6).standard_normal((400, 32)) / np.sqrt(np.arange(1, 33))
    with Index.create(tmp_path / "i", dim=32, nesting=(8, 16, 32)) as index:
        index.add(vectors)
        yield index


def test_every_dim_and_precision_alone_and_rescored(index: Index, queries: np.ndarray) -> None:
    seen: list[tuple[int, int | None]] = []
    curves = measure_curves(
        index, queries, shortlist=40, progress=lambda done, total: seen.append((done, total))
    )
    assert (curves.documents, curves.queries, curves.k, curves.full_dim) == (400, 12, 10, 32)
    assert len(curves.alone()) == 9
    assert len(curves.rescored()) == 8  # full float32 needs no rescoring
    assert seen[-1] == (17, 17)
    by_plan = {str(row.plan): row for row in curves.rows}
    assert by_plan["32:float32"].recall == 1
    assert by_plan["8:binary@40 > 32:float32"].bytes_per_vector == 1
    assert by_plan["16:int8"].bytes_per_vector == 16 + 2 * 4 + 4  # codes, a scale a shell, the prefix norm
    assert by_plan["8:binary"].recall < by_plan["8:binary@40 > 32:float32"].recall < 1
    assert json.loads(json.dumps(curves.to_dict()))["rows"][0]["plan"] == "8:binary"


def test_recall_is_what_numpy_says(index: Index, queries: np.ndarray) -> None:
    vectors = np.stack([document.vector for document in index.get(range(400)) if document.vector is not None])
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    prefix = vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True)
    found = np.argsort(-(queries[:, :8] @ prefix.T), axis=1)[:, :5]
    expected = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(best, found, strict=True)])
    (row, _) = measure_curves(index, queries, k=5, dims=[8], precisions=["float32"]).rows
    assert row.recall == pytest.approx(expected)


def test_a_chosen_part_and_what_is_refused(index: Index, queries: np.ndarray, tmp_path: Path) -> None:
    curves = measure_curves(index, queries, k=5, shortlist=400, dims=[16], precisions=[Precision.BINARY])
    assert [row.recall for row in curves.rescored()] == [1.0]  # a shortlist of everything loses nothing
    with pytest.raises(PlanError, match="not in the nesting"):
        measure_curves(index, queries, dims=[12])
    with pytest.raises(PlanError, match="keeps no float16"):
        measure_curves(index, queries, precisions=["float16"])
    with pytest.raises(InputError, match="shortlist must be an integer, at least 10"):
        measure_curves(index, queries, shortlist=9)
    with pytest.raises(InputError, match="at least one document and one query"):
        measure_curves(index, queries[:0])
    with Index.create(tmp_path / "empty", dim=32) as empty, pytest.raises(InputError, match="at least one"):
        measure_curves(empty, queries)


def test_plans_side_by_side(index: Index, queries: np.ndarray) -> None:
    exact, cheap = measure_plans(index, queries, ["32:float32", Plan.parse("8:binary")])
    assert (exact.recall, exact.bytes_per_vector, exact.memory_ratio) == (1, 128, 1)
    assert (cheap.bytes_per_vector, cheap.memory_ratio) == (1, 128)
    assert cheap.recall < 1
    assert exact.seconds_per_query > 0
    assert json.loads(json.dumps(cheap.to_dict()))["plan"] == "8:binary"


def test_the_figure_is_a_picture(index: Index, queries: np.ndarray, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "recall.png"
    draw_curves(measure_curves(index, queries, shortlist=40), path)
    picture = imread(path)
    assert picture.shape[1] > 1000
    colours = {(0.84, 0.37, 0.0), (0.0, 0.45, 0.7), (0.0, 0.62, 0.45)}  # one of each precision
    for colour in colours:
        assert (np.abs(picture[..., :3] - colour).max(axis=-1) < 0.03).sum() > 100
    with pytest.raises(WriteError, match="cannot be written"):
        draw_curves(measure_curves(index, queries, dims=[8]), tmp_path / "no" / "recall.png")


def test_without_matplotlib_the_figure_names_the_extra(
    index: Index, queries: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def import_without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *rest)

    curves = measure_curves(index, queries, dims=[8], shortlist=40)
    monkeypatch.setattr(builtins, "__import__", import_without)
    with pytest.raises(MissingExtraError, match=r"pip install 'kukla\[plot\]'"):
        draw_curves(curves, tmp_path / "recall.png")
