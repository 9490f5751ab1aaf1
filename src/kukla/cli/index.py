"""``kukla index``: files to an index."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from kukla.cli.common import split_names, split_numbers
from kukla.cli.models import open_with_model
from kukla.cli.output import Bar
from kukla.cli.skips import report_skipped
from kukla.cli.sources import Fields, Source, open_source
from kukla.cost import format_bytes
from kukla.embed import DEFAULT_MODEL, load_embedder
from kukla.errors import IndexExistsError, InputError
from kukla.index import Index
from kukla.info import IndexInfo
from kukla.known_models import find_known_model
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.projection import Projection
from kukla.readers import Skipped
from kukla.settings import Metric
from kukla.space import Space
from kukla.storage.files import CATALOG_NAME

__all__ = ["index"]

DEFAULT_PRECISIONS = ("binary", "int8", "float32")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is settled when an index is made; ``None`` where the user said nothing."""

    model: str | None
    dims: tuple[int, ...] | None
    precisions: tuple[str, ...] | None
    metric: Metric | None
    plan: str | None
    projection: Path | None

    def check_same(self, path: Path, info: IndexInfo) -> None:
        """Raise ``InputError`` when the index at ``path`` was made with other choices than these."""
        given: dict[str, tuple[object, object]] = {
            # st:FOLDER and the like name no space: the model is loaded and its space compared instead.
            "--model": (None if ":" in (self.model or "") else self.model, info.space.model),
            "--dims": (self.dims, info.nesting),
            "--precisions": (self.precisions and _sorted(self.precisions), info.precisions),
            "--metric": (self.metric, info.metric),
            "--plan": (self.plan and str(Plan.parse(self.plan)), info.plan),
        }
        if self.projection is not None:
            raise InputError(
                f"--projection is settled when an index is made: {path} keeps its own ({info.projection})"
            )
        for option, (wanted, found) in given.items():
            if wanted is not None and wanted != found:
                raise InputError(
                    f"{option} is settled when an index is made: {path} has {_shown(found)}, "
                    f"not {_shown(wanted)}"
                )


