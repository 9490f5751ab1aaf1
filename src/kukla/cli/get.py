"""``kukla get``: documents by id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kukla.cli.common import index_argument, json_option, read_lines, resolve_ids
from kukla.cli.output import print_json, print_styled, printable
from kukla.document import Document
from kukla.index import Index

__all__ = ["get"]


@click.command(
    short_help="Print documents and vectors by id.",
    epilog="\b\nExamples:\n  kukla get my.kukla notes.md#3\n"
    "  kukla get my.kukla csv.reader --dims 64 --json\n  kukla get my.kukla - < ids.txt\n\n"
    "An id that is not there is an error (exit status 1).",
)
@index_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--vector", "with_vector", is_flag=True, help="Print the vector as well.")
@click.option(
    "--dims",
    type=click.IntRange(min=1),
    help="Print the vector's prefix of this length, renormalised; implies --vector.",
)
@json_option
def get(index_path: Path, ids: tuple[str, ...], with_vector: bool, dims: int | None, as_json: bool) -> None:
    """Print documents of INDEX: text, metadata and, when asked for, the vector.

    ``-`` reads ids from standard input, one a line. JSON is one object a line.
    """
    texts = read_lines("ids") if ids == ("-",) else ids
    with Index.open(index_path, read_only=True) as index:
        with_vector = with_vector or dims is not None
        documents = index.get(resolve_ids(index, texts), dim=dims, vectors=with_vector)
    for number, document in enumerate(documents):
        if as_json:
            print_json(_json(document, with_vector))
            continue
        if number:
            click.echo()
        _print(document, with_vector)


def _json(document: Document, with_vector: bool) -> dict[str, Any]:
    value = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
    return value | ({"vector": _numbers(document)} if with_vector else {})


def _numbers(document: Document) -> list[float]:
    # The shortest text that is the same float32, not the 17 digits of its float64 twin.
    return [] if document.vector is None else [float(str(value)) for value in document.vector]


def _print(document: Document, with_vector: bool) -> None:
    print_styled(str(document.id), "bold")
    for name, value in document.metadata.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        print_styled(f"{name}: {shown}", "dim")
    if document.text:
        click.echo(printable(document.text))
    if with_vector:
        click.echo(json.dumps(_numbers(document)))
