"""Where everything of a chart stands: from values to coordinates, and labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kukla.report.chart import Axis, Chart, Series

__all__ = [
    "HALF",
    "NARROW",
    "WIDE",
    "Frame",
    "Label",
    "Layout",
    "Mark",
    "Size",
    "Stroke",
    "lay_out",
    "spread",
]


@dataclass(frozen=True, slots=True)
class Size:
    """A drawing surface in its own units, which are pixels at the width it is made for."""

    name: str
    width: int
    height: int
    font: float

    @property
    def letter(self) -> float:
        """About the width of a letter: system fonts differ, and most are narrower."""
        return self.font * 0.6


WIDE = Size("wide", 880, 430, 14)
HALF = Size("half", 470, 400, 13)
NARROW = Size("narrow", 330, 330, 12)


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a point; ``anchor`` as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "ink"

    def extent(self, size: Size) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, about."""
        width = len(self.text) * size.letter
        left = {"start": self.x, "middle": self.x - width / 2, "end": self.x - width}[self.anchor]
        return left, self.y - 0.75 * size.font, left + width, self.y + 0.25 * size.font


@dataclass(frozen=True, slots=True)
class Stroke:
    """A path; ``kind`` and ``colour`` are classes of the style sheet."""

    path: str
    kind: str
    colour: str = "ink"


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker with what it says when pointed at."""

    path: str
    colour: str
    hollow: bool
    note: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The box of the plot."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, axis: Axis, value: float, inset: float = 0.0) -> float:
        """From a value to a coordinate; the first ``inset`` units are kept free."""
        return self.left + inset + axis.place(value) * (self.right - self.left - inset)

    def y(self, axis: Axis, value: float) -> float:
        """From a value to a coordinate, which grows downwards; values off the scale stay at its edge."""
        return self.bottom - min(1.0, max(0.0, axis.place(value))) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Layout:
    """A chart at one size."""

    size: Size
    frame: Frame
    strokes: tuple[Stroke, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]


def lay_out(chart: Chart, size: Size) -> Layout:
    """Place a chart on a surface."""
    y_width = max(len(text) for _, text in chart.y.ticks) * size.letter
    frame = Frame(y_width + 10, 2.4 * size.font, size.width - 16, size.height - 3.6 * size.font)
    names = [series.name for series in chart.series if series.labelled and chart.labels == "start"]
    inset = max((len(name) for name in names), default=0) * size.letter + (18 if names else 10)
    strokes, labels = _grid(chart, size, frame, inset)
    marks: list[Mark] = []
    for series in reversed(chart.series):
        points = [(frame.x(chart.x, p.x, inset), frame.y(chart.y, p.y)) for p in series.points]
        ends = [(frame.y(chart.y, p.low), frame.y(chart.y, p.high)) for p in series.points]
        strokes += _lines(series, points, ends)
        marks += [
            Mark(_marker(series, x, y), series.colour, series.hollow, point.note)
            for (x, y), point in zip(points, series.points, strict=True)
        ]
    if chart.labels == "start":
        found, leaders = _names(chart, size, frame, inset)
        labels, strokes = labels + found, strokes + leaders
    else:
        labels += _beside(chart, size, frame, inset)
    return Layout(size, frame, tuple(strokes), tuple(marks), tuple(labels))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near ``wanted``, ascending, at least ``gap`` apart, inside ``low..high`` if they fit."""
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, low, placed[-1] + gap if placed else low))
    limit = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - gap
    return placed


