"""``kukla report``: everything that was measured, as one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import cast

import click
from click.core import ParameterSource

from kukla.cli.common import json_option, threads_option
from kukla.cli.output import Bar, print_json, print_styled
from kukla.cli.queries import read_queries
from kukla.cost import format_bytes
from kukla.errors import InputError
from kukla.evaluate.measures import Qrels
from kukla.index import Index
from kukla.readers import read_vectors
from kukla.readers.qrels import read_qrels
from kukla.report import (
    Asked,
    Report,
    charts_of,
    check_drawing,
    check_target,
    check_templates,
    draw_charts,
    render,
    report_index,
    report_vectors,
    write,
)
from kukla.report.notices import notices
from kukla.report.words import headline

__all__ = ["report"]


@click.command(
    short_help="Write one page: verdict, curves, frontier, the plan and what it saves.",
    epilog="\b\nExamples:\n  kukla report my.kukla\n"
    "  kukla report my.kukla --queries questions.jsonl --target 'recall@10>=0.95' --out my.html\n"
    "  kukla report my.kukla --queries q.jsonl --qrels qrels.tsv --png charts\n"
    "  kukla report vectors.npy --out vectors.html\n\n"
    "It needs Jinja, and the PNGs matplotlib: pip install 'kukla[report,plot]'.",
)
@click.argument("source", metavar="INDEX|FILE", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Texts or vectors of real queries. Without it documents are queries, which is said.",
)
@click.option(
    "--target",
    help="Calibrate INDEX to it first, and keep the result with INDEX, as kukla calibrate does. "
    "Default: the calibration that is kept already.",
)
@click.option("--qrels", metavar="FILE", type=click.Path(path_type=Path), help="Judgements, TREC or BEIR.")
@click.option(
    "--out",
    metavar="OUT.html",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page. An earlier report there is replaced.",
)
@click.option("--force", is_flag=True, help="Replace OUT.html even if it is no report.")
@click.option(
    "--png", metavar="FOLDER", type=click.Path(path_type=Path), help="Draw the charts as PNG into FOLDER."
)
@click.option(
    "-k",
    type=click.IntRange(1, 1000),
    help="Neighbours of the curves. Default: the calibration's, or 10.",
)
@click.option("--text-field", metavar="NAME", help="The field of the queries' texts.")
@click.option("--key", metavar="NAME", help="Which array, dataset, column or field of FILE.")
@click.option("--title", metavar="TEXT", help="What the page calls it. Default: the name of INDEX or FILE.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@threads_option
@json_option
@click.pass_context
def report(
    ctx: click.Context,
    source: Path,
    queries_file: Path | None,
    target: str | None,
    qrels: Path | None,
    out: Path,
    force: bool,
    png: Path | None,
    k: int | None,
    text_field: str | None,
    key: str | None,
    title: str | None,
    seed: int,
    threads: int,
    as_json: bool,
) -> None:
    """Write one self-contained HTML page about INDEX, or about a FILE of vectors.

    What is known is shown: the calibration that is kept with INDEX with its frontier and plan, what that plan
    saves, measured now, and whether the model is nested. What is not known is said, with the command for it.
    """
    check_templates()
    check_target(out, force=force)
    if png is not None:
        check_drawing()
        if png.exists() and not png.is_dir():
            raise InputError(f"--png {png}: is a file; name a folder")
    if qrels is not None and queries_file is None:
        raise InputError("--qrels is about queries: give --queries too")
    asked = Asked(
        source=str(source),
        queries=None if queries_file is None else str(queries_file),
        qrels=None if qrels is None else str(qrels),
        key=key,
        command=_typed(ctx),
    )
    with Bar(f"reporting on {source.name}") as bar:
        if source.is_dir() or source.suffix == ".kukla":
            if key is not None:
                raise InputError(f"--key is for files of vectors, got {source}")
            made = _of_index(
                source,
                queries_file,
                qrels,
                text_field,
                target=target,
                title=title,
                asked=asked,
                k=k,
                seed=seed,
                threads=threads,
                bar=bar,
            )
        else:
            if target is not None or qrels is not None:
                raise InputError(f"--target and --qrels are for an index; {source} is a file of vectors")
            vectors = read_vectors(source, key=key)
            queries = None if queries_file is None else read_vectors(queries_file)
            made = report_vectors(
                vectors,
                queries,
                title=title or source.name,
                asked=asked,
                k=10 if k is None else k,
                seed=seed,
                progress=bar,
            )
    size = write(render(made), out)
    pictures = [] if png is None else draw_charts(charts_of(made).values(), png, title=made.title)
    _say(made, out, size, pictures, as_json=as_json)


def _of_index(
    path: Path,
    queries_file: Path | None,
    qrels_file: Path | None,
    text_field: str | None,
    *,
    target: str | None,
    title: str | None,
    asked: Asked,
    k: int | None,
    seed: int,
    threads: int,
    bar: Bar,
) -> Report:
    queries, ids = (None, None) if queries_file is None else read_queries(queries_file, text_field=text_field)
    if qrels_file is not None and ids is None:
        raise InputError("--qrels names queries by id: give --queries with a field id or _id")
    judgements = None if qrels_file is None else cast("Qrels", read_qrels(qrels_file))
    with Index.open(path, read_only=target is None) as index:
        return report_index(
            index,
            queries,
            target=target,
            qrels=judgements,
            query_ids=ids,
            population=None if queries_file is None else queries_file.name,
            title=title,
            asked=asked,
            k=k,
            seed=seed,
            threads=threads,
            progress=bar,
        )


def _typed(ctx: click.Context) -> str:
    """The command line again, without what only says how to print."""
    words = []
    for param in ctx.command.params:
        name = param.name or ""
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in ("as_json", "force"):
            continue
        value = str(ctx.params[name])
        words += [value] if isinstance(param, click.Argument) else [param.opts[0], value]
    return f"kukla report {shlex.join(words)}"


def _say(made: Report, out: Path, size: int, pictures: list[Path], *, as_json: bool) -> None:
    warned = notices(made)
    if as_json:
        used = None if made.index is None else made.index.used
        print_json(
            {
                "out": str(out),
                "bytes": size,
                "png": list(map(str, pictures)),
                "headline": headline(made),
                "verdict": None if made.profile is None else str(made.profile.verdict),
                "plan": None if used is None else str(used.plan),
                "notices": [f"{notice.title}: {notice.text}" for notice in warned],
            }
        )
        return
    print_styled(headline(made), "bold")
    for notice in warned:
        click.echo(f"  - {notice.title}: {notice.text}" + (f" {notice.command}" if notice.command else ""))
    drawn = f"; {len(pictures)} charts in {pictures[0].parent}" if pictures else ""
    click.echo(f"\n{out}: {format_bytes(size)}{drawn}")
