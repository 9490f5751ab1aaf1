"""The command ``kukla``: one module for each of its commands."""

from __future__ import annotations

import io
import os
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from kukla.cli.calibrate import calibrate
from kukla.cli.common import CommandGroup
from kukla.cli.compact import compact
from kukla.cli.delete import delete
from kukla.cli.demo import demo
from kukla.cli.distill import distill
from kukla.cli.embed import embed
from kukla.cli.eval import evaluate
from kukla.cli.explain import explain
from kukla.cli.fit import fit
from kukla.cli.get import get
from kukla.cli.index import index
from kukla.cli.info import info
from kukla.cli.partition import partition
from kukla.cli.profile import profile
from kukla.cli.report import report
from kukla.cli.search import search
from kukla.cli.train import train
from kukla.cli.truncate import truncate

__all__ = ["cli", "main"]


def _version() -> str:
    try:
        return version("kukla")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 an error (one line on stderr), 2 a wrong command line, 3 nothing found "
    "(search, delete), 130 interrupted. KUKLA_DEBUG=1 shows where an error comes from.",
)
@click.version_option(_version(), prog_name="kukla")
def cli() -> None:
    """Kukla: Matryoshka embeddings made safe and fast. One stored vector, every size."""


for command in (
    index, embed, search, info, get, delete, compact, partition, explain, profile, fit, calibrate, evaluate,
    report, train, distill, truncate, demo,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command; the entry point of the package."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode is no reason to fail
    warnings.showwarning = _show_warning
    try:
        cli(prog_name="kukla")
    except OSError as error:  # click's own output of help and usage: disk full
        if os.environ.get("KUKLA_DEBUG"):
            raise
        click.echo(f"error: {error.strerror or error}", err=True)
        sys.exit(1)


def _open_missing_streams() -> None:
    """Python sets a standard stream that was closed (``<&-``) to None; commands may rely on all three."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - stays open


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"warning: {message}", err=True)
