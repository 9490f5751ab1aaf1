"""``kukla demo``: index the documentation of this Python, search it, measure what prefixes lose."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import click

from kukla.cli.common import json_option
from kukla.cli.output import Bar, print_json, print_styled, print_table
from kukla.cli.search import print_ranking
from kukla.cost import format_bytes
from kukla.embed import load_embedder
from kukla.errors import IndexExistsError, MissingExtraError, WriteError
from kukla.evaluate import Curves, PlanRow, draw_curves, measure_curves, measure_plans
from kukla.index import Index
from kukla.nesting import Nesting
from kukla.readers import python_documents
from kukla.search.result import SearchResult

__all__ = ["demo"]

K = 10
SHORTLIST = 100
SHOWN_QUESTIONS = 5
SHOWN_RESULTS = 3
MARKER = "made-by-kukla-demo.txt"


@dataclass(frozen=True, slots=True)
class Question:
    """A question in a user's words, and the ids that answer it (any of them)."""

    question: str
    expect: tuple[str, ...]


@click.command(
    short_help="Index and search Python's own documentation, and draw a figure.",
    epilog="\b\nExamples:\n  kukla demo\n  kukla demo --to /tmp/kukla-demo --json\n\n"
    "The figure needs matplotlib: pip install 'kukla[plot]'.",
)
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where the index and the figure go; an index of an earlier demo there is replaced.",
)
@json_option
def demo(folder: Path, as_json: bool) -> None:
    """Index the documentation of this Python with the built-in model, ask 60 questions, draw a figure.

    Writes FOLDER/python.kukla, FOLDER/recall.json and FOLDER/recall.png, in well under a minute.
    Recall is measured on the same 60 questions: the share of the 10 documents that full vectors find.
    """
    with closing(_new_index(folder / "python.kukla")) as index:
        seconds = _fill(index)
        questions = _questions()
        texts = [question.question for question in questions]
        vectors = index.embedder.encode_queries(texts)
        found = index.search(vectors, K)
        hits = [
            not set(question.expect).isdisjoint(ids)
            for question, ids in zip(questions, found.ids.tolist(), strict=True)
        ]
        if not as_json:
            _print_index(index, seconds)
            _print_answers(index, questions, found)
            click.echo(
                f"\nhit@{K}: {sum(hits)} of {len(hits)} questions have a right answer among the first {K}"
            )
        with Bar("measuring plans") as bar:
            rows = measure_plans(index, vectors, _plans(index.nesting), k=K)
            curves = measure_curves(index, vectors, k=K, shortlist=SHORTLIST, progress=bar)
        summary = {
            "documents": len(index),
            "seconds": seconds,
            "model": index.space.model,
            "python": platform.python_version(),
            "questions": len(questions),
            f"hit_at_{K}": sum(hits) / len(hits),
            "plans": [row.to_dict() for row in rows],
            "curves": curves.to_dict(),
        }
        (folder / "recall.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    hint = _draw(curves, folder / "recall.png")
    if as_json:
        print_json(summary)
        if hint is not None:
            click.echo(hint, err=True)
        return
    _print_plans(rows, len(questions))
    _print_next(folder, hint)


def _new_index(path: Path) -> Index:
    """An empty index for the demo in the place of an earlier demo's, never of anything else."""
    marker = path / MARKER
    if marker.is_file():
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise WriteError(f"{path}: cannot be replaced: {error.strerror}") from error
    elif path.exists():
        raise IndexExistsError(
            f"there is something at {path} that no demo made; name another folder with --to"
        )
    index = Index.create(path, embedder=load_embedder())
    marker.write_text("kukla demo replaces this folder each time it runs.\n", encoding="utf-8")
    return index


def _fill(index: Index) -> float:
    started = time.perf_counter()
    documents = list(python_documents())
    with Bar("indexing Python's documentation") as bar:
        index.add(documents, batch_rows=2048, progress=bar)
    index.compact()  # one segment: what a user gets who adds everything at once
    return time.perf_counter() - started


def _questions() -> list[Question]:
    lines = files("kukla.readers").joinpath("python_questions.jsonl").read_text(encoding="utf-8")
    values = [json.loads(line) for line in lines.splitlines() if line.strip()]
    return [Question(value["question"], tuple(value["expect"])) for value in values]


def _plans(nesting: Nesting) -> list[str]:
    """From exact to cheap; the prefixes are the shortest with a quarter and an eighth of the whole."""
    full = nesting.full
    quarter = next(dim for dim in nesting if dim * 4 >= full)
    eighth = next(dim for dim in nesting if dim * 8 >= full)
    return [
        f"{full}:float32",
        f"{full}:int8@4x > {full}:float32",
        f"{quarter}:int8@20x > {full}:float32",
        f"{full}:binary@20x > {full}:int8@4x > {full}:float32",
        f"{eighth}:float32",
    ]


def _draw(curves: Curves, path: Path) -> str | None:
    """Draw the figure, or say how to get what it needs."""
    try:
        draw_curves(curves, path, corpus=f"passages of Python {platform.python_version()}'s documentation")
    except MissingExtraError as error:
        return f"no figure: {error}"
    return None


def _print_index(index: Index, seconds: float) -> None:
    info = index.info()
    click.echo(
        f"Indexed the documentation of Python {platform.python_version()}: {info.documents:,} documents in "
        f"{seconds:.1f} s ({info.documents / seconds:,.0f} a second), "
        f"{format_bytes(info.vector_bytes)} of vectors, model {info.space.model}, "
        f"dims {', '.join(map(str, info.nesting))}"
    )


def _print_answers(index: Index, questions: Sequence[Question], found: SearchResult) -> None:
    """Some of the questions, evenly spread and not chosen, and where a right answer ranked."""
    for row in range(0, len(questions), -(-len(questions) // SHOWN_QUESTIONS)):
        click.echo()
        print_styled(questions[row].question, "bold")
        ids = found.ids[row].tolist()
        print_ranking(index.get(ids[:SHOWN_RESULTS], vectors=False), found.scores[row].tolist())
        expect = questions[row].expect
        ranks = [rank for rank, id_ in enumerate(ids, start=1) if id_ in expect]
        verdict = f"ranked {ranks[0]}" if ranks else f"not among the first {K}"
        print_styled(f"   right: {' or '.join(expect[:2])} - {verdict}", "dim")


def _print_plans(rows: Sequence[PlanRow], queries: int) -> None:
    click.echo(f"\nPlans, on the same {queries} questions (recall@{K} against full vectors, one thread):\n")
    print_table(
        ("plan", f"recall@{K}", "bytes/vector scanned", "memory", "ms/query"),
        [
            (
                str(row.plan),
                f"{row.recall:.3f}",
                f"{row.bytes_per_vector:,}",
                f"1/{row.memory_ratio:.3g}",
                f"{row.seconds_per_query * 1e3:.2f}",
            )
            for row in rows
        ],
    )
    print_styled(
        "\nWith so few documents the time is mostly what every query costs; bytes grow with the corpus, "
        "and time with them.",
        "dim",
    )


def _print_next(folder: Path, hint: str | None) -> None:
    path = folder / "python.kukla"
    if hint is None:
        click.echo(f"\nFigure: {folder / 'recall.png'} (numbers: {folder / 'recall.json'})")
    else:
        click.echo()
        print_styled(hint, "bold yellow")
        click.echo(f"The numbers are in {folder / 'recall.json'}")
    click.echo(
        f"\nTry next:\n"
        f"  kukla search {path} 'wait for several threads' -k 3\n"
        f"  kukla search {path} 'parse a date' --filter kind=function --json\n"
        f"  kukla explain {path} --documents 10000000\n"
        f"  kukla index YOUR_FOLDER --to my.kukla"
    )
