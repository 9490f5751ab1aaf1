"""A chart as a value: what is drawn, before anybody draws it.

The page draws it as SVG (:mod:`.layout`), :mod:`.png` with matplotlib; the table beside it holds the same
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kukla.cost import format_bytes

__all__ = [
    "Axis",
    "Chart",
    "Colour",
    "Point",
    "Rule",
    "Series",
    "Shape",
    "Table",
    "byte_axis",
    "dim_axis",
    "share_axis",
]

Colour = Literal["blue", "green", "pink", "orange", "red", "grey", "chosen"]
Shape = Literal["circle", "diamond", "up", "down", "square", "plus"]


@dataclass(frozen=True, slots=True)
class Axis:
    """What one direction means: ``ticks`` are (value, text), ``low`` and ``high`` the ends of the scale."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at ``low``, 1 at ``high``."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval; ``note`` is what a pointer held over it says."""

    x: float
    y: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind. ``interval`` says how their intervals look."""

    name: str
    colour: Colour
    shape: Shape
    points: tuple[Point, ...]
    line: bool = True
    interval: Literal["band", "whisker"] = "band"
    dashed: bool = False
    hollow: bool = False
    large: bool = False
    labelled: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line with a word on its right end; without one the caption says what it is."""

    y: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows of text; the first ``left`` columns are words, the others numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over two axes.

    Parameters
    ----------
    name : str
        Of the file and of the elements in the page: lower case, no spaces.
    title, caption : str
        The finding or the question; what was measured and what the intervals are.
    x, y : Axis
    series : tuple of Series
        The first is drawn on top.
    table : Table
        The same numbers.
    rules : tuple of Rule
    labels : {"start", "point"}
        Names of series stand before their first point, or beside single points.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    rules: tuple[Rule, ...] = field(default=())
    labels: Literal["start", "point"] = "start"


def dim_axis(dims: Sequence[int], label: str = "dims (log scale)") -> Axis:
    """Prefix lengths, each its own tick."""
    low, high = float(min(dims)), float(max(dims))
    if low == high:
        low, high = low / 2, high * 2
    return Axis(label, low, high, tuple((dim, f"{dim}") for dim in dims), log=True)


def byte_axis(values: Iterable[float], label: str) -> Axis:
    """Bytes on a log scale, with ticks at 1, 2 and 5 of each decade, or at 1 alone where there are many."""
    found = [value for value in values if value > 0]
    low, high = min(found) / 1.25, max(found) * 1.25
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2.3 else (1, 3) if math.log10(high / low) < 4 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return Axis(
        label, low, high, tuple((tick, format_bytes(tick)) for tick in ticks if low <= tick <= high), log=True
    )


def share_axis(label: str, low: float = 0.0, high: float = 1.0) -> Axis:
    """A share from ``low`` to 1 with round ticks: ``low`` is rounded down to one."""
    step = next(s for s in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 6 or s == 0.2)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    digits = 3 if step < 0.01 else 2 if step < 0.1 else 1
    ticks = tuple((i * step, f"{i * step:.{digits}f}") for i in range(first, last + 1))
    return Axis(label, first * step, last * step, ticks)
