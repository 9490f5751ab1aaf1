"""``kukla profile``: is this model nested?"""

from __future__ import annotations

from pathlib import Path

import click

from kukla.cli.common import json_option, split_numbers
from kukla.cli.output import Bar, print_json, print_styled, print_table
from kukla.errors import InputError, ReadError
from kukla.profile import Profile, draw_profile
from kukla.profile import profile as measure
from kukla.readers import VectorFile, read_vectors

__all__ = ["profile"]


@click.command(
    short_help="Measure whether prefixes of vectors are embeddings too.",
    epilog="\b\nExamples:\n  kukla profile vectors.npy\n"
    "  kukla profile vectors.npy --queries queries.npy -k 10 --dims 64,128,256\n"
    "  kukla profile sets.hdf5 --key train --queries sets.hdf5 --queries-key test --png profile.png\n\n"
    "The figure needs matplotlib: pip install 'kukla[plot]'.",
)
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Vectors of real queries, at least 10. Default: held-out vectors of FILE.",
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
    png: Path | None,
    as_json: bool,
) -> None:
    """Is the model behind these vectors nested? Measured, never assumed.

    FILE is any file of vectors. Prefixes are compared with as many random coordinates, with the suffix, PCA,
    random projection and sign codes, by recall@k against exact search with full vectors. The verdict is one
    of: nested, weakly nested, not nested, not embeddings at all; "leaning" when the sample is too small to be
    sure.
    """
    if png is not None and not png.parent.is_dir():
        raise InputError(f"--png {png}: there is no folder {png.parent}")  # before the work, not after it
    if queries_key is not None and queries_file is None:
        raise InputError("--queries-key needs --queries")
    vectors = _open(source, key)
    queries = None if queries_file is None else _open(queries_file, queries_key)
    with Bar(f"profiling {source.name}") as bar:
        measured = measure(vectors, queries, dims=dims, k=k, seed=seed, sample=sample, progress=bar)
    if png is not None:
        draw_profile(measured, png, what=source.name)
    if as_json:
        print_json(measured.to_dict())
        return
    _print(measured)
    if png is not None:
        click.echo(f"\nFigure: {png}")


def _open(path: Path, key: str | None) -> VectorFile:
    if path.is_dir() and path.suffix == ".kukla":
        raise ReadError(f"{path}: is an index; profile the file of vectors that it was made from")
    return read_vectors(path, key=key)


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
