"""``kukla delete``: remove documents by id."""

from __future__ import annotations

from pathlib import Path

import click

from kukla.cli.common import NOTHING_FOUND, index_argument, read_lines, resolve_ids
from kukla.index import Index

__all__ = ["delete"]


@click.command(
    short_help="Remove documents by id.",
    epilog="\b\nExamples:\n  kukla delete my.kukla notes.md#3 notes.md#4\n"
    "  kukla delete my.kukla - < ids.txt\n\nExits with 3 when none of the ids was there.",
)
@index_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def delete(index_path: Path, ids: tuple[str, ...]) -> None:
    """Remove the documents with these IDs from INDEX, at once and without asking.

    ``-`` reads ids from standard input, one a line. Their room is freed by ``kukla compact``.
    """
    texts = read_lines("ids") if ids == ("-",) else ids
    with Index.open(index_path) as index:
        wanted = list(dict.fromkeys(resolve_ids(index, texts)))
        found = index.delete(wanted)
    click.echo(f"deleted {found:,} of {len(wanted):,}")
    if not found:
        click.get_current_context().exit(NOTHING_FOUND)
