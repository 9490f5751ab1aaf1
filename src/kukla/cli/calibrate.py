"""``kukla calibrate``: say the recall, get the plan."""

from __future__ import annotations

import re
from pathlib import Path

import click

from kukla.calibrate import Calibration
from kukla.cli.common import index_argument, json_option, threads_option
from kukla.cli.output import Bar, print_json, print_styled, print_table
from kukla.cli.queries import read_queries
from kukla.errors import InputError
from kukla.index import Index
from kukla.readers.qrels import read_qrels

__all__ = ["calibrate"]

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def _bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A click callback: ``500MB`` as a number."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?b)?", value.strip().lower())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a size such as 500MB or 2GB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


@click.command(
    short_help="Find the cheapest plan that reaches a recall, with proof.",
    epilog="\b\nExamples:\n  kukla calibrate my.kukla --queries questions.jsonl --target 'recall@10>=0.99'\n"
    "  kukla calibrate my.kukla --queries queries.npy --target 'recall@10>=0.95' --max-memory 500MB\n"
    "  kukla calibrate my.kukla --queries q.jsonl --qrels qrels.tsv --target 'ndcg@10>=0.98'\n"
    "  kukla search my.kukla 'read a file' --target 'recall@10>=0.95'\n\n"
    "Judgements need trec_eval: pip install 'kukla[eval]'.",
)
@index_argument
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Texts (jsonl, csv, txt with one a line) or vectors (npy, jsonl, ...), drawn as future queries "
    "will be. Without it documents are queries, which is an estimate.",
)
@click.option(
    "--target",
    default="recall@10>=0.99",
    show_default=True,
    help="What to reach: recall@K, or with --qrels ndcg@K, mrr@K or recall@K relative to full vectors.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.95,
    show_default=True,
    help="That the plan reaches it on further such queries.",
)
@click.option("--qrels", metavar="FILE", type=click.Path(path_type=Path), help="Judgements, TREC or BEIR.")
@click.option("--text-field", metavar="NAME", help="The field of the queries' texts.")
@click.option("--name", metavar="NAME", help="Of these queries. Default: the name of the file.")
@click.option("--max-memory", metavar="SIZE", callback=_bytes, help="The most that a scan may read: 500MB.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option("--dry-run", is_flag=True, help="Do not keep the result with the index.")
@threads_option
@json_option
def calibrate(
    index_path: Path,
    queries_file: Path | None,
    target: str,
    confidence: float,
    qrels: Path | None,
    text_field: str | None,
    name: str | None,
    max_memory: int | None,
    seed: int,
    dry_run: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Find the cheapest plan of INDEX that reaches a target, and prove it.

    Dims, precision, shortlist and number of stages are chosen together, on one part of the queries. The
    plan is accepted only if a lower confidence bound on the other part reaches the target. It is kept with
    INDEX: kukla search --target uses it.
    """
    queries, ids = (None, None) if queries_file is None else read_queries(queries_file, text_field=text_field)
    if qrels is not None and ids is None:
        raise InputError("--qrels names queries by id: give --queries with a field id or _id")
    judgements = None if qrels is None else read_qrels(qrels)
    if name is None and queries_file is not None:
        name = queries_file.name
    with Index.open(index_path, read_only=dry_run) as index, Bar(f"calibrating {index_path.name}") as bar:
        found = index.calibrate(
            queries,
            target=target,
            confidence=confidence,
            population=name,
            qrels=judgements,
            query_ids=ids,
            max_memory=max_memory,
            save=not dry_run,
            seed=seed,
            threads=threads,
            progress=bar,
        )
    if as_json:
        print_json(found.to_dict())
        return
    _print(found, kept=not dry_run)


def _print(found: Calibration, *, kept: bool) -> None:
    plan, *lines = found.summary()
    print_styled(f"{found.target}: {plan}", "bold")
    for line in (*lines, *found.notes):
        click.echo(f"  - {line}")
    click.echo()
    header, *rows = found.table()
    print_table(header, rows)
    print_styled(
        f"\n'at least' is the lower {found.confidence:.4g} confidence bound on the held-out queries; plans "
        "are accepted from the top until the first that misses the target.",
        "dim",
    )
    print_styled(
        f"{found.seconds:.1f} s; " + (f"kept: search with target '{found.target}'" if kept else "not kept"),
        "dim",
    )
