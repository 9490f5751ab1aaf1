"""The figure: recall against the bytes that a scan reads, alone and rescored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kukla.errors import MissingExtraError, WriteError
from kukla.evaluate.curves import CurveRow, Curves
from kukla.precision import Precision

__all__ = ["draw_curves"]

# Okabe and Ito's colours, which people with any kind of colour blindness tell apart; markers differ as well.
_LOOKS = {
    Precision.BINARY: ("#D55E00", "o"),
    Precision.INT8: ("#0072B2", "s"),
    Precision.FLOAT16: ("#CC79A7", "D"),
    Precision.FLOAT32: ("#009E73", "^"),
}
# Near 1.0 all lines meet: there, their labels go to rows of their own, above and below it.
_CROWDED_ABOVE = 0.92
_LABEL_ROWS = {Precision.BINARY: 1, Precision.INT8: -1, Precision.FLOAT16: -2, Precision.FLOAT32: -2}
_INK = "#333333"
_FAINT = "#8c8c8c"


def draw_curves(curves: Curves, path: str | Path, *, corpus: str = "documents") -> None:
    """Draw recall@k against bytes per scanned vector as a PNG, two panels.

    Parameters
    ----------
    curves : Curves
    path : path
        Where the PNG goes; an existing file is replaced.
    corpus : str
        What the documents are, for the title: ``11,204 documents of the Python documentation``.

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
    figure = Figure(figsize=(11.5, 5.2), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    full = f"{curves.full_dim}:float32"
    _panel(left, curves.alone(), curves, "A prefix alone")
    _panel(
        right,
        curves.rescored(),
        curves,
        f"A shortlist of {curves.shortlist}, rescored with full vectors ({full})",
    )
    left.set_ylabel(f"recall@{curves.k}", color=_INK)
    # Small scans find little, so the upper left is the corner where no line passes.
    left.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(0, 0.94), title="precision", alignment="left",
        labelcolor=_INK,
    )  # fmt: skip
    figure.suptitle(
        f"What a search finds when it reads less: {curves.documents:,} {corpus}, "
        f"{curves.queries:,} queries, k = {curves.k}",
        fontsize=12.5,
        fontweight="bold",
        color=_INK,
    )
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def _panel(axes: Any, rows: Sequence[CurveRow], curves: Curves, title: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    reference = 4 * curves.full_dim
    for precision, (colour, marker) in _LOOKS.items():
        line = sorted((row for row in rows if row.precision is precision), key=lambda row: row.dim)
        if not line:
            continue
        sizes = [point.bytes_per_vector for point in line]
        recalls = [point.recall for point in line]
        axes.plot(sizes, recalls, color=colour, marker=marker, markersize=5.5, linewidth=1.8, label=precision)
        _label_dims(axes, line, colour, row=_LABEL_ROWS[precision])
    axes.axhline(1.0, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.axvline(reference, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.annotate(
        f"full vectors\n{curves.full_dim}:float32",
        (reference, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=_FAINT,
    )
    axes.set_title(title, fontsize=10.5, color=_INK)
    axes.set_xlabel("bytes scanned per vector (log scale)", color=_INK)
    axes.set_xscale("log", base=2)
    smallest = min((row.bytes_per_vector for row in curves.rows), default=1)
    axes.set_xlim(smallest / 1.5, reference * 1.5)
    ticks = [2**power for power in range(0, 40) if smallest / 1.5 <= 2**power <= reference * 1.5]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    lowest = min((row.recall for row in curves.rows), default=0.0)
    axes.set_ylim(max(0.0, lowest - 0.12), 1.07)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)


def _label_dims(axes: Any, line: Sequence[CurveRow], colour: str, *, row: int) -> None:
    for point in line:
        lines = row if point.recall > _CROWDED_ABOVE else max(row, -1)
        axes.annotate(
            str(point.dim),
            (point.bytes_per_vector, point.recall),
            xytext=(-3, 7) if lines > 0 else (3, 11 * lines - 2),
            textcoords="offset points",
            ha="right" if lines > 0 else "left",
            fontsize=8,
            color=colour,
        )
