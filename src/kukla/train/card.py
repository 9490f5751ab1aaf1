"""The model card: what was trained, how, and the quality at every dim. Every number was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kukla.space import Space
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.data import Examples

__all__ = ["interval", "model_card", "shallow_card"]


def model_card(
    config: TrainConfig,
    space: Space,
    examples: list[Examples],
    quality: dict[str, dict[str, Any]],
    curves: Curves,
    step: int,
) -> str:
    """Markdown, with the front matter that the Hugging Face hub reads."""
    dims = sorted(config.dims, reverse=True)
    shown = config.to_dict()
    told = [key for key in shown if key not in ("base", "data", "loss", "out", "dims", "dev", "test")]
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
        *(
            f"| data | `{Path(part.path).name}`: {len(one):,} rows of {', '.join(one.names)}, "
            f"loss {part.loss} (fingerprint `{one.fingerprint}`) |"
            for part, one in zip(config.parts, examples, strict=True)
        ),
        f"| step | {step:,}{' (the best on ' + Path(config.dev).name + ')' if config.dev else ''} |",
        *(f"| {key} | {shown[key]} |" for key in told if shown[key] is not None),
        "",
        *_quality(quality),
        *_layers(config, quality),
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


def shallow_card(config: TrainConfig, space: Space, count: int, quality: dict[str, dict[str, Any]]) -> str:
    """The card of the first ``count`` layers of a 2D model; how it was trained is in the card above it."""
    name, dims = Path(config.out).resolve().name, sorted(config.dims, reverse=True)
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "tags: [sentence-transformers, matryoshka, kukla]",
        "---",
        f"# {name}, the first {count} layer{'s' if count > 1 else ''}",
        "",
        f"Cut from `{name}`, a 2D Matryoshka model by `kukla train`: revision "
        f"`{space.revision}`, {space.dim} dims, trained at {', '.join(map(str, dims))}. "
        "**Its vectors are another space than those of all layers**: one index holds, and is asked with, "
        "vectors of one of them.",
        "",
    ]
    if not quality:
        return "\n".join([*lines, "No test set was named (`test`): its quality was not measured.", ""])
    for test, found in quality.items():
        whole = {row["dim"]: row["qualities"]["nDCG@10"] for row in found["after"]["rows"]}
        lines += [f"## {test}", "", "nDCG@10, 95 % intervals over queries.", ""]
        lines += ["| dims | all layers | this model |", "|---|---|---|"]
        for row in sorted(found["layers"][str(count)]["rows"], key=lambda row: -row["dim"]):
            own, other = row["qualities"]["nDCG@10"]["mean"], whole[row["dim"]]["mean"]
            lines.append(f"| {row['dim']} | {interval(other)} | {interval(own)} |")
        lines.append("")
    return "\n".join(lines)


def _layers(config: TrainConfig, quality: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each number of layers, a column for each dim."""
    if not config.layers:
        return []
    lines = []
    for name, found in quality.items():
        depths = {int(count): curve for count, curve in found["layers"].items()}
        depths[max(depths, default=0) + 1] = found["after"]
        dims = sorted((row["dim"] for row in found["after"]["rows"]), reverse=True)
        lines += [
            f"## {name}, by layers",
            "",
            "nDCG@10 of the first layers alone, 95 % intervals over queries.",
            "",
            "| layers | " + " | ".join(map(str, dims)) + " |",
            "|---" * (len(dims) + 1) + "|",
        ]
        for count, curve in sorted(depths.items(), reverse=True):
            means = {row["dim"]: interval(row["qualities"]["nDCG@10"]["mean"]) for row in curve["rows"]}
            lines.append(f"| {count} | " + " | ".join(means[dim] for dim in dims) + " |")
        lines.append("")
    if config.keep_layers:
        folders = ", ".join(f"`layers-{count}`" for count in sorted(config.keep_layers))
        lines += [f"Models of the first layers alone, each a space of its own: {folders}.", ""]
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
