"""What commands share: how errors end, how options are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kukla.document import DocumentId
from kukla.errors import InputError, KuklaError
from kukla.filters import Filter, parse_filter
from kukla.index import Index

__all__ = [
    "INTERRUPTED",
    "NOTHING_FOUND",
    "CommandGroup",
    "filter_option",
    "index_argument",
    "json_option",
    "plan_option",
    "read_filter",
    "read_lines",
    "resolve_ids",
    "split_names",
    "split_numbers",
    "threads_option",
]

NOTHING_FOUND = 3
INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell reports for any program whose reader has left


class CommandGroup(click.Group):
    """A group whose errors are one line on stderr, whose help lists commands in the order of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors that are meant for users become an exit status."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe is caught, and not at interpreter exit
            return result
        except BrokenPipeError:
            _discard_stdout()
            ctx.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (KuklaError, OSError) as error:
            if os.environ.get("KUKLA_DEBUG"):
                raise
            click.echo(f"error: {' '.join(str(error).split())}", err=True)
            ctx.exit(1)


def _discard_stdout() -> None:
    """What is still buffered goes nowhere, or the interpreter would complain when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # a stdout without a file, as in tests
        return


def split_names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A click callback: ``binary,float32`` as a tuple."""
    return None if value is None else tuple(part.strip() for part in value.split(","))


def split_numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """A click callback: ``64,128,512`` as a tuple."""
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 64,128,512") from None


index_argument = click.argument("index_path", metavar="INDEX", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
plan_option = click.option(
    "--plan",
    metavar="PLAN",
    help="Stages from cheap to exact, e.g. '256:binary@200 > 512:float32'. Default: the index's own plan.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Threads of a search; results do not depend on it.",
)
filter_option = click.option(
    "--filter",
    "filters",
    metavar="FILTER",
    multiple=True,
    help="Only documents whose metadata match: year>=2000, lang=en, or JSON such as "
    '\'{"lang": {"$in": ["en", "de"]}}\'. Repeat it to ask for several at once.',
)


def read_filter(filters: Sequence[str]) -> Filter | None:
    """Repeated ``--filter`` options as one filter: all must match."""
    parsed = [parse_filter(text) for text in filters]
    if not parsed:
        return None
    return parsed[0] if len(parsed) == 1 else {"$and": parsed}


def read_lines(what: str) -> list[str]:
    """The non-blank lines of standard input.

    Raises
    ------
    InputError
        There is none, or it is not text.
    """
    try:
        lines = [line.strip() for line in sys.stdin if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 text: {error}") from None
    if not lines:
        raise InputError(f"standard input holds no {what}; one a line is expected")
    return lines


def resolve_ids(index: Index, texts: Sequence[str]) -> list[DocumentId]:
    """Ids as typed, made integers where the index has integer ids."""
    return [_resolve(index, text) for text in texts]


def _resolve(index: Index, text: str) -> DocumentId:
    if text in index:
        return text
    try:
        number = int(text)
    except ValueError:
        return text
    return number if -(2**63) <= number < 2**63 and number in index else text
