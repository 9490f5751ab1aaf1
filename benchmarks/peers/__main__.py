"""The peers benchmark: how fast, at what recall, in how much memory; ours beside every peer pip can install.

    python -m benchmarks.peers make wikipedia OUT --data DATA
    python -m benchmarks.peers run RESULTS SET... [--quick] [--rows N] [--engine NAME]... [--searches 6]
    python -m benchmarks.peers report RESULTS [--figure pareto.png]

A run takes hours (--quick: about one for a set of a million, estimated) and goes on where it was stopped.
benchmarks/README.md says what is measured, and how.
"""

from __future__ import annotations

import math
from pathlib import Path

import click

from benchmarks.peers import engines
from benchmarks.peers.measure import Effort
from benchmarks.peers.results import Results

DATA = click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
OUT = click.argument("out", type=click.Path(path_type=Path))


@click.group(help=__doc__)
def main() -> None:
    """The three commands."""


@main.group()
def make() -> None:
    """Make a workload of real text."""


@make.command()
@OUT
@DATA
@click.option("--count", default=1_000_000, show_default=True)
@click.option("--model", default="kukla-static-en-v2", show_default=True, help="a name, or a model's folder")
@click.option("--dims", type=int, help="only the first; default: all")
@click.option("--overlap", is_flag=True, help="windows that overlap: more than four million")
def wikipedia(out: Path, data: Path, count: int, model: str, dims: int | None, overlap: bool) -> None:
    """Windows of Wikipedia by a static model; real questions as queries. Minutes."""
    from benchmarks.peers.make_sets import make_wikipedia

    make_wikipedia(out, data, count, model, click.echo, dims=dims, overlap=overlap)


@make.command()
@OUT
@DATA
@click.option("--count", default=100_000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def minilm(out: Path, data: Path, count: int, threads: int) -> None:
    """The same by all-MiniLM-L6-v2 (needs the recipe extra). Hours; goes on where it was stopped."""
    from benchmarks.peers.make_sets import make_minilm

    make_minilm(out, data, count, threads, click.echo)


@main.command()
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.argument(
    "sets", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--rows", type=int, multiple=True, help="only the first rows of each set; several: several sizes"
)
@click.option("--engine", "names", multiple=True, type=click.Choice(engines.NAMES), help="default: all")
@click.option("--builds", type=int, help="at most so many builds an engine, the recommended one first")
@click.option("--searches", type=int, help="at most so many searches a build, spread over its grid")
@click.option(
    "--quick", is_flag=True, help="the one or two builds known best of each engine, all their searches"
)
@click.option("--repeats", type=int, help="default: 5; 3 with --quick")
@click.option("--seconds", type=float, help="of one pass over the queries; default: 2; 1 with --quick")
@click.option("--build-threads", type=int, help="default: 1; 2 with --quick")
@click.option(
    "--limit-minutes", default=180.0, show_default=True, help="a build or a search that takes longer fails"
)
@click.option(
    "--engine-minutes", type=float, help="of an engine on a set, in all; default: no limit; 20 with --quick"
)
@click.option("--scratch", type=click.Path(path_type=Path), help="indexes go here; default: in RESULTS")
@click.option("--retry", is_flag=True, help="measure again what has failed")
@click.option("--keep", is_flag=True, help="keep the indexes")
def run(
    results: Path,
    sets: tuple[Path, ...],
    rows: tuple[int, ...],
    names: tuple[str, ...],
    builds: int | None,
    searches: int | None,
    quick: bool,
    repeats: int | None,
    seconds: float | None,
    build_threads: int | None,
    limit_minutes: float,
    engine_minutes: float | None,
    scratch: Path | None,
    retry: bool,
    keep: bool,
) -> None:
    """Measure engines on workloads (folders with base.npy and queries.npy); append to RESULTS."""
    from benchmarks.peers.run import Options
    from benchmarks.peers.run import run as run_all
    from benchmarks.peers.workloads import Workload

    workloads = [Workload.open(folder, count) for folder in sets for count in rows or (None,)]
    options = Options(
        scratch=scratch or results / "indexes",
        names=names or engines.NAMES,
        builds=builds,
        searches=searches,
        build_threads=build_threads or (2 if quick else 1),
        limit_seconds=60 * limit_minutes,
        engine_seconds=60 * (engine_minutes or (20 if quick else math.inf)),
        quick=quick,
        effort=Effort(repeats or (3 if quick else 5), seconds or (1.0 if quick else 2.0)),
        retry=retry,
        keep=keep,
    )
    run_all(Results(results), workloads, options, click.echo)


@main.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--figure", type=click.Path(path_type=Path), help="draw recall against queries per second")
@click.option("--grid", is_flag=True, help="print every point that was measured")
def report(results: Path, figure: Path | None, grid: bool) -> None:
    """Print the tables of RESULTS and draw the Pareto figure."""
    from benchmarks.peers.figure import draw_pareto
    from benchmarks.peers.report import render

    found = Results(results)
    click.echo(render(found, grid=grid))
    if figure is not None:
        draw_pareto(found, figure)


if __name__ == "__main__":
    main()
