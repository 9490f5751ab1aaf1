"""The figure: quality against dims, and against the bytes that a scan reads, for every precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kukla.evaluate.figure import LOOKS
from kukla.evaluate.quality import QualityCurve, QualityRow
from kukla.evaluate.style import FAINT, INK, dress, save, two_panels
from kukla.precision import Precision

__all__ = ["draw_quality"]

# int8 and float32 nearly coincide: a small step aside keeps both intervals to be seen.
_ASIDE = {Precision.BINARY: 1.0, Precision.INT8: 0.955, Precision.FLOAT16: 1.0, Precision.FLOAT32: 1.045}


def draw_quality(
    curve: QualityCurve, path: str | Path, *, measure: str | None = None, what: str = "documents"
) -> None:
    """Draw one measure as a share of full vectors, with intervals, as a PNG of two panels.

    Parameters
    ----------
    curve : QualityCurve
    path : path
        Where the PNG goes; an existing file is replaced.
    measure : str, optional
        Default: the first that was measured.
    what : str
        The name of the collection, for the title.

    Raises
    ------
    InputError
        The measure was not measured.
    MissingExtraError
        Without matplotlib.
    WriteError
        The file cannot be written.
    """
    measure = measure or curve.measures[0]
    full = curve.full.quality(measure).mean
    figure, left, right = two_panels(5.2)
    dims = sorted({row.dim for row in curve.rows if row.alone})
    sizes = [row.bytes_per_vector for row in curve.rows if row.alone]
    _lines(left, curve, measure, lambda row: row.dim * _ASIDE[row.precision])
    _lines(right, curve, measure, lambda row: float(row.bytes_per_vector))
    dress(
        left,
        title=f"By dims; 100 % is {full.mean:.3f} [{full.low:.3f}, {full.high:.3f}]",
        xlabel="dims (log scale)",
        ticks=dims,
        label=lambda dim: f"{dim:.0f}",
    )
    dress(
        right,
        title="By size; bars are 95 % intervals, numbers are dims",
        xlabel="bytes scanned per vector (log scale)",
        ticks=[2**power for power in range(40) if min(sizes) / 1.5 <= 2**power <= max(sizes) * 1.5],
        label=lambda size: f"{size:,.0f}",
    )
    for row in curve.rows:
        share = row.quality(measure).relative
        if row.alone and share is not None:
            right.annotate(
                str(row.dim),
                (row.bytes_per_vector, 100 * share.mean),
                xytext=(-6, 5),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=LOOKS[row.precision][0],
            )
    left.set_xlim(dims[0] / 1.3, dims[-1] * 1.3)
    for axes in (left, right):
        axes.axhline(100, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    left.set_ylabel(f"{measure}, % of full vectors", color=INK)
    low, high = left.get_ylim()
    left.set_ylim(max(0, low), high)
    left.legend(frameon=False, loc="lower right", title="precision", alignment="left", labelcolor=INK)
    figure.suptitle(
        f"{what}: what shorter and coarser vectors keep of {measure}, {curve.queries:,} queries",
        fontsize=12,
        fontweight="bold",
        color=INK,
    )
    save(figure, path)


def _lines(axes: Any, curve: QualityCurve, measure: str, place: Callable[[QualityRow], float]) -> None:
    for precision, (colour, marker) in LOOKS.items():
        points = [
            (place(row), share)
            for row in curve.curve(precision)
            if (share := row.quality(measure).relative) is not None
        ]
        if not points:
            continue
        means = [100 * share.mean for _, share in points]
        axes.errorbar(
            [x for x, _ in points],
            means,
            yerr=[
                [100 * (share.mean - share.low) for _, share in points],
                [100 * (share.high - share.mean) for _, share in points],
            ],
            color=colour,
            marker=marker,
            markersize=5.5,
            linewidth=1.6,
            elinewidth=1.3,
            capsize=2.5,
            label=precision.value,
        )