def _sorted(precisions: tuple[str, ...]) -> tuple[str, ...]:
    kept = sorted({Precision.parse(name) for name in precisions}, key=lambda precision: precision.bits)
    return tuple(precision.value for precision in kept)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@click.command(
    short_help="Make an index of texts, tables or vectors.",
    epilog="\b\nExamples:\n  kukla index docs/ notes.md --to my.kukla\n"
    "  kukla index products.csv --text-field description --id-field sku --to products.kukla\n"
    "  kukla index vectors.npy --to vectors.kukla --dims 64,256,1536 --space text-embedding-3-small\n"
    "  kukla index docs/ --to my.kukla --upsert",
)
@click.argument("paths", metavar="PATHS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to", "to", metavar="INDEX", required=True, type=click.Path(path_type=Path), help="The index."
)
@click.option("--upsert", is_flag=True, help="Add to an index that exists; same ids are replaced.")
@click.option("--vectors", is_flag=True, help="Tables hold vectors: take those and embed nothing.")
@click.option("--text-field", metavar="NAME", help="The field of a table with the text.")
@click.option("--id-field", metavar="NAME", help="The field of a table with the id.")
@click.option("--vector-field", metavar="NAME", help="The field of a table with vectors; implies --vectors.")
@click.option("--key", metavar="NAME", help="Which array of an npz or HDF5 file.")
@click.option(
    "--model",
    metavar="NAME",
    help="The model that embeds texts: a built-in one, static:FOLDER, st:FOLDER, st:ORGANISATION/MODEL, "
    f"openai:MODEL.  [default: {DEFAULT_MODEL}]",
)
@click.option(
    "--space",
    metavar="NAME",
    help="Who made the vectors, e.g. text-embedding-3-small; vectors of another space are refused then.",
)
@click.option(
    "--dims",
    metavar="N,N,...",
    callback=split_numbers,
    help="Prefix lengths that plans can use, up to the full one. Default: what the model was trained for.",
)
@click.option(
    "--precisions",
    metavar="NAME,...",
    callback=split_names,
    help=f"What is kept of a vector.  [default: {','.join(DEFAULT_PRECISIONS)}]",
)
@click.option("--metric", type=click.Choice(["cosine", "ip"]), help="[default: cosine]")
@click.option(
    "--plan", metavar="PLAN", help="What searches run by default, e.g. '256:binary@20x > 512:float32'."
)
@click.option(
    "--projection",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What vectors pass through first: a file of 'kukla fit', or a matrix (.npy, .safetensors).",
)
@click.option("-v", "--verbose", is_flag=True, help="List every file that was skipped.")
def index(
    paths: tuple[Path, ...],
    to: Path,
    upsert: bool,
    vectors: bool,
    text_field: str | None,
    id_field: str | None,
    vector_field: str | None,
    key: str | None,
    model: str | None,
    space: str | None,
    dims: tuple[int, ...] | None,
    precisions: tuple[str, ...] | None,
    metric: Metric | None,
    plan: str | None,
    projection: Path | None,
    verbose: bool,
) -> None:
    """Index PATHS: folders and files of texts, tables, or vectors.

    Texts (.txt .md .rst .html, docstrings of .py) are cut into passages and embedded, and so are the rows of
    tables (.jsonl .csv .tsv .parquet, named themselves). Vectors (.npy .npz .fvecs .fbin .h5 .hdf5, or tables
    with --vectors) are taken as they are.

    --upsert replaces a document by its id. Passages that a changed file no longer has stay: delete them, or
    index afresh. Vectors from files without ids always get new ids. When the first run of an index fails,
    nothing is left of it.
    """
    choices = Choices(model, dims, precisions, metric, plan, projection)
    exists = (to / CATALOG_NAME).exists()
    if exists and not upsert:
        raise IndexExistsError(f"there is an index at {to} already; add --upsert to add to it")
    skipped: list[Skipped] = []
    started = time.perf_counter()
    fields = Fields(text_field, id_field, vector_field, key)
    with Bar(f"indexing into {to}") as bar:
        source = open_source(paths, fields, vectors=vectors, on_skip=skipped.append, progress=bar)
        made_by = _space(space, source)
        with _index_for(source, to, choices, made_by, exists=exists) as opened:
            write = opened.upsert if upsert else opened.add
            count = write(source.items, ids=source.ids, space=made_by)
            info = opened.info()
    seconds = time.perf_counter() - started
    report_skipped(skipped, verbose=verbose)
    click.echo(
        f"{to}: {count:,} documents in {seconds:.1f} s ({count / seconds:,.0f} a second), "
        f"{format_bytes(info.vector_bytes)} of vectors, {format_bytes(info.catalog_bytes)} of texts"
    )


@contextmanager
def _index_for(
    source: Source, to: Path, choices: Choices, made_by: Space | None, *, exists: bool
) -> Iterator[Index]:
    """The index to add to; a new one disappears when adding fails."""
    if exists:
        if choices.model is not None and source.dim is not None:
            raise InputError("--model is for texts, but these are vectors")
        model = choices.model if ":" in (choices.model or "") else None
        with open_with_model(to, model, read_only=False) as opened:
            choices.check_same(to, opened.info())
            yield opened
        return
    folder_was_there = to.exists()
    created = _create(source, to, choices, made_by)
    try:
        yield created
    except BaseException:  # an interruption as well: half an index would block the next attempt
        created.close()
        shutil.rmtree(to, ignore_errors=True)
        if folder_was_there:
            to.mkdir(exist_ok=True)
        raise
    created.close()


def _space(name: str | None, source: Source) -> Space | None:
    if name is None:
        return source.space
    if source.dim is None:
        raise InputError("--space is for vectors; texts are embedded, choose the model with --model")
    given = find_known_model(name).space(source.dim)
    if source.space is not None:
        source.space.check_same(given, doing="--space, beside what .space.json says")
    return given


def _create(source: Source, to: Path, choices: Choices, made_by: Space | None) -> Index:
    if source.dim is not None and choices.model is not None:
        raise InputError("--model is for texts, but these are vectors")
    embedder = load_embedder(choices.model or DEFAULT_MODEL) if source.dim is None else None
    return Index.create(
        to,
        dim=source.dim,
        space=made_by,
        embedder=embedder,
        metric=choices.metric or "cosine",
        nesting=choices.dims,
        precisions=choices.precisions or DEFAULT_PRECISIONS,
        plan=choices.plan,
        projection=None if choices.projection is None else Projection.load(choices.projection),
    )
