"""``kukla explain``: what a plan costs before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kukla.cli.common import index_argument, json_option, plan_option
from kukla.cli.output import print_json, print_table
from kukla.cost import PlanCost
from kukla.index import Index

__all__ = ["explain"]


@click.command(
    short_help="Print what a plan reads before it is run.",
    epilog="\b\nExamples:\n  kukla explain my.kukla\n"
    "  kukla explain my.kukla --plan '128:binary@200 > 512:float32'\n"
    "  kukla explain my.kukla --documents 10000000",
)
@index_argument
@plan_option
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="Results a query.")
@click.option(
    "--documents", type=click.IntRange(min=0), help="Ask about this many documents, not the index's own."
)
@json_option
def explain(index_path: Path, plan: str | None, k: int, documents: int | None, as_json: bool) -> None:
    """Print what a plan reads, computes and keeps in memory for one query on INDEX.

    The figures come from sizes alone; what a search really did is printed by ``kukla search``.
    """
    with Index.open(index_path, read_only=True) as index:
        cost = index.explain(plan, k=k, documents=documents)
    if as_json:
        print_json(_json(cost))
        return
    header, *rows = cost.rows()
    print_table(header, rows)
    click.echo(cost.summary())


def _json(cost: PlanCost) -> dict[str, Any]:
    names = ("scored", "kept", "bytes_per_vector", "bytes_read", "operations")
    stages = [
        {"stage": str(stage.stage)} | {name: getattr(stage, name) for name in names} for stage in cost.stages
    ]
    return {
        "plan": str(cost.plan),
        "k": cost.k,
        "documents": cost.documents,
        "stages": stages,
        "bytes_read": cost.bytes_read,
        "operations": cost.operations,
        "resident_bytes": cost.resident_bytes,
        "disk_bytes": cost.disk_bytes,
        "full_bytes": cost.full_bytes,
        "memory_ratio": cost.memory_ratio if cost.resident_bytes else None,
    }
