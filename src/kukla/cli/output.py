"""What people see: tables and text that fit a terminal and survive a pipe."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kukla.cost import format_bytes
from kukla.info import PartitionInfo

__all__ = [
    "Bar",
    "make_console",
    "partition_text",
    "print_json",
    "print_pairs",
    "print_styled",
    "print_table",
    "printable",
    "snippet",
]

# Texts come from anywhere: escape sequences would drive the terminal, bidirectional controls reorder lines.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WIDEST = 100
_MORE = " …"
_BAR_AFTER_SECONDS = 1.0


def make_console(*, stderr: bool = False) -> Console:
    """A console for now's stdout or stderr; it has no colours in a pipe, and none with ``NO_COLOR``."""
    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Text without control characters other than tab and line break."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n"))


def snippet(console: Console, text: str, *, indent: int) -> list[str]:
    """The first two lines of a text, or its heading and two lines, with an ellipsis where there is more.

    Lines fit the console's width in cells (CJK takes two). A first line that fits is taken for a heading.
    """
    width = max(20, min(console.width, _WIDEST) - indent - len(_MORE))
    head, _, rest = printable(text).strip().partition("\n")
    wrapped = [_wrap(console, part, width) for part in (head, rest)]
    lines = [*wrapped[0], *wrapped[1]]
    most = 3 if len(wrapped[0]) == 1 and wrapped[1] else 2
    shown = lines[:most]
    if len(lines) > most:
        shown[-1] += _MORE
    return shown


def _wrap(console: Console, text: str, width: int) -> list[str]:
    squeezed = " ".join(text.split())
    return [line.plain.rstrip() for line in Text(squeezed).wrap(console, width)] if squeezed else []


def print_styled(text: str, style: str) -> None:
    """One paragraph in a style such as ``bold`` or ``dim``; plain in a pipe."""
    make_console().print(Text(printable(text), style=style), soft_wrap=True)


def print_json(value: Any) -> None:
    """One line of JSON; escapes what the output's encoding cannot hold."""
    unicode_output = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(value, ensure_ascii=not unicode_output, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """A table whose first ``left`` columns are text and the others numbers; plain columns in a pipe."""
    console = make_console()
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for i, name in enumerate(header):
            table.add_column(name, justify="left" if i < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(printable, row))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns; values are never cut."""
    console = make_console()
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        console.print(Text(name.ljust(width + 1), style="bold"), printable(value), soft_wrap=True)


def partition_text(found: PartitionInfo) -> str:
    """One line of lists: how many, of how many rows, in how many bytes, and what is scanned instead."""
    text = (
        f"{found.lists:,} of {found.shortest:,} to {found.longest:,} rows (median {found.median:,}), "
        f"codes of {found.short_bytes} and {found.code_bytes} bytes, of means {found.mean_bytes}, "
        f"{format_bytes(found.bytes)}"
    )
    if found.segments_without_lists:
        text += f"; segments without lists, which are scanned: {found.segments_without_lists}"
    return text


class Bar:
    """A progress bar on stderr, for work that turns out to take longer than a second.

    A context manager and a :data:`kukla.progress.Progress`. When stderr is no terminal nothing is printed.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._console = make_console(stderr=True)
        self._started = time.perf_counter()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` is done."""
        late = time.perf_counter() - self._started > _BAR_AFTER_SECONDS
        if self._progress is None and late and self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task(self._what, total=total)
            self._progress.start()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
