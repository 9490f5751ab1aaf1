"""Tables and JSON of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from benchmarks.systems.candidates import SYSTEMS
from benchmarks.systems.measure import Cell, Measured, interval

__all__ = ["as_json", "summary_tables", "task_table"]

_NAMES = {"ndcg": "nDCG@10", "recall": "recall@10 against full vectors"}


def summary_tables(results: Sequence[Measured]) -> Iterator[Table]:
    """One table for each model and measure: the mean over its tasks, systems as differences to the prefix."""
    for model in dict.fromkeys(result.model for result in results):
        tasks = [result for result in results if result.model == model]
        for measure, title in _NAMES.items():
            yield _summary(model, tasks, measure, title)


def _summary(model: str, tasks: Sequence[Measured], measure: str, title: str) -> Table:
    sizes = [cell.bytes_per_vector for cell in tasks[0].cells["MRL prefix"]]
    width = tasks[0].width
    table = Table(
        "system (tasks)",
        *(f"{size:,.0f} B" for size in sizes),
        title=f"{model}, {width} dims: mean {title} over tasks; below, differences to the prefix",
        caption="float32 unless said: n dims are 4 n bytes. [95 % bootstrap interval over queries]",
    )
    for system in SYSTEMS:
        there = [task for task in tasks if system in task.cells]
        if not there:
            continue
        cells = []
        for size in sizes:
            found = [(task, _cell(task, system, size)) for task in there]
            values = [(task, cell) for task, cell in found if cell is not None]
            if not values:
                cells.append("")
            elif system == "MRL prefix":
                cells.append(f"{sum(getattr(cell, measure).mean() for _, cell in values) / len(values):.3f}")
            else:
                precision = "" if values[0][1].precision == "float32" else f"{values[0][1].precision} "
                differences = [task.difference(cell, measure) for task, cell in values]
                cells.append(precision + _signed(*interval([d for d in differences if d is not None])))
        table.add_row(f"{system} ({len(there)})", *cells)
    return table


def task_table(results: Sequence[Measured], share: int) -> Table:
    """Every task at ``width / share`` dims: nDCG@10, and differences to the prefix."""
    table = Table(
        "task",
        "model",
        "documents",
        "queries",
        "full",
        "prefix",
        *SYSTEMS[1:-1],
        title=f"nDCG@10 at 1/{share} of the dims; others: difference to the prefix",
    )
    for result in results:
        size = 4 * (result.width // share)
        prefix, full = _cell(result, "MRL prefix", size), result.cells["MRL prefix"][0]
        row = [result.name, result.model, f"{result.documents:,}", f"{result.queries:,}"]
        row += [f"{full.ndcg.mean():.3f}", f"{prefix.ndcg.mean():.3f}" if prefix else ""]
        for system in SYSTEMS[1:-1]:
            cell = _cell(result, system, size)
            difference = None if cell is None else result.difference(cell, "ndcg")
            row.append("-" if difference is None else _signed(*interval([difference])))
        table.add_row(*row)
    return table


def as_json(results: Sequence[Measured]) -> list[dict[str, Any]]:
    """One entry a task, system and size."""
    rows = []
    for result in results:
        for system, cells in result.cells.items():
            for cell in cells:
                row: dict[str, Any] = {
                    "model": result.model, "task": result.name, "documents": result.documents,
                    "queries": result.queries, "system": system, "dim": cell.dim,
                    "precision": cell.precision, "bytes_per_vector": cell.bytes_per_vector,
                    "ndcg_at_10": float(cell.ndcg.mean()), "recall_at_10": float(cell.recall.mean()),
                }  # fmt: skip
                for measure in ("ndcg", "recall"):
                    difference = result.difference(cell, measure)
                    if system != "MRL prefix" and difference is not None:
                        row[f"{measure}_minus_prefix"] = interval([difference])
                rows.append(row)
        rows += [
            {"model": result.model, "task": result.name, "system": system, "left_out": reason}
            for system, reason in result.left_out.items()
        ]
    return rows


def _cell(task: Measured, system: str, size: float) -> Cell | None:
    return next((c for c in task.cells.get(system, ()) if c.bytes_per_vector == size), None)


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
