"""What ``kukla eval`` prints for people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kukla.cli.output import print_styled, print_table
from kukla.cost import format_bytes
from kukla.evaluate.measures import ENOUGH_QUERIES
from kukla.evaluate.quality import QualityCurve
from kukla.evaluate.runs import RunsQuality
from kukla.evaluate.sizes import Storage

__all__ = ["print_quality", "print_runs", "print_storage"]

_KEEPS = 0.95
_OF_PLANS = (
    " A plan of several stages also reads more of its shortlist; an oversampling such as @20x is of the "
    "cutoff of the measure."
)


def print_quality(name: str, curve: QualityCurve) -> None:
    """A table for each measure, and the smallest plan that keeps most."""
    print_styled(
        f"{name}: {curve.documents:,} documents, {curve.queries:,} judged queries "
        f"({_grades(curve.grades)}), {curve.full_dim} dims",
        "bold",
    )
    for note in curve.notes:
        click.echo(f"  - {note}")
    for measure in curve.measures:
        header, *rows = curve.table(measure)
        click.echo()
        print_table(header, rows)
        best = None if curve.queries < ENOUGH_QUERIES else curve.smallest(measure, keeps=_KEEPS)
        share = None if best is None else best.quality(measure).relative
        if best is not None and share is not None and best.plan != curve.reference:
            click.echo(
                f"{best.plan} is the smallest alone with its whole interval above {100 * _KEEPS:g} %: "
                f"{100 * share.mean:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] of {measure} "
                f"at {100 * best.size:.1f} % of the size"
            )
    print_styled(
        f"\nbytes/vector and size: what a scan reads of each vector, scales and norms included; 100 % is "
        f"{curve.full_dim} float32. 'of full': the share of {curve.reference} on the same queries. "
        f"Intervals: bootstrap over queries, seed {curve.seed}. They hold for one row, not for the best of "
        "several: kukla calibrate chooses a plan and proves it on held-out queries."
        + (_OF_PLANS if curve.plans() else ""),
        "dim",
    )


def print_runs(judged: RunsQuality, *, per_query: bool) -> None:
    """Runs beside the first."""
    print_styled(f"{judged.queries:,} judged queries ({_grades(judged.grades)})", "bold")
    for note in judged.notes:
        click.echo(f"  - {note}")
    header, *rows = judged.table()
    click.echo()
    print_table(header, rows, left=2)
    if per_query:
        click.echo()
        values = [
            (row.run, row.measure, query, f"{value:.4f}")
            for row in judged.rows
            for query, value in row.values.items()
        ]
        print_table(("run", "measure", "query", "value"), values, left=3)
    print_styled(
        f"\nIntervals: 95 %, bootstrap over queries, seed {judged.seed}"
        + ("; runs are compared query by query with the first" if len(judged.runs) > 1 else ""),
        "dim",
    )


def print_storage(sizes: Storage, *, gap: bool) -> None:
    """Sizes of vectors."""
    print_styled("\n" * gap + f"{sizes.vectors:,} vectors", "bold")
    header, *rows = sizes.table()
    print_table(header, rows)
    price = sizes.price_per_gb_month
    print_styled(
        "\ncodes: dims x bits alone, as vendors count; scanned by Kukla: with the scales of int8 and the "
        f"norms of prefixes. An index that serves all of these keeps {format_bytes(sizes.disk_bytes)} on "
        "disk. Computed, decimal units (1 GB = 10^9 bytes), without ids, texts and metadata."
        + ("" if price is None else f" Price: the scanned bytes at {price:g} a GB and month, as given."),
        "dim",
    )


def _grades(grades: Sequence[int]) -> str:
    return "binary" if len(grades) == 1 else f"graded: {', '.join(map(str, grades))}"
