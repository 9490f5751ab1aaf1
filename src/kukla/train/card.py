"""The model card: what was trained, how, and the quality at every dim. Every number was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kukla.space import Space
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.data import Examples

__all__ = ["interval", "model_card"]


def model_card(
    config: TrainConfig,
    space: Space,
    examples: Examples,
    quality: dict[str, dict[str, Any]],
    curves: Curves,
    step: int,
) -> str:
    """Markdown, with the front matter that the Hugging Face hub reads."""
    dims = sorted(config.dims, reverse=True)
    shown = config.to_dict()
    told = [key for key in shown if key not in ("base", "data", "out", "dims", "dev", "test")]
    return "\n".join([
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "tags: [sentence-transformers, matryoshka, kukla]",
        "---",
        f"# {Path(config.out).resolve().name}",
        "",
        f"A Matryoshka embedding model of {space.dim} dims, trained from `{Path(config.base).name}` at "
        f"{', '.join(map(str, dims))} dims by `kukla train`. "
        "Any of these prefixes, renormalised, is an embedding:",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        f'model = SentenceTransformer("{Path(config.out).name}", truncate_dim={dims[-1]})',
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| revision | `{space.revision}` (SHA-256 of names and bytes of its files) |",
        f"| data | `{Path(config.data).name}`: {len(examples):,} rows of {', '.join(examples.names)} "
        f"(fingerprint `{examples.fingerprint}`) |",
        f"| step | {step:,}{' (the best on ' + Path(config.dev).name + ')' if config.dev else ''} |",
        *(f"| {key} | {shown[key]} |" for key in told if shown[key] is not None),
        "",
        *_quality(quality),
        *_watched(config, curves, step),
        "",
    ])  # fmt: skip


def _quality(quality: dict[str, dict[str, Any]]) -> list[str]:
    if not quality:
        return ["No test set was named (`test`): the quality of this model was not measured at the end.", ""]
    lines = []
    for name, found in quality.items():
        after, before = found["after"], found["before"]
        lines += [
            f"## {name}",
            "",
            f"nDCG@10, {after['queries']:,} queries, {after['documents']:,} documents, exact search; 95 % "
            'intervals over queries. "Of full" is the share of this model\'s whole vectors.',
            "",
            "| dims | base | this model | of full |",
            "|---|---|---|---|",
        ]
        olds = {row["dim"]: row["qualities"]["nDCG@10"] for row in before["rows"]}
        for row in sorted(after["rows"], key=lambda row: -row["dim"]):
            new, old = row["qualities"]["nDCG@10"], olds[row["dim"]]
            share = new["relative"]
            kept = "-" if share is None else interval(share, 100, 1, " %")
            lines.append(f"| {row['dim']} | {interval(old['mean'])} | {interval(new['mean'])} | {kept} |")
        lines += ["", *(f"- {note}" for note in after["notes"]), ""]
    return lines


def interval(found: dict[str, float], scale: float = 1, digits: int = 3, unit: str = "") -> str:
    mean, low, high = (f"{scale * found[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean}{unit} [{low}, {high}]"


def _watched(config: TrainConfig, curves: Curves, step: int) -> list[str]:
    if config.dev is None or step not in curves.quality:
        return []
    values = curves.quality[step]
    return [
        f"On the dev set `{Path(config.dev).name}`, which chose the step (so it flatters): "
        + ", ".join(f"{values[dim]:.3f} at {dim}" for dim in sorted(values, reverse=True))
        + " dims.",
    ]
