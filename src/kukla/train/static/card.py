"""The card of a distilled model. Every number in it was measured by the run that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kukla.train.card import interval
from kukla.train.static.config import DistillConfig

if TYPE_CHECKING:
    from kukla.train.static.distil import Distilled

__all__ = ["model_card"]

_TOLD = ("pieces", "max_tokens", "regress_epochs", "regress_rate", "seed")
_OF_PAIRS = (
    "steps",
    "batch",
    "learning_rate",
    "scale",
    "similarity_weight",
    "query_tokens",
    "document_tokens",
)


def model_card(config: DistillConfig, done: Distilled, pairs: int) -> str:
    """Markdown."""
    name, space = done.folder.resolve().name, done.model.space
    size = sum(
        (done.folder / file).stat().st_size
        for file in ("pieces.model", "vectors.npy", "scales.npy", "space.json")
    )
    told = config.to_dict()
    keys = _TOLD + (_OF_PAIRS if pairs else ())
    from_where = ", ".join(f"`{Path(one).name}`" for one in (*config.corpus, *filter(None, [config.pairs])))
    return "\n".join([
        f"# {name}",
        "",
        "A static Matryoshka model: the weighted mean of token vectors, distilled from "
        f"`{Path(config.teacher).name}` by `kukla distill`. No attention, no word order. Any prefix, "
        f"renormalised, is an embedding; trained are {', '.join(map(str, config.dims))} dims.",
        "",
        "```python",
        "from kukla.embed import load_embedder",
        f'model = load_embedder("static:{name}", truncate_dim={config.dims[-1]})',
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| revision | `{space.revision}` (SHA-256 of its three files) |",
        f"| size | {size / 1e6:.2f} MB |",
        f"| learned from | {from_where}: {done.texts:,} texts that the teacher embedded"
        + (f", {pairs:,} pairs" if pairs else ", no pairs") + " |",
        f"| time | {done.seconds / 60:.1f} minutes |",
        *(f"| {key} | {told[key]} |" for key in keys),
        "",
        *_neighbours(done),
        *_quality(done.quality),
    ])  # fmt: skip


def _neighbours(done: Distilled) -> list[str]:
    if not done.neighbours:
        return [
            "How much it keeps of its teacher was not measured: there were too few texts to hold some out.",
            "",
        ]
    return [
        "## What is left of the teacher",
        "",
        "The share of a text's ten nearest by the teacher that are its ten nearest here; "
        f"{done.held_out:,} texts of the corpus that no step saw.",
        "",
        "| dims | " + " | ".join(map(str, done.neighbours)) + " |",
        "|---|" + "---|" * len(done.neighbours),
        "| kept | " + " | ".join(f"{share:.3f}" for share in done.neighbours.values()) + " |",
        "",
    ]


def _quality(quality: dict[str, dict[str, Any]]) -> list[str]:
    if not quality:
        return ["No test set was named (`test`): its quality in retrieval was not measured.", ""]
    lines = []
    for name, found in quality.items():
        (*_, whole) = found["teacher"]["rows"]
        lines += [
            f"## {name}",
            "",
            f"nDCG@10, {found['model']['queries']:,} queries, {found['model']['documents']:,} documents, "
            "exact search; 95 % intervals over queries.",
            "",
            "| dims | nDCG@10 |",
            "|---|---|",
            f"| the teacher's {whole['dim']} | {interval(whole['qualities']['nDCG@10']['mean'])} |",
        ]
        for row in sorted(found["model"]["rows"], key=lambda row: -row["dim"]):
            lines.append(f"| {row['dim']} | {interval(row['qualities']['nDCG@10']['mean'])} |")
        lines.append("")
    return lines