def _grid(chart: Chart, size: Size, frame: Frame, inset: float) -> tuple[list[Stroke], list[Label]]:
    strokes, labels = [], []
    for value, text in chart.y.ticks:
        y = frame.y(chart.y, value)
        strokes.append(Stroke(f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}", "grid"))
        labels.append(Label(frame.left - 7, y + 0.34 * size.font, text, "end", "faint"))
    base = frame.bottom + 1.35 * size.font
    taken = -1e9
    # From the right: the full dim, and exact search, are never the ones left out.
    for value, text in reversed(chart.x.ticks):
        x = frame.x(chart.x, value, inset)
        strokes.append(Stroke(f"M{x:.1f} {frame.bottom:.1f}v4", "tick"))
        half = len(text) * size.letter / 2
        if taken < -1e8 or x + half + size.letter <= taken:
            labels.append(Label(min(x, size.width - half - 1), base, text, "middle", "faint"))
            taken = min(x, size.width - half - 1) - half
    strokes.append(Stroke(f"M{frame.left:.1f} {frame.bottom:.1f}H{frame.right:.1f}", "axis"))
    labels.append(Label(frame.right, frame.bottom + 2.85 * size.font, chart.x.label, "end", "faint"))
    labels.append(Label(0, 1.0 * size.font, chart.y.label, "start", "faint"))
    for rule in chart.rules:
        y = frame.y(chart.y, rule.y)
        strokes.append(Stroke(f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}", "rule"))
        if rule.label:
            labels.append(Label(frame.right, y - 5, rule.label, "end", "faint"))
    return strokes, labels


def _lines(
    series: Series, points: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]
) -> list[Stroke]:
    strokes = []
    if series.interval == "band" and len(points) > 1:
        there = [f"{x:.1f} {low:.1f}" for (x, _), (low, _) in zip(points, ends, strict=True)]
        back = [f"{x:.1f} {high:.1f}" for (x, _), (_, high) in zip(points, ends, strict=True)]
        strokes.append(Stroke(f"M{'L'.join([*there, *reversed(back)])}Z", "band", series.colour))
    if series.interval == "whisker":
        for (x, _), (low, high) in zip(points, ends, strict=True):
            path = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6"
            strokes.append(Stroke(path, "whisker", series.colour))
    if series.line and len(points) > 1:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        strokes.append(Stroke(f"M{path}", "line dashed" if series.dashed else "line", series.colour))
    return strokes


def _names(chart: Chart, size: Size, frame: Frame, inset: float) -> tuple[list[Label], list[Stroke]]:
    """The names of series in the free room before their first points, with lines that lead there."""
    named = [series for series in chart.series if series.labelled and series.points]
    named.sort(key=lambda series: -series.points[0].y)
    starts = [frame.y(chart.y, series.points[0].y) for series in named]
    half = 0.34 * size.font
    places = spread(starts, 1.2 * size.font, frame.top + half, frame.bottom - 2 * half)
    labels, leaders = [], []
    for series, start, place in zip(named, starts, places, strict=True):
        x = frame.x(chart.x, series.points[0].x, inset)
        labels.append(Label(x - 12, place + half, series.name, "end", series.colour))
        leaders.append(Stroke(f"M{x - 10:.1f} {place:.1f}L{x - 5:.1f} {start:.1f}", "leader", series.colour))
    return labels, leaders


def _beside(chart: Chart, size: Size, frame: Frame, inset: float) -> list[Label]:
    """Names of single points below them, and below the intervals of points that the name would cover."""
    every = [
        (frame.x(chart.x, point.x, inset), frame.y(chart.y, point.low))
        for series in chart.series
        for point in series.points
    ]
    labels = []
    for series in chart.series:
        if not series.labelled or not series.points:
            continue
        last = series.points[-1]
        x, y = frame.x(chart.x, last.x, inset), frame.y(chart.y, last.y)
        width = len(series.name) * size.letter
        room = frame.right - x - 9 >= width
        left = x + 9 if room else x - 9 - width
        covered = [low for at, low in every if left - 6 <= at <= left + width + 6]
        lower = max([y + 0.3 * size.font, *covered]) + 1.1 * size.font
        labels.append(
            Label(
                x + 9 if room else x - 9,
                min(lower, frame.bottom - 4),
                series.name,
                "start" if room else "end",
                series.colour,
            )
        )
    return labels


def _marker(series: Series, x: float, y: float) -> str:
    r = 6.0 if series.large else 3.6
    if series.shape == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    if series.shape == "square":
        s = r * 0.9
        return f"M{x - s:.1f} {y - s:.1f}h{2 * s:.1f}v{2 * s:.1f}h{-2 * s:.1f}Z"
    if series.shape == "diamond":
        d = r * 1.25
        return f"M{x:.1f} {y - d:.1f}l{d:.1f} {d:.1f}l{-d:.1f} {d:.1f}l{-d:.1f} {-d:.1f}Z"
    if series.shape == "plus":
        a, b = r * 0.42, r * 1.15
        arms = f"h{2 * a:.1f}v{b - a:.1f}h{b - a:.1f}v{2 * a:.1f}h{a - b:.1f}v{b - a:.1f}h{-2 * a:.1f}"
        return f"M{x - a:.1f} {y - b:.1f}{arms}v{a - b:.1f}h{a - b:.1f}v{-2 * a:.1f}h{b - a:.1f}Z"
    h = r * 1.15 if series.shape == "up" else -r * 1.15
    return f"M{x:.1f} {y - h:.1f}L{x + abs(h):.1f} {y + 0.8 * h:.1f}H{x - abs(h):.1f}Z"
