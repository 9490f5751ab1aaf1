"""``kukla eval``: quality against judgements, runs compared, storage computed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from kukla.cli.collection import Paths, open_collection, query_ids_by_text
from kukla.cli.common import json_option, split_names, split_numbers, threads_option
from kukla.cli.eval_print import print_quality, print_runs, print_storage
from kukla.cli.output import Bar, print_json
from kukla.errors import InputError
from kukla.evaluate.device import find_device
from kukla.evaluate.measures import DEFAULT_MEASURES, split_measures
from kukla.evaluate.quality import evaluate_quality
from kukla.evaluate.quality_figure import draw_quality
from kukla.evaluate.runs import RunsQuality, evaluate_runs
from kukla.evaluate.sizes import storage
from kukla.nesting import Nesting
from kukla.plan import Plan
from kukla.readers.beir import open_beir
from kukla.readers.qrels import read_qrels
from kukla.readers.runs import read_run, write_run

__all__ = ["evaluate"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}


def _count(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A click callback: ``1_000_000_000``, ``1,000,000``, ``250M`` or ``1B`` as a number."""
    if value is None:
        return None
    match = re.fullmatch(
        r"([0-9]+(?:\.[0-9]+)?)([kmgbt]?)", value.strip().lower().replace("_", "").replace(",", "")
    )
    number = None if match is None else float(match[1]) * _UNITS[match[2]]
    if match is None or number != int(number or 0) or not number:
        raise click.BadParameter(f"{value!r} is not a number of vectors such as 1_000_000, 250M or 1B")
    return int(match[1]) * _UNITS[match[2]] if match[1].isdigit() else int(number)


