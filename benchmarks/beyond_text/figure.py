"""One figure: accuracy against dims, a panel for each image set, and where adaptive classification is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.beyond_text.measure import Adaptive
from benchmarks.beyond_text.report import Result, interval, values
from benchmarks.beyond_text.tasks import Task
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels

__all__ = ["draw"]

# Okabe and Ito's colours, as in the other figures.
_LOOKS = {
    "FF": (INK, "o"),
    "SVD": ("#56B4E9", "s"),
    "random": (FAINT, "v"),
    "MRL": ("#D55E00", "^"),
    "MRL-E": ("#CC79A7", "D"),
    "inputs": ("#009E73", "P"),
}
_NAMES = {
    "FF": "FF: trained at that size",
    "SVD": "SVD of the largest FF",
    "random": "random coordinates of it",
    "inputs": "no network: SVD of pixels",
}


def draw(found: Mapping[str, tuple[Task, Sequence[Result]]], path: Path) -> None:
    """Draw 1-NN accuracy of the first two tasks; stars are the adaptive classifiers (their own heads)."""
    figure, *panels = two_panels(5.4)
    for axes, (task, results) in zip(panels, found.values(), strict=False):
        for system, (colour, marker) in _LOOKS.items():
            measured = [(dim, values(results, system, dim, "nearest")) for dim in task.dims]
            points = [(dim, *interval(cell)) for dim, cell in measured if cell]
            dims, means, halves = (np.array(column) for column in zip(*points, strict=True))
            axes.plot(dims, 100 * means, color=colour, marker=marker, markersize=5.5, linewidth=1.6,
                      label=_NAMES.get(system, f"{system} prefix"))  # fmt: skip
            if system in ("FF", "MRL"):
                low, high = 100 * (means - halves), 100 * (means + halves)
                axes.fill_between(dims, low, high, color=colour, alpha=0.12, linewidth=0)
        for per_dim, filled in ((False, True), (True, False)):
            key = ("MRL", per_dim, 0.0)
            rows = [r for r in results if isinstance(r, Adaptive) and (r.system, r.per_dim, r.loss) == key]
            where, accuracy = np.mean([(row.mean_dims, 100 * row.accuracy) for row in rows], axis=0)
            inside, edge = ("#D55E00", "white") if filled else ("white", "#D55E00")
            axes.plot([where], [accuracy], marker="*", markersize=15, linestyle="none", zorder=5,
                      color=inside, markeredgecolor=edge,
                      label=f"MRL, adaptive: {'one threshold' if filled else 'one a dim'}")  # fmt: skip
        dress(
            axes, title=task.about, xlabel="dims (log scale)", ticks=task.dims, label=lambda dim: f"{dim:.0f}"
        )
        axes.set_ylim(45, 101)
    panels[0].set_ylabel("accuracy on test rows, %", color=INK)
    panels[0].legend(frameon=False, loc="lower right", labelcolor=INK, fontsize=9)
    figure.suptitle(
        "Images: 1-NN accuracy of short vectors, five folds (bands: 95 % of FF and MRL)",
        fontsize=12.5, fontweight="bold", color=INK,
    )  # fmt: skip
    save(figure, path)
