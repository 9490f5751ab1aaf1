"""``kukla truncate``: a file of vectors to a smaller one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from kukla.checks import check_dim, check_vectors, normalise
from kukla.cli.output import Bar
from kukla.cli.writers import open_writer
from kukla.cost import format_bytes
from kukla.errors import InputError, ReadError
from kukla.precision import VECTOR_PRECISIONS, Precision, binary_to_sentence_transformers, quantize
from kukla.readers import read_vectors

__all__ = ["truncate"]

BATCH_ROWS = 8192

Layout = Literal["kukla", "sentence-transformers"]


@click.command(
    short_help="Cut a file of vectors to shorter, smaller ones.",
    epilog="\b\nExamples:\n  kukla truncate vectors.npy small.npy --dims 256\n"
    "  kukla truncate vectors.parquet small.npz --dims 256 --precision int8\n"
    "  kukla truncate train.hdf5 bits.npy --key train --dims 512 --precision binary",
)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--dims", type=int, required=True, metavar="N", help="The prefix length.")
@click.option(
    "--precision",
    type=click.Choice([precision.value for precision in VECTOR_PRECISIONS]),
    default="float32",
    show_default=True,
)
@click.option("--key", metavar="NAME", help="Which array, dataset, column or field of IN.")
@click.option(
    "--layout",
    type=click.Choice(["kukla", "sentence-transformers"]),
    default="kukla",
    show_default=True,
    help="Of binary codes: packed uint8, or sentence-transformers' int8 (packed - 128).",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def truncate(
    source: Path, target: Path, dims: int, precision: str, key: str | None, layout: Layout, force: bool
) -> None:
    """Cut the vectors of IN to their first N dims, renormalise, quantise, and write OUT.

    IN is any file of vectors. OUT is .npy or .npz, for float32 also .fvecs or .fbin; int8 is .npz with
    "codes" and one "scales" a row, binary is .npy or .npz with packed sign bits. An .npz keeps the ids of IN.
    Files larger than memory are fine.
    """
    if layout != "kukla" and precision != Precision.BINARY:
        raise InputError(f"--layout {layout} is for --precision binary, got {precision}")
    if not force and target.exists():
        raise InputError(f"there is something at {target} already; --force replaces it")
    file = read_vectors(source, key=key)
    count, width = file.shape
    check_dim(dims, what="--dims", most=width)
    if not count:
        raise ReadError(f"{source}: holds no vectors")
    wanted = Precision.parse(precision)
    signed = layout != "kukla"
    done = 0
    with (
        Bar(f"writing {target}") as bar,
        open_writer(target, wanted, count=count, dim=dims, signed=signed) as writer,
    ):
        for batch in file.batches(BATCH_ROWS):
            # Checked over the whole width: a NaN beyond the prefix is a broken file as well.
            checked = check_vectors(batch, what=str(source), first_row=done)
            quantized = quantize(normalise(checked[:, :dims], first_row=done), wanted)
            codes = quantized.codes
            writer.write(binary_to_sentence_transformers(codes) if signed else codes, quantized.scales)
            done += len(batch)
            bar(done, count)
        writer.finish(list(file.ids()) if file.has_ids else None)
    click.echo(
        f"{target}: {count:,} vectors, {width} -> {dims} dims, {precision}; "
        f"{format_bytes(source.stat().st_size)} -> {format_bytes(target.stat().st_size)}"
    )