def _measures(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return split_measures(value)


@click.command(
    "eval",
    short_help="Measure quality against judgements at every dim and precision.",
    epilog="\b\nExamples:\n  kukla eval beir/scifact --plot scifact.png\n"
    "  kukla eval beir/scifact --index my.kukla --plan '128:binary@20x > 512:float32'\n"
    "  kukla eval --documents d.npz --queries q.npz --qrels qrels.tsv --dims 64,256,768\n"
    "  kukla eval --run new.trec --qrels qrels.trec --measures nDCG@10,AP,RR@10\n"
    "  kukla eval --run old.trec --run new.trec --qrels qrels.trec\n"
    "  kukla eval --vectors 1_000_000_000 --dims 256,2048 --price-per-gb-month 2.5\n\n"
    "Judgements need ir-measures: pip install 'kukla[eval]'.",
)
@click.argument("folder", metavar="[BEIR_FOLDER]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--index",
    "index_path",
    metavar="INDEX",
    type=click.Path(path_type=Path),
    help="An index that holds the documents already.",
)
@click.option(
    "--documents",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Vectors of the documents (npy, npz, jsonl, parquet, ...), instead of a corpus of texts.",
)
@click.option(
    "--document-ids",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Their ids: a table with a field _id or id, or one a line. Default: those in FILE, else rows.",
)
@click.option(
    "--queries", metavar="FILE", type=click.Path(path_type=Path), help="Texts or vectors, with ids."
)
@click.option(
    "--query-ids", metavar="FILE", type=click.Path(path_type=Path), help="Ids of vectors without any."
)
@click.option(
    "--qrels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Judgements, TREC or BEIR. Default: qrels/test.tsv or qrels.tsv of the folder.",
)
@click.option("--text-field", metavar="NAME", help="The field of the queries' texts.")
@click.option(
    "--run",
    "runs",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Measure a run (TREC, or lines of kukla search --json). Each one more is compared with the first.",
)
@click.option(
    "--measures",
    metavar="NAMES",
    default=",".join(DEFAULT_MEASURES),
    show_default=True,
    callback=_measures,
    help="As ir_measures calls them: nDCG@10, R@100, RR@10, AP, P@10, Success@1.",
)
@click.option(
    "--dims",
    callback=split_numbers,
    metavar="N,N,...",
    help="Prefix lengths. Default: those of the index, or of the model.",
)
@click.option("--precisions", callback=split_names, metavar="NAMES", help="Default: binary,int8,float32.")
@click.option(
    "--plan", "plans", metavar="PLAN", multiple=True, help="Also measure this plan; may be repeated."
)
@click.option(
    "--vectors", metavar="N", callback=_count, help="Compute the storage of N vectors: 1_000_000, 250M, 1B."
)
@click.option(
    "--price-per-gb-month",
    type=click.FloatRange(0),
    metavar="PRICE",
    help="What 10^9 bytes of memory cost you a month; there is no default.",
)
@click.option(
    "--plot",
    metavar="OUT.png",
    type=click.Path(path_type=Path),
    help="Draw the first measure against dims and bytes.",
)
@click.option(
    "--run-out",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write TREC runs: every plan's into a folder; or FILE.trec: that of --plan, else of full vectors.",
)
@click.option("--per-query", is_flag=True, help="With --run: also the value of each query.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals' resamples."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where float vectors are searched: cpu, or through torch: auto, cuda, cuda:1, mps. Same rankings.",
)
@threads_option
@json_option
def evaluate(
    folder: Path | None,
    index_path: Path | None,
    documents: Path | None,
    document_ids: Path | None,
    queries: Path | None,
    query_ids: Path | None,
    qrels: Path | None,
    text_field: str | None,
    runs: tuple[Path, ...],
    measures: tuple[str, ...],
    dims: tuple[int, ...] | None,
    precisions: tuple[str, ...] | None,
    plans: tuple[str, ...],
    vectors: int | None,
    price_per_gb_month: float | None,
    plot: Path | None,
    run_out: Path | None,
    per_query: bool,
    seed: int,
    device: str,
    threads: int,
    as_json: bool,
) -> None:
    """Measure what shorter and coarser vectors lose, against judgements.

    A BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv) is embedded with the built-in model and
    searched with every dim and precision: each measure, and its share of what full vectors reach, with 95 %
    intervals over queries. Or measure and compare runs that exist already (--run), or compute the storage of
    N vectors (--vectors).
    """
    paths = Paths(folder, index_path, documents, document_ids, queries, query_ids, qrels)
    searches = folder is not None or index_path is not None or documents is not None
    _check(searches, runs, vectors, dims, price_per_gb_month, per_query, plot, run_out, plans)
    if device != "cpu" and (runs or not searches):
        raise click.UsageError("--device needs documents to search, and no --run")
    find_device(device)  # before anything is embedded
    printed: dict[str, Any] = {}
    nesting: Nesting | None = None
    if runs:
        judged = _runs(paths, runs, measures, text_field, seed)
        printed["runs"] = judged.as_dict(per_query=per_query)
        if not as_json:
            print_runs(judged, per_query=per_query)
    elif searches:
        writer = None if run_out is None else _RunWriter(run_out, plans)
        opened = open_collection(paths, dims=dims, precisions=precisions, text_field=text_field)
        with opened as found, Bar("evaluating") as bar:
            curve = evaluate_quality(
                found.index,
                found.queries,
                found.qrels,
                query_ids=found.query_ids,
                measures=measures,
                dims=dims,
                precisions=precisions,
                plans=plans,
                on_run=writer,
                seed=seed,
                device=device,
                threads=threads,
                progress=bar,
            )
            curve = replace(curve, notes=(*found.notes, *curve.notes))
            nesting = found.index.nesting
            dims = tuple({*(dims or nesting.dims), nesting.full})
        if plot is not None:
            draw_quality(curve, plot, what=found.name)
        printed["quality"] = curve.as_dict()
        if not as_json:
            print_quality(found.name, curve)
            if plot is not None:
                click.echo(f"\nFigure of {curve.measures[0]}: {plot}")
            if writer is not None:
                click.echo(f"\nRuns: {', '.join(map(str, writer.written))}")
    if vectors is not None and dims is not None:
        sizes = storage(
            vectors,
            dims,
            nesting=nesting,
            price_per_gb_month=price_per_gb_month,
            **({} if precisions is None else {"precisions": precisions}),
        )
        printed["storage"] = sizes.as_dict()
        if not as_json:
            print_storage(sizes, gap=bool(runs) or searches)
    if as_json:
        print_json(printed)


def _check(
    searches: bool,
    runs: Sequence[Path],
    vectors: int | None,
    dims: Sequence[int] | None,
    price: float | None,
    per_query: bool,
    plot: Path | None,
    run_out: Path | None,
    plans: Sequence[str],
) -> None:
    """Refuse options that mean nothing together: before the work, not after it."""
    if not (searches or runs or vectors is not None):
        raise click.UsageError("give a BEIR folder, --index, --documents, --run or --vectors")
    if vectors is not None and dims is None and (runs or not searches):
        raise click.UsageError("--vectors needs --dims, such as --dims 256,2048; the largest is the full dim")
    if price is not None and vectors is None:
        raise click.UsageError("--price-per-gb-month needs --vectors: how many there are")
    if per_query and not runs:
        raise click.UsageError("--per-query is for --run; --run-out writes runs of a search")
    if (plot or run_out or plans) and (runs or not searches):
        raise click.UsageError("--plot, --run-out and --plan need documents to search, and no --run")
    for plan in plans:
        Plan.parse(plan)
    if plot is not None and not plot.parent.is_dir():
        raise InputError(f"--plot {plot}: there is no folder {plot.parent}")


def _runs(
    paths: Paths, files: Sequence[Path], measures: Sequence[str], text_field: str | None, seed: int
) -> RunsQuality:
    if paths.index is not None or paths.documents is not None:
        raise click.UsageError("--run is a search that was done: give no --index and no --documents")
    queries, qrels = paths.queries, paths.qrels
    if paths.folder is not None:
        beir = open_beir(paths.folder, corpus=False, qrels=qrels)
        queries, qrels = queries or beir.queries, beir.qrels
    if qrels is None:
        raise InputError("--qrels is missing: a run is measured against judgements")
    by_text = None if queries is None else query_ids_by_text(queries, text_field)
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        names = list(map(str, files))
    if len(set(names)) < len(names):
        raise InputError(f"--run names {names[0]} twice; two different runs can be compared")
    judgements = read_qrels(qrels)
    found = {name: read_run(file, query_ids=by_text) for name, file in zip(names, files, strict=True)}
    return evaluate_runs(found, judgements, measures=measures, seed=seed)


class _RunWriter:
    """Writes runs: all into a folder, or one to a file."""

    def __init__(self, path: Path, plans: Sequence[str]) -> None:
        self._path, self.written = path, list[Path]()
        self._one_file = bool(path.suffix) and not path.is_dir()
        if self._one_file and len(plans) > 1:
            raise InputError(f"--run-out {path}: is one file, for one --plan; name a folder for {len(plans)}")
        if self._one_file and not path.parent.is_dir():
            raise InputError(f"--run-out {path}: there is no folder {path.parent}")
        self._only = Plan.parse(plans[0]) if self._one_file and plans else None
        if not self._one_file:
            path.mkdir(parents=True, exist_ok=True)

    def __call__(
        self, plan: Plan, query_ids: Sequence[str], ids: NDArray[Any], scores: NDArray[np.float32]
    ) -> None:
        if self._one_file:
            # Full vectors come first.
            if plan != self._only if self._only is not None else self.written:
                return
            path = self._path
        else:
            path = self._path / (re.sub(r"[^\w.@]+", "-", str(plan)) + ".trec")
        write_run(path, query_ids, ids, scores, tag=str(plan))
        self.written.append(path)
