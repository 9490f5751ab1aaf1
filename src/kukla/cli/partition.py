"""``kukla partition``: cut an index into lists."""

from __future__ import annotations

from pathlib import Path

import click

from kukla.cli.common import index_argument, json_option, threads_option
from kukla.cli.output import Bar, partition_text, print_json, print_styled
from kukla.cli.queries import read_queries
from kukla.errors import InputError
from kukla.index import Index
from kukla.partition.build import LEAST_CODE_BYTES, MOST_CODE_BYTES, MOST_LISTS

__all__ = ["partition"]


@click.command(
    short_help="Cut an index into lists, so that a search looks into some of them.",
    epilog="\b\nExamples:\n  kukla partition my.kukla\n"
    "  kukla partition my.kukla --lists 4096 --code-bytes 64 --queries questions.jsonl --threads 2\n"
    "  kukla calibrate my.kukla --queries questions.jsonl --target 'recall@10>=0.95'\n"
    "  kukla partition my.kukla --remove",
)
@index_argument
@click.option(
    "--lists",
    metavar="N",
    type=click.IntRange(1, MOST_LISTS),
    help="Default: four times the square root of the number of documents, eight documents a list at least.",
)
@click.option(
    "--code-bytes",
    metavar="N",
    type=click.IntRange(LEAST_CODE_BYTES, MOST_CODE_BYTES),
    default=128,
    show_default=True,
    help="Of each document's long code, even; its short one takes a quarter, that of the mean of 32 a half. "
    "More find more, and are read more slowly.",
)
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Like those that will be asked, texts (jsonl, csv, txt with one a line) or vectors (npy, jsonl, "
    "...): they say which dims the codes must hold best. Default: documents.",
)
@click.option("--text-field", metavar="NAME", help="The field of the queries' texts.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option("--remove", is_flag=True, help="Remove the lists; searches scan again.")
@threads_option
@json_option
def partition(
    index_path: Path,
    lists: int | None,
    code_bytes: int,
    queries_file: Path | None,
    text_field: str | None,
    seed: int,
    remove: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Cut the documents of INDEX into lists of neighbours, with short codes of each.

    Plans that begin with pq4 then read a few lists instead of everything: '512:pq4/32@200 > 512:float32'
    looks into the 32 lists nearest to the query. Lists are replaced when there are some. What is added later
    goes into them too. Searches go on meanwhile.
    """
    if remove and (lists is not None or queries_file is not None):
        raise InputError("--remove leaves no lists: give it without --lists and --queries")
    queries = None if queries_file is None else read_queries(queries_file, text_field=text_field)[0]
    with Index.open(index_path) as index:
        if remove:
            index.partition(0)
        else:
            with Bar(f"cutting {index_path.name} into lists") as bar:
                index.partition(
                    lists, queries=queries, code_bytes=code_bytes, seed=seed, threads=threads, progress=bar
                )
        info = index.info()
    if as_json:
        print_json(info.to_dict()["partition"])
        return
    if info.partition is None:
        click.echo("no lists; plans that begin with pq4 cannot be run")
        return
    click.echo(f"lists: {partition_text(info.partition)}")
    full = info.nesting[-1]
    probes = max(1, info.partition.lists // 32)
    final = next(name for name in ("float32", "float16") if name in info.precisions)
    plan = f"{full}:pq4/{probes}@100 > {full}:{final}"
    print_styled(f"search with --plan '{plan}', or better, find the plan:", "dim")
    print_styled(f"  kukla calibrate {index_path} --queries FILE --target 'recall@10>=0.95'", "dim")
