"""``kukla profile``: is this model nested?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from kukla.cli.common import json_option, split_numbers
from kukla.cli.output import Bar, print_json, print_styled, print_table
from kukla.cli.queries import read_queries
from kukla.errors import InputError
from kukla.index import Index
from kukla.profile import Profile, draw_profile
from kukla.profile import profile as measure
from kukla.projection import Identity
from kukla.readers import read_vectors

__all__ = ["profile"]


@click.command(
    short_help="Measure whether prefixes of vectors are embeddings too.",
    epilog="\b\nExamples:\n  kukla profile vectors.npy\n"
    "  kukla profile vectors.npy --queries queries.npy -k 10 --dims 64,128,256\n"
    "  kukla profile sets.hdf5 --key train --queries sets.hdf5 --queries-key test --png profile.png\n"
    "  kukla profile my.kukla --queries questions.jsonl\n\n"
    "The figure needs matplotlib: pip install 'kukla[plot]'.",
)
@click.argument("source", metavar="FILE|INDEX", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Vectors of real queries, at least 10, or for an index texts. Default: held-out vectors of FILE.",
)
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Neighbours to find.")
@click.option(
    "--dims",
    callback=split_numbers,
    metavar="N,N,...",
    help="Prefix lengths to show. Default: powers of two from 32. The verdict does not depend on them.",
)
@click.option(
    "--sample",
    type=click.IntRange(20),
    default=10_000,
    show_default=True,
    help="The most vectors of FILE to look at, drawn at random.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option("--key", metavar="NAME", help="Which array, dataset, column or field of FILE.")
@click.option("--queries-key", metavar="NAME", help="The same for the file of queries.")
@click.option("--text-field", metavar="NAME", help="The field of the queries' texts, for an index.")
@click.option("--png", metavar="OUT.png", type=click.Path(path_type=Path), help="Draw the curves.")
@json_option
def profile(
    source: Path,
    queries_file: Path | None,
    k: int,
    dims: tuple[int, ...] | None,
    sample: int,
    seed: int,
    key: str | None,
    queries_key: str | None,
    text_field: str | None,
    png: Path | None,
    as_json: bool,
) -> None:
    """Is the model behind these vectors nested? Measured, never assumed.

    FILE is any file of vectors, or an index. Prefixes are compared with as many random coordinates, with the
    suffix, PCA, random projection and sign codes, by recall@k against exact search with full vectors. The
    verdict is one of: nested, weakly nested, not nested, not embeddings at all; "leaning" when the sample is
    too small to be sure. Of an index with a projection: the vectors as it stores them, beside what they were
    before.
    """
    if png is not None and not png.parent.is_dir():
        raise InputError(f"--png {png}: there is no folder {png.parent}")  # before the work, not after it
    before = None
    if source.is_dir():
        if key is not None or queries_key is not None:
            raise InputError("--key and --queries-key are about files; an index holds one set of vectors")
        options = {"dims": dims, "k": k, "seed": seed, "sample": sample}
        measured, before = _of_index(source, queries_file, text_field, options)
    else:
        if queries_key is not None and queries_file is None:
            raise InputError("--queries-key needs --queries")
        if text_field is not None:
            raise InputError("--text-field needs an index: it embeds the texts")
        vectors = read_vectors(source, key=key)
        queries = None if queries_file is None else read_vectors(queries_file, key=queries_key)
        with Bar(f"profiling {source.name}") as bar:
            measured = measure(vectors, queries, dims=dims, k=k, seed=seed, sample=sample, progress=bar)
    if png is not None:
        draw_profile(measured, png, what=source.name)
    if as_json:
        data = measured.to_dict()
        print_json(data if before is None else data | {"before_projection": before.to_dict()})
        return
    _print(measured)
    if before is not None:
        _print_before(measured, before)
    if png is not None:
        click.echo(f"\nFigure: {png}")


def _of_index(
    path: Path, queries_file: Path | None, text_field: str | None, options: dict[str, Any]
) -> tuple[Profile, Profile | None]:
    """Of the vectors as stored; and as they were, where an orthonormal projection came between."""
    if text_field is not None and queries_file is None:
        raise InputError("--text-field needs --queries")
    queries = None if queries_file is None else read_queries(queries_file, text_field=text_field)[0]
    with Index.open(path, read_only=True) as index:
        if queries is not None and not isinstance(queries, np.ndarray):
            queries = index.embedder.encode_queries(queries)  # once for both
        with Bar(f"profiling {path.name}") as bar:
            measured = measure(index, queries, progress=bar, **options)
        projection = index._opened.settings.projection
        if type(projection) is Identity or not projection.keeps_scores:
            return measured, None
        with Bar("before its projection") as bar:
            return measured, measure(index, queries, progress=bar, raw=True, **options)


def _print_before(measured: Profile, before: Profile) -> None:
    best = f"best {measured.shortlist}"
    header = ("dim", "prefix as stored", "before", f"{best} as stored", f"{best} before")
    rows = [
        (f"{now.dim}", *map(str, (now.prefix, then.prefix, now.shortlisted, then.shortlisted)))
        for now, then in zip(measured.rows, before.rows, strict=True)
    ]
    print_styled(f"\nbefore the projection: {before.verdict}", "bold")
    print_table(header, rows, left=0)


def _print(measured: Profile) -> None:
    print_styled(f"verdict: {measured.verdict}", "bold")
    for reason in measured.verdict.reasons:
        click.echo(f"  - {reason}")
    click.echo(f"\n{measured.measured}")
    for header, rows in measured.tables():
        click.echo()
        print_table(header, rows, left=0)
    click.echo()
    for line in measured.footnotes:
        print_styled(line, "dim")
    print_styled("\nwhat to do", "bold")
    for line in measured.advice:
        click.echo(f"  - {line}")
