"""Tables of what was measured, with intervals over folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from rich.table import Table

from benchmarks.beyond_text.measure import LOSSES, SYSTEMS, Accuracy, Adaptive
from benchmarks.beyond_text.tasks import FOLDS, Task

__all__ = ["interval", "tables", "values"]

Result = Accuracy | Adaptive
_TITLES = {
    "probe": "linear probe",
    "nearest": "1-NN by cosine",
    "head": "own classifier",
}


def interval(folds: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of a 95 % interval over folds, corrected for the training rows that they share.

    Nadeau and Bengio 2003 (Machine Learning 52, eq. 7): the variance of the mean is not s^2 / J but
    s^2 (1 / J + tested / trained); here a third.
    """
    from scipy.stats import t

    given = np.asarray(folds, dtype=np.float64)
    if len(given) < 2:
        return float(given.mean()), float("nan")
    spread = given.std(ddof=1) * np.sqrt(1 / len(given) + 1 / (FOLDS - 2))
    return float(given.mean()), float(spread * t.ppf(0.975, len(given) - 1))


def values(results: Sequence[Result], system: str, dim: int, what: str) -> list[float]:
    """One accuracy a fold, in the order of folds; empty where it was not measured."""
    rows = [r for r in results if isinstance(r, Accuracy) and (r.system, r.dim) == (system, dim)]
    found = [getattr(row, what) for row in sorted(rows, key=lambda row: row.fold)]
    return [value for value in found if value is not None]


def tables(task: Task, results: Sequence[Result]) -> Iterator[Table]:
    """Accuracies, differences of the nested models to fixed ones, and adaptive classification."""
    for what, title in _TITLES.items():
        yield _accuracies(task, results, what, f"{task.name}: accuracy in %, {title}")
    yield _differences(task, results)
    yield _adaptive(task, results)


def _accuracies(task: Task, results: Sequence[Result], what: str, title: str) -> Table:
    inputs = max((r.dim for r in results if isinstance(r, Accuracy) and r.system == "inputs"), default=0)
    dims = sorted({*task.dims, inputs} if what != "head" else task.dims)
    table = Table("system", *map(str, dims), title=title, caption="dims; +- 95 % over folds")
    for system in SYSTEMS:
        cells = [values(results, system, dim, what) for dim in dims]
        if any(cells):
            table.add_row(system, *(_percent(cell) for cell in cells))
    return table


def _differences(task: Task, results: Sequence[Result]) -> Table:
    table = Table(
        "minus FF of the same size", "measure", *map(str, task.dims),
        title=f"{task.name}: nested minus fixed-size, points, paired by fold",
    )  # fmt: skip
    for system in ("MRL", "MRL-E", "SVD"):
        for what, title in _TITLES.items():
            pairs = [
                (values(results, system, dim, what), values(results, "FF", dim, what)) for dim in task.dims
            ]
            if not any(own for own, _ in pairs):
                continue
            cells = [[a - b for a, b in zip(own, fixed, strict=True)] for own, fixed in pairs]
            table.add_row(system, title, *(_percent(cell, sign="+") for cell in cells))
    return table


def _adaptive(task: Task, results: Sequence[Result]) -> Table:
    table = Table(
        "heads", "thresholds", "may lose", "full dims", "adaptive", "minus full", "mean dims", "one prefix",
        "its dims",
        title=f"{task.name}: adaptive classification, accuracy in % on test rows",
        caption="chosen on validation rows to lose no more than that there",
    )  # fmt: skip
    for system in ("MRL", "MRL-E"):
        for per_dim, loss in product((False, True), LOSSES):
            key = (system, per_dim, loss)
            rows = [r for r in results if isinstance(r, Adaptive) and (r.system, r.per_dim, r.loss) == key]
            if not rows:
                continue
            read, half = interval([row.mean_dims for row in rows])
            table.add_row(
                system,
                "one a dim" if per_dim else "one",
                f"{100 * loss:.1f}",
                _percent([row.full for row in rows]),
                _percent([row.accuracy for row in rows]),
                _percent([row.accuracy - row.full for row in rows], sign="+"),
                f"{read:.1f} +-{half:.1f}",
                _percent([row.fixed_accuracy for row in rows]),
                f"{np.mean([row.fixed_dim for row in rows]):.1f}",
            )
    return table


def _percent(cell: Sequence[float], *, sign: str = "") -> str:
    if not cell:
        return ""
    mean, half = interval(cell)
    return f"{100 * mean:{sign}.1f} +-{100 * half:.1f}"
