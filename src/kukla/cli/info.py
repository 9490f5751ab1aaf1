"""``kukla info``: what an index holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kukla.cli.common import index_argument, json_option
from kukla.cli.output import partition_text, print_json, print_pairs
from kukla.cost import format_bytes
from kukla.index import Index
from kukla.info import CHANGED, IndexInfo

__all__ = ["info"]


@click.command(
    short_help="Print what an index holds; check its bytes.",
    epilog="\b\nExamples:\n  kukla info my.kukla\n  kukla info my.kukla --verify\n"
    "  kukla info my.kukla --json | jq .documents",
)
@index_argument
@json_option
@click.option("--verify", is_flag=True, help="Read every byte and compare checksums.")
def info(index_path: Path, as_json: bool, verify: bool) -> None:
    """Print what INDEX holds: counts, sizes, settings."""
    with Index.open(index_path, read_only=True) as index:
        found = index.info()
        verified = index.verify() if verify else None
        calibrations = index.calibration_state(search=False)
    if as_json:
        extra: dict[str, Any] = {} if verified is None else {"verified_bytes": verified}
        extra["calibrations"] = [state.to_dict() for state in calibrations]
        print_json(found.to_dict() | extra)
        return
    pairs = _pairs(found)
    pairs += [("calibration", str(state)) for state in calibrations]
    if verified is not None:
        pairs.append(("verified", f"{format_bytes(verified)}, all checksums match"))
    print_pairs(pairs)


def _pairs(found: IndexInfo) -> list[tuple[str, str]]:
    deleted = f" ({found.deleted_rows:,} deleted: see kukla compact)" if found.deleted_rows else ""
    space = found.space
    lists = [] if found.partition is None else [("lists", partition_text(found.partition))]
    if found.earlier_lists:
        lists = [("lists", "of an earlier version, not used: make them again with kukla partition")]
    return [
        ("index", found.path),
        ("documents", f"{found.documents:,}{deleted}"),
        ("model", f"{space.model} ({space.provider})" if space.provider else space.model),
        ("dims", ", ".join(map(str, found.nesting))),
        ("precisions", ", ".join(found.precisions)),
        ("metric", found.metric),
        ("projection", found.projection if found.keeps_scores else f"{found.projection}, {CHANGED}"),
        ("plan", found.plan),
        ("vectors", f"{format_bytes(found.vector_bytes)}, segments: {found.segments}"),
        *lists,
        ("catalog", f"{format_bytes(found.catalog_bytes)} (texts, metadata, ids)"),
        ("kernels", found.kernels),
    ]
