"""One figure: judged quality against bytes per vector, a panel for each model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.systems.measure import Measured
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels

__all__ = ["draw"]

# Okabe and Ito's colours, as in the other figures.
_LOOKS = {
    "MRL prefix": ("#D55E00", "o"),
    "PCA rotation": ("#56B4E9", "s"),
    "query-aware rotation": ("#0072B2", "D"),
    "learned rotation": ("#009E73", "^"),
    "random rotation": (FAINT, "v"),
    "quantised only": ("#CC79A7", "*"),
}


def draw(results: Sequence[Measured], path: Path) -> None:
    """Draw the first two models; tasks on which every system in the figure could be fitted."""
    models = list(dict.fromkeys(result.model for result in results))[:2]
    figure, *panels = two_panels(5.2)
    for axes, model in zip(panels, models, strict=False):
        tasks = [r for r in results if r.model == model and all(name in r.cells for name in _LOOKS)]
        if not tasks:
            continue
        full = np.mean([task.cells["MRL prefix"][0].ndcg.mean() for task in tasks])
        for system, (colour, marker) in _LOOKS.items():
            sizes = [cell.bytes_per_vector for cell in tasks[0].cells[system]]
            quality = [
                np.mean([task.cells[system][i].ndcg.mean() for task in tasks]) / full
                for i in range(len(sizes))
            ]
            line = "none" if system == "quantised only" else "-"
            axes.plot(sizes, quality, linestyle=line, color=colour, marker=marker, label=system,
                      linewidth=1.8, markersize=10 if line == "none" else 5.5)  # fmt: skip
            if line == "none":
                for size, value, cell in zip(sizes, quality, tasks[0].cells[system], strict=True):
                    axes.annotate(cell.precision, (size, value), xytext=(-4, 8), textcoords="offset points",
                                  ha="right", fontsize=8, color=colour)  # fmt: skip
        width = tasks[0].width
        axes.axhline(1.0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        ticks = [4 * width / 2**power for power in range(7)]
        title = f"{model}, {width} dims: {len(tasks)} collections"
        dress(
            axes, title=title, xlabel="bytes per vector (log scale)", ticks=ticks, label=lambda b: f"{b:,.0f}"
        )
    panels[0].set_ylabel("nDCG@10 relative to full vectors", color=INK)
    panels[0].legend(frameon=False, loc="lower right", labelcolor=INK)
    figure.suptitle(
        "What is left of a ranking when vectors get smaller", fontsize=12.5, fontweight="bold", color=INK
    )
    save(figure, path)
