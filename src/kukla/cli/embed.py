"""``kukla embed``: texts to a file of vectors or into an index, with any model."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, cast

import click

from kukla.cli.models import base_url_option
from kukla.cli.output import Bar
from kukla.cli.skips import report_skipped
from kukla.cli.sources import Fields, open_source
from kukla.document import Document
from kukla.embed import DEFAULT_MODEL, Embedder, load_embedder
from kukla.embed.to_file import FILE_SUFFIXES, Report, Written, embed_to_file
from kukla.embed.to_index import embed_to_index
from kukla.errors import InputError
from kukla.index import Index
from kukla.readers import Skipped
from kukla.storage.files import CATALOG_NAME

__all__ = ["embed"]

INDEX_SUFFIX = ".kukla"


class SpeedBar(Bar):
    """A bar that also says how many texts a second were embedded."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._plain = what

    def __enter__(self) -> Self:
        return self

    def embedded(self, texts: int) -> None:
        """Show that ``texts`` were embedded by this run."""
        seconds = max(1e-9, time.perf_counter() - self._started)
        self._what = f"{self._plain}, {texts / seconds:,.0f} texts/s"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=self._what)


@click.command(
    short_help="Embed texts with any model, to a file or into an index.",
    epilog="\b\nExamples:\n  kukla embed docs/ --to docs.npy\n"
    "  kukla embed corpus.jsonl --to corpus.parquet --model st:models/mine --dims 256 --precision float16\n"
    "  kukla embed corpus.jsonl --to corpus.kukla --model openai:text-embedding-3-small\n"
    "  kukla embed questions.jsonl --to questions.npy --queries --model st:models/mine\n\n"
    "A run that was killed goes on when the same command is given again.",
)
@click.argument("paths", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "to",
    metavar="OUT",
    required=True,
    type=click.Path(path_type=Path),
    help="A file (.npy, .parquet), or an index (.kukla, or one that exists).",
)
@click.option(
    "--model",
    metavar="NAME",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Or static:FOLDER, st:FOLDER, st:ORGANISATION/MODEL, openai:MODEL (key in $OPENAI_API_KEY).",
)
@base_url_option
@click.option("--dims", type=click.IntRange(min=1), metavar="N", help="Cut to N dims, renormalised.")
@click.option("--precision", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Texts that the model takes at once.  [default: the model's: 1024, 32 for st:, 128 for openai:]",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    metavar="N",
    help="Texts that are sorted by length and written together; what a kill can cost.  [default: 32 batches]",
)
@click.option("--query-prompt", metavar="TEXT", help="Put before queries, instead of the model's own.")
@click.option("--document-prompt", metavar="TEXT", help="Put before documents, instead of the model's own.")
@click.option("--queries", is_flag=True, help="Embed as queries, not as documents.")
@click.option("--text-field", metavar="NAME", help="The field of a table with the text.")
@click.option("--id-field", metavar="NAME", help="The field of a table with the id.")
@click.option("--force", is_flag=True, help="Replace OUT if it is a file that exists.")
@click.option("--restart", is_flag=True, help="Begin again instead of going on with a run that was killed.")
@click.option("-v", "--verbose", is_flag=True, help="List every file that was skipped.")
def embed(
    paths: tuple[Path, ...],
    to: Path,
    model: str,
    base_url: str | None,
    dims: int | None,
    precision: str,
    batch_size: int | None,
    window: int | None,
    query_prompt: str | None,
    document_prompt: str | None,
    queries: bool,
    text_field: str | None,
    id_field: str | None,
    force: bool,
    restart: bool,
    verbose: bool,
) -> None:
    """Embed the texts of SOURCE, whatever 'kukla index' reads, and write the vectors to OUT.

    A .npy has its ids beside it in .ids.jsonl, a .parquet has columns id, text and vector; both have
    .space.json beside them, which says what made the vectors: 'kukla index OUT' finds all of it. Vectors are
    float, of length 1. OUT appears when it is whole; until then there is OUT.partial.

    An index keeps texts and metadata too. Documents that it has already are not embedded again.
    """
    into_index = (to / CATALOG_NAME).exists() or to.suffix.lower() == INDEX_SUFFIX
    _check_options(to, into_index=into_index, queries=queries, force=force, restart=restart)
    skipped: list[Skipped] = []
    started = time.perf_counter()
    with SpeedBar(f"embedding to {to}") as bar:
        source = open_source(
            paths, Fields(text_field, id_field), vectors=False, on_skip=skipped.append, progress=bar
        )
        if source.dim is not None:
            raise InputError(f"{paths[0]} holds vectors: there is nothing to embed, 'kukla index' takes them")
        documents = cast("Iterable[Document]", source.items)
        sizes: dict[str, Any] = {"batch_size": batch_size, "window_rows": window}
        loaded = time.perf_counter()
        embedder = load_embedder(
            model,
            truncate_dim=dims,
            base_url=base_url,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
        )
        started += time.perf_counter() - loaded  # loading a model is no part of its speed
        if into_index:
            written = _into_index(documents, to, embedder, precision, sizes, bar.embedded)
        else:
            written = embed_to_file(
                documents,
                to,
                embedder,
                queries=queries,
                precision=precision,
                force=force,
                restart=restart,
                report=bar.embedded,
                **sizes,
            )
    seconds = time.perf_counter() - started
    report_skipped(skipped, verbose=verbose)
    _warn_untrained(model, embedder, dims)
    kept = written.rows - written.embedded
    click.echo(
        f"{to}: {written.rows:,} vectors of {embedder.space}, {precision}; {written.embedded:,} texts in "
        f"{seconds:.1f} s ({written.embedded / seconds:,.0f} texts/s)"
        + (f", {kept:,} were there already" if kept else "")
    )


def _check_options(to: Path, *, into_index: bool, queries: bool, force: bool, restart: bool) -> None:
    if not into_index:
        if to.suffix.lower() not in FILE_SUFFIXES:
            allowed = ", ".join((*FILE_SUFFIXES, f"{INDEX_SUFFIX} or an index that exists"))
            raise InputError(f"{to}: suffix {to.suffix!r}; allowed: {allowed}")
        return
    for option, given in (("--queries", queries), ("--force", force), ("--restart", restart)):
        if given:
            raise InputError(f"{option} is for files of vectors, but {to} is an index")


def _warn_untrained(model: str, embedder: Embedder, dims: int | None) -> None:
    """What the makers of a known model say of a prefix that is not one of theirs."""
    trained = embedder.space.trained_dims
    if dims is None or dims in trained:
        return
    says = f"was trained for {', '.join(map(str, trained))} dims" if trained else "states no trained dims"
    click.echo(f"warning: {model} {says} up to {dims}: measure its prefixes with kukla profile", err=True)


def _into_index(
    documents: Iterable[Document],
    to: Path,
    embedder: Embedder,
    precision: str,
    sizes: dict[str, Any],
    report: Report,
) -> Written:
    if not (to / CATALOG_NAME).exists():
        Index.create(to, embedder=embedder, precisions=("binary", "int8", precision)).close()
    with Index.open(to, embedder=embedder) as index:
        if precision not in index.info().precisions:
            raise InputError(
                f"--precision is settled when an index is made: {to} has "
                f"{','.join(index.info().precisions)}, not {precision}"
            )
        return embed_to_index(documents, index, embedder, report=report, **sizes)
