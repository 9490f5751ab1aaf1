"""The charts of a report as PNG, for a slide or an issue."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kukla.errors import MissingExtraError, WriteError
from kukla.evaluate.style import FAINT, INK, save
from kukla.report.chart import Chart, Series

__all__ = ["COLOURS", "check_drawing", "draw_charts"]

COLOURS = {
    "blue": "#0067a5",
    "green": "#00785a",
    "pink": "#a3457f",
    "orange": "#9a5b00",
    "red": "#b8430b",
    "grey": "#6b6b6b",
    "chosen": "#b3261e",
}
"""Those of the page in light; page/style.css has both."""

_MARKERS = {"circle": "o", "diamond": "D", "up": "^", "down": "v", "square": "s", "plus": "P"}


def check_drawing() -> None:
    """Raise ``MissingExtraError`` without matplotlib: before the work, not after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("drawing the charts as PNG", "plot") from None


def draw_charts(charts: Iterable[Chart], folder: Path, *, title: str) -> list[Path]:
    """Draw each chart into ``folder/NAME.png``, replacing what is there.

    Parameters
    ----------
    charts : iterable of Chart
    folder : Path
        Made if it is not there.
    title : str
        What the vectors are called.

    Raises
    ------
    MissingExtraError, WriteError
    """
    check_drawing()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made: {error.strerror or error}") from error
    paths = []
    for chart in charts:
        path = folder / f"{chart.name}.png"
        save(_draw(chart, title), path)
        paths.append(path)
    return paths


def _draw(chart: Chart, title: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.0), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for series in reversed(chart.series):
        if series.points:
            _draw_series(axes, series)
    for rule in chart.rules:
        axes.axhline(rule.y, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            rule.label,
            (0.99, rule.y),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=FAINT,
        )
    _dress(axes, chart)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, loc="best", labelcolor=INK, fontsize=9)
    # A name from outside is not a formula.
    figure.suptitle(f"{title}: {chart.title}".replace("$", r"\$"), fontsize=12, fontweight="bold", color=INK)
    return figure


def _draw_series(axes: Any, series: Series) -> None:
    colour = COLOURS[series.colour]
    x, y = [p.x for p in series.points], [p.y for p in series.points]
    low, high = [p.low for p in series.points], [p.high for p in series.points]
    if series.interval == "band":
        axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    else:
        axes.vlines(x, low, high, color=colour, linewidth=1.2)
    axes.plot(
        x,
        y,
        color=colour,
        marker=_MARKERS[series.shape],
        markersize=9 if series.large else 5,
        markerfacecolor="white" if series.hollow else colour,
        linewidth=1.8,
        linestyle="none" if not series.line else "--" if series.dashed else "-",
        label=series.name,
    )


def _dress(axes: Any, chart: Chart) -> None:
    from matplotlib.ticker import NullLocator

    if chart.x.log:
        axes.set_xscale("log")
    for axis, described in ((axes.xaxis, chart.x), (axes.yaxis, chart.y)):
        values, texts = zip(*described.ticks, strict=True)
        axis.set_ticks(values, labels=texts)
        axis.set_minor_locator(NullLocator())
    axes.set_xlim(chart.x.low / 1.1, chart.x.high * 1.1)
    axes.set_ylim(chart.y.low, chart.y.high + 0.03 * (chart.y.high - chart.y.low))
    axes.set_xlabel(chart.x.label, color=INK)
    axes.set_ylabel(chart.y.label, color=INK)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
