"""The figure: recall against the bytes that a scan reads, alone and rescored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kukla.evaluate.curves import CurveRow, Curves
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels
from kukla.precision import Precision

__all__ = ["LOOKS", "draw_curves"]

# Okabe and Ito's colours, which people with any kind of colour blindness tell apart; markers differ as well.
LOOKS = {
    Precision.BINARY: ("#D55E00", "o"),
    Precision.INT8: ("#0072B2", "s"),
    Precision.FLOAT16: ("#CC79A7", "D"),
    Precision.FLOAT32: ("#009E73", "^"),
}
# Near 1.0 all lines meet: there, their labels go to rows of their own, above and below it.
_CROWDED_ABOVE = 0.92
_LABEL_ROWS = {Precision.BINARY: 1, Precision.INT8: -1, Precision.FLOAT16: -2, Precision.FLOAT32: -2}


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
    figure, left, right = two_panels(5.2)
    full = f"{curves.full_dim}:float32"
    _panel(left, curves.alone(), curves, "A prefix alone")
    _panel(
        right,
        curves.rescored(),
        curves,
        f"A shortlist of {curves.shortlist}, rescored with full vectors ({full})",
    )
    left.set_ylabel(f"recall@{curves.k}", color=INK)
    # Small scans find little, so the upper left is the corner where no line passes.
    left.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(0, 0.94), title="precision", alignment="left",
        labelcolor=INK,
    )  # fmt: skip
    figure.suptitle(
        f"What a search finds when it reads less: {curves.documents:,} {corpus}, "
        f"{curves.queries:,} queries, k = {curves.k}",
        fontsize=12.5,
        fontweight="bold",
        color=INK,
    )
    save(figure, path)


def _panel(axes: Any, rows: Sequence[CurveRow], curves: Curves, title: str) -> None:
    reference = 4 * curves.full_dim
    for precision, (colour, marker) in LOOKS.items():
        line = sorted((row for row in rows if row.precision is precision), key=lambda row: row.dim)
        if not line:
            continue
        sizes = [point.bytes_per_vector for point in line]
        recalls = [point.recall for point in line]
        axes.plot(sizes, recalls, color=colour, marker=marker, markersize=5.5, linewidth=1.8, label=precision)
        _label_dims(axes, line, colour, row=_LABEL_ROWS[precision])
    axes.axhline(1.0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.axvline(reference, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.annotate(
        f"full vectors\n{curves.full_dim}:float32",
        (reference, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=FAINT,
    )
    smallest = min((row.bytes_per_vector for row in curves.rows), default=1)
    ticks = [2**power for power in range(0, 40) if smallest / 1.5 <= 2**power <= reference * 1.5]
    dress(
        axes,
        title=title,
        xlabel="bytes scanned per vector (log scale)",
        ticks=ticks,
        label=lambda size: f"{size:,.0f}",
    )
    axes.set_xlim(smallest / 1.5, reference * 1.5)
    lowest = min((row.recall for row in curves.rows), default=0.0)
    axes.set_ylim(max(0.0, lowest - 0.12), 1.07)


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
