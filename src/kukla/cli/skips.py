"""What a reader left out, said once the work is done."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kukla.readers import Skipped

__all__ = ["report_skipped"]

SHOWN_SKIPS = 3


def report_skipped(skipped: Sequence[Skipped], *, verbose: bool) -> None:
    """How many files and rows were skipped and why: the first three, or all of them."""
    if not skipped:
        return
    shown = skipped if verbose else skipped[:SHOWN_SKIPS]
    more = "" if len(shown) == len(skipped) else ", among them (all with -v):"
    click.echo(f"skipped {len(skipped):,} files or rows{more or ':'}", err=True)
    for what in shown:
        click.echo(f"  {what}", err=True)
