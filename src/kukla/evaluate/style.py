"""How our figures look: two panels that share recall, a log scale, and no more ink than the data needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kukla.errors import MissingExtraError, WriteError

__all__ = ["FAINT", "INK", "dress", "save", "two_panels"]

INK = "#333333"
FAINT = "#8c8c8c"


def two_panels(height: float) -> tuple[Any, Any, Any]:
    """A new matplotlib figure and its two axes; ``MissingExtraError`` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing the figure", "plot") from None
    # Not pyplot: its global state and its choice of a window system are the caller's.
    figure = Figure(figsize=(11.5, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return (figure, *figure.subplots(1, 2, sharey=True))


def dress(
    axes: Any, *, title: str, xlabel: str, ticks: Sequence[float], label: Callable[[float], str]
) -> None:
    """Title, a log scale with ``ticks`` printed by ``label``, horizontal lines, no frame."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_title(title, fontsize=10.5, color=INK)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def save(figure: Any, path: str | Path) -> None:
    """Write a PNG, or raise ``WriteError``."""
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
