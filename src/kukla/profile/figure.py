"""The figure of a profile: recall of prefixes beside what they must beat, and the other ways to be short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kukla.errors import MissingExtraError, WriteError
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
_INK = "#333333"
_FAINT = "#8c8c8c"


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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing the figure", "plot") from None
    # Not pyplot: its global state and its choice of a window system are the caller's.
    figure = Figure(figsize=(11.5, 5.6), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, profile.rows, _LEFT, "Short vectors alone")
    shortlist = f"The true {profile.k} among the best {profile.shortlist}, to be rescored"
    _panel(right, profile.rows, _RIGHT, shortlist)
    left.set_ylabel(f"recall@{profile.k} against full vectors", color=_INK)
    handles, labels = left.get_legend_handles_labels()
    left.legend(
        handles[::-1], labels[::-1], frameon=False, loc="lower right", labelcolor=_INK, fontsize=9
    )  # fmt: skip
    right.axhline(KEPT, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    right.annotate(
        f"{KEPT:.0%} kept",
        (0.99, KEPT),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=_FAINT,
    )
    figure.suptitle(
        "\n".join(textwrap.wrap(f"{what}: {profile.verdict}", 95)),
        fontsize=12.5,
        fontweight="bold",
        color=_INK,
    )
    figure.supxlabel(
        f"{profile.queries:,} queries, {profile.documents:,} documents, {profile.width} dims; "
        "bands: 95 % interval over queries",
        fontsize=8.5,
        color=_FAINT,
    )
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def _panel(axes: Any, rows: Sequence[Row], lines: Sequence[Line], title: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    dims = [row.dim for row in rows]
    for label, colour, marker, value in reversed(lines):  # the prefix on top
        found = [value(row) for row in rows]
        low, mean, high = zip(*((f.low, f.mean, f.high) for f in found), strict=True)
        axes.fill_between(dims, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(dims, mean, color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
    axes.set_title(title, fontsize=10.5, color=_INK)
    axes.set_xlabel("dims (log scale)", color=_INK)
    axes.set_xscale("log", base=2)
    axes.set_xlim(dims[0] / 1.15, dims[-1] * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(dims))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda dim, _: f"{dim:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, 1.03)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
