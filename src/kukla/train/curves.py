"""What is known of every nested dim while a model trains: its loss, and its quality on a dev set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kukla.errors import MissingExtraError
from kukla.evaluate.style import FAINT, INK, save
from kukla.train.checkpoints import write_atomically

__all__ = ["Curves", "draw_training"]


@dataclass
class Curves:
    """Points of each dim: ``losses[step][dim]`` (before weights), ``quality[step][dim]`` (nDCG@10 on dev)."""

    dims: tuple[int, ...]
    losses: dict[int, dict[int, float]] = field(default_factory=dict)
    quality: dict[int, dict[int, float]] = field(default_factory=dict)
    total_steps: int = 0

    @property
    def step(self) -> int:
        """The last step with a point."""
        return max([0, *self.losses, *self.quality])

    def until(self, step: int) -> None:
        """Forget what came after ``step``: a resumed run will tell it again."""
        for points in (self.losses, self.quality):
            for late in [one for one in points if one > step]:
                del points[late]

    def write(self, path: Path) -> None:
        """As JSON lines, one a step."""
        lines = []
        for step in sorted({*self.losses, *self.quality}):
            row: dict[str, Any] = {"step": step}
            for name, points in (("loss", self.losses), ("ndcg", self.quality)):
                if step in points:
                    row[name] = {str(dim): round(value, 6) for dim, value in points[step].items()}
            lines.append(json.dumps(row))
        write_atomically(path, ("\n".join(lines) + "\n").encode())

    @classmethod
    def read(cls, path: Path, dims: Sequence[int]) -> Curves:
        """What :meth:`write` wrote; empty where there is nothing."""
        found = cls(tuple(dims))
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if line:
                    row = json.loads(line)
                    for name, points in (("loss", found.losses), ("ndcg", found.quality)):
                        if name in row:
                            points[row["step"]] = {int(dim): value for dim, value in row[name].items()}
        return found


def draw_training(curves: Curves, path: Path) -> None:
    """A PNG of the curves of every dim; an existing file is replaced.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    WriteError
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing the curves", "plot") from None
    figure = Figure(figsize=(11.5, 4.6), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, points, title in (
        (left, curves.losses, "Loss at each dim, before weights"),
        (right, curves.quality, "nDCG@10 on the dev set"),
    ):
        axes.set_title(title, fontsize=10.5, color=INK)
        axes.set_xlabel("step", color=INK)
        axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
        axes.tick_params(colors=INK, length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        for place, dim in enumerate(sorted(curves.dims, reverse=True)):
            steps = [step for step in sorted(points) if dim in points[step]]
            colour = colormaps["viridis"](0.85 * place / max(1, len(curves.dims) - 1))
            axes.plot(steps, [points[step][dim] for step in steps], color=colour, marker=".", label=str(dim))
        if points:
            axes.legend(frameon=False, title="dims", labelcolor=INK, fontsize=8)
        else:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "no dev set", transform=axes.transAxes, ha="center", color=FAINT)
    save(figure, path)
