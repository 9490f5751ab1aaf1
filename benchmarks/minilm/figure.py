"""One figure: what is left at each number of dims, in retrieval and in similarity, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.minilm.intervals import Resampled
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels

__all__ = ["draw"]

# Okabe and Ito's colours, as in the other figures. Systems that are not here are in the tables only.
_LOOKS = {
    "untouched": (FAINT, "v"),
    "without MRL": ("#E69F00", "s"),
    "MRL": ("#D55E00", "o"),
    "MRL + PCA rotation": ("#CC79A7", "P"),
    "PCA rotation": ("#56B4E9", "D"),
    "PCA, training texts": ("#0072B2", "X"),
    "learned rotation": ("#009E73", "^"),
    "Matryoshka-Adaptor": (INK, "*"),
}


def draw(panels: Mapping[str, Resampled], dims: tuple[int, ...], path: Path) -> None:
    """Means as a share of untouched whole vectors; bars are 95 % intervals, a little apart to be seen."""
    figure, *axes = two_panels(5.4)
    for panel, (title, found) in zip(axes, panels.items(), strict=False):
        shown = [name for name in _LOOKS if name in found.means]
        for place, name in enumerate(shown):
            colour, marker = _LOOKS[name]
            shares = [found.share(name, i, "untouched") for i in range(len(dims))]
            apart = 1.018 ** (place - len(shown) / 2)
            below, above = zip(*((mean - low, high - mean) for mean, low, high in shares), strict=True)
            panel.errorbar(
                [dim * apart for dim in dims], [mean for mean, _, _ in shares], yerr=(below, above),
                label=name, color=colour, marker=marker, markersize=5, linewidth=1.6, elinewidth=0.9,
            )  # fmt: skip
        panel.axhline(1.0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        dress(panel, title=title, xlabel="dims (log scale)", ticks=dims, label=lambda dim: f"{dim:g}")
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    axes[0].set_ylabel("share of untouched whole vectors", color=INK)
    axes[0].legend(frameon=False, loc="lower right", labelcolor=INK)
    figure.suptitle(
        "all-MiniLM-L6-v2: fine-tuned with MRL, without, rotated and adapted",
        fontsize=12.5,
        fontweight="bold",
        color=INK,
    )
    save(figure, path)
