"""The figure of a profile: recall of prefixes beside what they must beat, and the other ways to be short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kukla.evaluate.style import FAINT, INK, dress, save, two_panels
from kukla.profile.report import KEPT, Profile, Row
from kukla.profile.statistics import Interval

__all__ = ["draw_profile"]

# Okabe and Ito's colours, which people with any kind of colour blindness tell apart; markers differ as well.
Line = tuple[str, str, str, Callable[[Row], Interval]]
_LEFT: tuple[Line, ...] = (
    ("prefix", "#0072B2", "o", lambda row: row.prefix),
    ("random coordinates", "#8c8c8c", "D", lambda row: row.random),
    ("suffix", "#CC79A7", "v", lambda row: row.suffix),
    ("PCA, held out", "#009E73", "^", lambda row: row.pca),
    ("random projection", "#E69F00", "P", lambda row: row.projection),
    ("signs of the prefix", "#D55E00", "s", lambda row: row.sign),
)
_RIGHT: tuple[Line, ...] = (
    ("prefix", "#0072B2", "o", lambda row: row.shortlisted),
    ("random coordinates", "#8c8c8c", "D", lambda row: row.shortlisted_random),
    ("PCA, held out", "#009E73", "^", lambda row: row.shortlisted_pca),
)


def draw_profile(profile: Profile, path: str | Path, *, what: str = "vectors") -> None:
    """Draw a profile as a PNG of two panels: short vectors alone, and as a shortlist.

    Parameters
    ----------
    profile : Profile
    path : path
        Where the PNG goes; an existing file is replaced.
    what : str
        The vectors' name, for the title.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    WriteError
        The file cannot be written.
    """
    figure, left, right = two_panels(5.6)
    _panel(left, profile.rows, _LEFT, "Short vectors alone")
    shortlist = f"The true {profile.k} among the best {profile.shortlist}, to be rescored"
    _panel(right, profile.rows, _RIGHT, shortlist)
    left.set_ylabel(f"recall@{profile.k} against full vectors", color=INK)
    handles, labels = left.get_legend_handles_labels()
    left.legend(
        handles[::-1], labels[::-1], frameon=False, loc="lower right", labelcolor=INK, fontsize=9
    )  # fmt: skip
    right.axhline(KEPT, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    right.annotate(
        f"{KEPT:.0%} kept",
        (0.99, KEPT),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=FAINT,
    )
    figure.suptitle(
        "\n".join(textwrap.wrap(f"{what}: {profile.verdict}", 95)),
        fontsize=12.5,
        fontweight="bold",
        color=INK,
    )
    figure.supxlabel(
        f"{profile.queries:,} queries, {profile.documents:,} documents, {profile.width} dims; "
        "bands: 95 % interval over queries",
        fontsize=8.5,
        color=FAINT,
    )
    save(figure, path)


def _panel(axes: Any, rows: Sequence[Row], lines: Sequence[Line], title: str) -> None:
    dims = [row.dim for row in rows]
    for label, colour, marker, value in reversed(lines):  # the prefix on top
        found = [value(row) for row in rows]
        low, mean, high = zip(*((f.low, f.mean, f.high) for f in found), strict=True)
        axes.fill_between(dims, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(dims, mean, color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
    dress(axes, title=title, xlabel="dims (log scale)", ticks=dims, label=lambda dim: f"{dim:.0f}")
    axes.set_xlim(dims[0] / 1.15, dims[-1] * 1.15)
    axes.set_ylim(0, 1.03)
