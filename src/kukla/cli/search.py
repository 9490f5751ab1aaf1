"""``kukla search``: the nearest documents of texts or vectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from kukla.cli.common import (
    NOTHING_FOUND,
    filter_option,
    index_argument,
    json_option,
    plan_option,
    read_filter,
    read_lines,
    threads_option,
)
from kukla.cli.models import base_url_option, open_with_model, search_model_option
from kukla.cli.output import make_console, print_json, print_styled, printable, snippet
from kukla.cost import format_bytes
from kukla.document import Document
from kukla.errors import InputError
from kukla.readers import read_vectors
from kukla.search.result import ProofReport, SearchResult

__all__ = ["print_ranking", "search"]

ABOUT_STORED = " (of the vectors after the index's projection, not the model's own)"

Query = str | NDArray[np.floating[Any]]


@click.command(
    short_help="Find the documents nearest to a text or a vector.",
    epilog="\b\nExamples:\n  kukla search my.kukla 'read a file line by line'\n"
    "  kukla search my.kukla 'sort a list' -k 3 --filter kind=function --json\n"
    "  kukla search my.kukla --plan '128:binary@200 > 512:float32' - < questions.txt\n"
    "  kukla search vectors.kukla --vector query.npy --certify\n\nExits with 3 when no query found anything.",
)
@index_argument
@click.argument("text", required=False)
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="Results a query.")
@plan_option
@click.option(
    "--target",
    metavar="TARGET",
    help="Instead of a plan: the cheapest that kukla calibrate proved to reach it, e.g. 'recall@10>=0.95'.",
)
@click.option("--dims", type=click.IntRange(min=1), help="Scan with prefixes of this length.")
@click.option("--shortlist", type=click.IntRange(min=1), help="Candidates that the first stage keeps.")
@click.option("--oversampling", type=click.FloatRange(min=1), help="The same as a multiple of k.")
@filter_option
@click.option(
    "--certify", is_flag=True, help="Go on until the answer is proven to be that of an exact search."
)
@click.option(
    "--vector",
    "vector_path",
    metavar="FILE",
    help="Search with the vectors of a file (npy, npz, ...); - reads a JSON array from standard input.",
)
@search_model_option
@base_url_option
@threads_option
@json_option
def search(
    index_path: Path,
    text: str | None,
    k: int,
    plan: str | None,
    target: str | None,
    dims: int | None,
    shortlist: int | None,
    oversampling: float | None,
    filters: tuple[str, ...],
    certify: bool,
    vector_path: str | None,
    model: str | None,
    base_url: str | None,
    threads: int,
    as_json: bool,
) -> None:
    """Print the K documents of INDEX nearest to TEXT.

    With ``-``, or nothing and a pipe, every line of standard input is a query. JSON is one object a query
    and line.
    """
    queries = _queries(text, vector_path)
    matching = read_filter(filters)
    found_any = False
    with open_with_model(index_path, model, base_url) as index:
        if isinstance(queries[0], str):
            _ = index.embedder  # loading it is no part of a query's time
        keeps_scores = index._opened.settings.projection.keeps_scores
        for number, query in enumerate(queries):
            result = index.search(
                query,
                k,
                plan=plan,
                target=target,
                dims=dims,
                shortlist=shortlist,
                oversampling=oversampling,
                filter=matching,
                certify=certify,
                threads=threads,
            )
            documents = index.get(result.ids[0].tolist(), vectors=False)
            found_any = found_any or bool(documents)
            if as_json:
                print_json(_json(query, result, documents) | {"keeps_scores": keeps_scores})
                continue
            if len(queries) > 1:
                name = printable(query) if isinstance(query, str) else f"vector {number}"
                click.echo("\n" * (number > 0) + f"query: {name}")
            print_ranking(documents, result.scores[0].tolist())
            if not documents:
                click.echo("nothing found")
            _print_cost(result, changed="" if keeps_scores else ABOUT_STORED)
    if not found_any:
        click.get_current_context().exit(NOTHING_FOUND)


def _queries(text: str | None, vector_path: str | None) -> Sequence[Query]:
    if vector_path is not None:
        if text is not None:
            raise click.UsageError("give a text or --vector, not both")
        queries = list(_vectors(vector_path))
        if not queries:
            raise InputError(f"{vector_path} holds no vectors")
        return queries
    if text is None and sys.stdin.isatty():
        raise click.UsageError("give a text, - with queries on standard input, or --vector FILE")
    return read_lines("queries") if text is None or text == "-" else [text]


def _vectors(path: str) -> Iterator[NDArray[np.floating[Any]]]:
    if path != "-":
        for batch in read_vectors(path).batches(1024):
            yield from batch
        return
    try:
        rows = np.array(json.load(sys.stdin), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"standard input is not a JSON array of numbers, nor one of such arrays: {error}"
        ) from None
    if rows.ndim not in (1, 2):
        raise InputError(f"standard input holds an array of shape {rows.shape}; allowed: (dim,) or (n, dim)")
    yield from np.atleast_2d(rows)


def _json(query: Query, result: SearchResult, documents: list[Document]) -> dict[str, Any]:
    return {
        "query": query if isinstance(query, str) else None,
        "plan": str(result.plan),
        "results": [
            {
                "id": document.id,
                "score": float(str(score)),
                "text": document.text,
                "metadata": dict(document.metadata),
            }
            for document, score in zip(documents, result.scores[0], strict=True)
        ],
        "stages": [report._asdict() | {"stage": str(report.stage)} for report in result.stages],
        "certificate": asdict(result.certificates()[0]),
        "proof": None if result.proof is None else _proof(result.proof),
        "seconds": result.seconds,
    }


def _proof(proof: ProofReport) -> dict[str, Any]:
    steps = [asdict(step) | {"stage": str(step.stage)} for step in proof.steps]
    return {"corrected": proof.changed > 0, "steps": steps, "seconds": proof.seconds}


def print_ranking(documents: Sequence[Document], scores: Sequence[float]) -> None:
    """Ranked documents for people: score, id, the first two lines of the text."""
    console = make_console()
    width = len(str(len(documents)))
    for rank, (document, score) in enumerate(zip(documents, scores, strict=False), start=1):
        name = " ".join(printable(str(document.id)).split())
        console.print(
            Text.assemble((f"{rank:>{width}}  {score:.4f}  ", "cyan"), (name, "bold")), soft_wrap=True
        )
        indent = width + 2
        for text in snippet(console, document.text or "", indent=indent):
            console.print(" " * indent + text, soft_wrap=True)


def _print_cost(result: SearchResult, changed: str) -> None:
    print_styled(
        f"{result.scanned:,} scanned, {result.rescored:,} rescored, {format_bytes(result.bytes_read)} read, "
        f"{result.seconds * 1e3:.1f} ms, plan {result.plan}, {result.certificates()[0]}{changed}",
        "dim",
    )
