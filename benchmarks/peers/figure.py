"""The Pareto figure: recall against queries per second on a log axis, one query at a time and in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers import engines
from benchmarks.peers.frontier import Point, front, points, workloads
from benchmarks.peers.results import Results
from benchmarks.peers.workloads import K
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels

__all__ = ["draw_pareto"]

LOWEST = 0.8
OURS = "kukla_index"
# Okabe and Ito's colours; a second round has open markers and dashes, so that no two engines look alike.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#8c6d1f", "#777777")
MARKERS = ("s", "^", "v", "D", "P", "X", "<")


def draw_pareto(results: Results, path: str | Path) -> list[Path]:
    """One PNG a workload; with several, the workload's name is added to the file's. Returns the files."""
    path = Path(path)
    names = workloads(results)
    drawn = []
    for name in names:
        target = path if len(names) == 1 else path.with_stem(f"{path.stem}-{name.replace('/', '-')}")
        _draw(name, points(results, name), target)
        drawn.append(target)
    return drawn


def _draw(workload: str, measured: list[Point], path: Path) -> None:
    figure, left, right = two_panels(6.4)
    for axes, kind, title in (
        (left, "single", "One query at a time, one thread"),
        (right, "batch", "A batch of 1,000 queries, two threads"),
    ):
        speeds = []
        for name in engines.NAMES:
            line = front([point for point in measured if point.engine == name], kind)
            records = [record for point in line if (record := point.of(kind)) and record["recall"] >= LOWEST]
            if not records:
                continue
            speeds += [record["qps"] for record in records]
            axes.plot(
                [record["qps"] for record in records],
                [record["recall"] for record in records],
                label=engines.load(name).title,
                **_look(name),
            )
        low, high = min(speeds, default=1.0), max(speeds, default=2.0)
        ticks = [value for power in range(-2, 7) for value in (10**power, 3 * 10**power)]
        dress(
            axes,
            title=title,
            xlabel="queries per second (log scale; right is better)",
            ticks=[tick for tick in ticks if low / 1.5 <= tick <= high * 1.5],
            label=lambda value: f"{value:,.0f}" if value >= 1 else f"{value:g}",
        )
        axes.set_xlim(low / 1.5, high * 1.5)
    left.set_ylabel(f"recall@{K}", color=INK)
    left.set_ylim(LOWEST, 1.005)
    left.axhline(1.0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    right.axhline(1.0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    handles = {
        label: handle
        for axes in (left, right)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    legend = {"loc": "outside lower center", "ncols": 4, "frameon": False, "fontsize": 8.5}
    figure.legend(handles.values(), handles.keys(), labelcolor=INK, **legend)
    figure.suptitle(
        f"Recall and speed: {_size(workload)}, k = {K}", fontsize=12.5, fontweight="bold", color=INK
    )
    save(figure, path)


def _size(workload: str) -> str:
    name, _, size = workload.partition("/")
    rows, _, dim = size.partition("x")
    return f"{name}, {int(rows):,} vectors of {dim} dims"


def _look(name: str) -> dict[str, Any]:
    if name == OURS:
        return {"color": "#D55E00", "marker": "o", "linewidth": 2.8, "markersize": 6, "zorder": 5}
    number = [other for other in engines.NAMES if other != OURS].index(name)
    colour, second = COLOURS[number % len(COLOURS)], number >= len(COLOURS)
    return {
        "color": colour,
        "marker": MARKERS[(number + 3 * second) % len(MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.4,
        "linestyle": "--" if second else "-",
        "markerfacecolor": "white" if second else colour,
    }
