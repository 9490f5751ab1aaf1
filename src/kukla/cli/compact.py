"""``kukla compact``: free the room of deleted documents."""

from __future__ import annotations

from pathlib import Path

import click

from kukla.cli.common import index_argument
from kukla.cost import format_bytes
from kukla.index import Index

__all__ = ["compact"]


@click.command(
    short_help="Free the room of deleted documents.",
    epilog="\b\nExamples:\n  kukla compact my.kukla\n  kukla delete my.kukla old#1 && kukla compact my.kukla",
)
@index_argument
def compact(index_path: Path) -> None:
    """Rewrite INDEX into one segment without deleted rows. Searches go on meanwhile."""
    with Index.open(index_path) as index:
        before = index.info()
        index.compact()
        after = index.info()
    click.echo(
        f"freed {before.deleted_rows:,} rows: {format_bytes(before.vector_bytes)} of vectors became "
        f"{format_bytes(after.vector_bytes)}"
    )
