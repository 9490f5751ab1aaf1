"""``kukla fit``: a projection that makes prefixes better, chosen by measurement."""

from __future__ import annotations

from pathlib import Path

import click

from kukla.cli.common import json_option, split_numbers
from kukla.cli.output import Bar, print_json, print_styled, print_table
from kukla.errors import InputError
from kukla.projection import Projection
from kukla.projection.choose import ADAPTORS, KINDS, LEARNED, Choice, choose_projection
from kukla.projection.held_out import Metric
from kukla.readers import read_vectors

__all__ = ["fit"]

_NAMED = (*KINDS, LEARNED, *ADAPTORS)


@click.command(
    short_help="Fit a projection that makes prefixes better.",
    epilog="\b\nExamples:\n  kukla fit vectors.npy --to projection.npz\n"
    "  kukla fit vectors.npy --queries queries.npy --to projection.npz\n"
    "  kukla fit vectors.npy --queries queries.npy --learned --to projection.npz\n"
    "  kukla fit vectors.npy --queries queries.npy --kind adaptor --to projection.npz\n"
    "  kukla fit vectors.npy --kind model_head.safetensors --to projection.npz\n"
    "  kukla index vectors.npy --projection projection.npz --to vectors.kukla",
)
@click.argument("source", metavar="VECTORS", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    "queries_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Vectors of real queries, at least 20. Default: held-out vectors of VECTORS.",
)
@click.option(
    "--kind",
    metavar="KIND",
    default="auto",
    show_default=True,
    help=f"auto, {', '.join(_NAMED)}, or a file: .npz, .npy or .safetensors with a matrix.",
)
@click.option(
    "--learned",
    is_flag=True,
    help="Let auto try a learned rotation too: a minute or more, and the extra train.",
)
@click.option(
    "--adaptors",
    is_flag=True,
    help="Let auto try adaptor and smec too, which change full-dim scores: minutes, and the extra train.",
)
@click.option(
    "--to", "target", metavar="FILE.npz", type=click.Path(path_type=Path), help="Save the projection."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Neighbours to find.")
@click.option(
    "--dims",
    callback=split_numbers,
    metavar="N,N,...",
    help="Prefix lengths to measure. Default: powers of two from 32.",
)
@click.option(
    "--metric", type=click.Choice(["cosine", "ip"]), default="cosine", show_default=True, help="The index's."
)
@click.option(
    "--sample",
    type=click.IntRange(100),
    default=20_000,
    show_default=True,
    help="The most vectors to measure on, drawn at random; the final fit reads all.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option("--key", metavar="NAME", help="Which array, dataset, column or field of VECTORS.")
@json_option
def fit(
    source: Path,
    queries_file: Path | None,
    kind: str,
    learned: bool,
    adaptors: bool,
    target: Path | None,
    force: bool,
    k: int,
    dims: tuple[int, ...] | None,
    metric: Metric,
    sample: int,
    seed: int,
    key: str | None,
    as_json: bool,
) -> None:
    """Fit projections to VECTORS, measure their prefixes on held-out queries, and save the best.

    A rotation changes no full-dim score, but it can put what matters into the first coordinates. "auto" takes
    one only where it finds more than plain prefixes beyond chance. The random rotation is there as a control.
    """
    if target is not None:
        if target.suffix.lower() != ".npz":
            raise InputError(f"--to must end in .npz, got {target}")
        if target.exists() and not force:
            raise InputError(f"there is something at {target} already; --force replaces it")
        if not target.parent.is_dir():
            raise InputError(f"--to {target}: there is no folder {target.parent}")
    given = None if kind in ("auto", *_NAMED) else _given(kind)
    picked = None if kind == "auto" else "given" if given is not None else kind
    vectors = read_vectors(source, key=key)
    queries = None if queries_file is None else read_vectors(queries_file)
    with Bar(f"fitting {source.name}") as bar:
        choice = choose_projection(
            vectors,
            queries,
            kinds=(*KINDS, *((LEARNED,) if learned else ()), *(ADAPTORS if adaptors else ())),
            given=given,
            pick=picked,
            dims=dims,
            k=k,
            metric=metric,
            sample=sample,
            seed=seed,
            progress=bar,
        )
    if target is not None:
        choice.projection.save(target)
    if as_json:
        print_json(choice.to_dict())
        return
    _print(choice, target)


def _given(kind: str) -> Projection:
    path = Path(kind)
    if not path.suffix and not path.exists():
        raise InputError(f"--kind is auto, {', '.join(_NAMED)} or a file, got {kind!r}")
    return Projection.load(path)


def _print(choice: Choice, target: Path | None) -> None:
    click.echo(
        f"recall@{choice.k} of prefixes alone, {choice.queries:,} held-out queries, {choice.documents:,} "
        f"documents; 95 % intervals\n"
        f"gain: mean over dims against identity; new documents: only the {choice.unseen:,} not fitted on"
    )
    header = [
        "projection",
        "ranked by",
        *(f"{dim} dims" for dim in choice.dims),
        "gain",
        "gain, new documents",
    ]
    rows = [
        [
            f"{row.kind}{' *' if row.kind == choice.kind else ''}",
            "cosine" if choice.metric == "cosine" and row.renormalises_prefixes else "dot product",
            *(
                f"{mean:.3f} [{low:.3f}, {high:.3f}]"
                for mean, low, high in zip(row.recall, row.low, row.high, strict=True)
            ),
            *(
                ("", "")
                if row.kind == "identity"
                else (
                    f"{row.gain:+.3f} [{row.gain_low:+.3f}, {row.gain_high:+.3f}]",
                    f"{row.gain_unseen:+.3f} [{row.gain_unseen_low:+.3f}, {row.gain_unseen_high:+.3f}]",
                )
            ),
        ]
        for row in choice.rows
    ]
    click.echo()
    print_table(header, rows, left=2)
    click.echo()
    print_styled(choice.reason, "bold")
    for note in choice.notes:
        print_styled(f"  - {note}", "dim")
    if not choice.projection.keeps_scores:
        click.echo(
            "  - it is not orthonormal: full-dim scores change with it. Whole vectors after it find "
            f"{choice.whole_recall:.3f} of the\n    {choice.k} nearest by the model's own. An index with it, "
            "its exact searches and its proofs are about the vectors after it"
        )
    if target is not None:
        click.echo(f"{target}: {choice.projection}; kukla index ... --projection {target}")
