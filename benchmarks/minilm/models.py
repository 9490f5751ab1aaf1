"""The trained models: the learning rate chosen on held-out pairs, then one run with MRL and one without."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kukla.errors import InputError
from kukla.train.checkpoints import MARKER, RunFolder
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.run import train_model

__all__ = ["DIMS", "EVERY", "VARIANTS", "Recipe", "choose_rate", "train_variant"]

# 32 of 384 dims are 8.3 %: the size at which sentence-transformers states its models.
DIMS = (384, 192, 96, 48, 32, 24)
VARIANTS = {"mrl": DIMS, "plain": DIMS[:1]}
EVERY = 25
_MEASURE = "nDCG@10"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What all runs share."""

    steps: int
    batch: int = 64
    max_tokens: int = 64
    mixed: str = "bf16"
    pilot_steps: int = 40
    rates: tuple[float, ...] = (2e-5, 5e-5)


def choose_rate(recipe: Recipe, train: Path, dev: Path, folder: Path, say: Say) -> tuple[float, list[Any]]:
    """The learning rate with the best mean nDCG@10 over dims on held-out pairs after a short run with MRL.

    It is chosen for MRL and given to both runs: if it is a handicap, then of the run without.
    """
    found = []
    for rate in recipe.rates:
        keys = {"dims": DIMS, "steps": recipe.pilot_steps, "every": recipe.pilot_steps, "test": (str(dev),)}
        (quality,) = _train(recipe, train, folder / f"pilot-{rate:g}", rate, keys, say).values()
        means = {when: _mean(quality[when]) for when in ("before", "after")}
        found.append({"learning_rate": rate, **means})
        say(f"learning rate {rate:g}: {means['after']:.4f} on held-out pairs, the base {means['before']:.4f}")
    return max(found, key=lambda one: one["after"])["learning_rate"], found


def train_variant(
    name: str, recipe: Recipe, rate: float, train: Path, folder: Path, say: Say, *, stop: int | None = None
) -> Path:
    """The folder of a model; all have the same data in the same order, seed and steps.

    With ``stop``, that of its checkpoint after so many of the steps, where training stops: as far as there
    was time. It may go on from there later.
    """
    keys = {"dims": VARIANTS[name], "steps": recipe.steps, "every": EVERY}
    checkpoint = None if stop is None else RunFolder(folder / name).checkpoints / f"checkpoint-{stop}"
    if checkpoint is None or not (checkpoint / MARKER).is_file():
        _train(recipe, train, folder / name, rate, keys, say, checkpoint)
    return checkpoint or folder / name


def _train(
    recipe: Recipe,
    train: Path,
    out: Path,
    rate: float,
    keys: dict[str, Any],
    say: Say,
    until: Path | None = None,
) -> dict[str, Any]:
    """Train, or go on where a run was stopped, or read what a finished one has measured."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    config = TrainConfig(
        base="all-MiniLM-L6-v2", data=str(train), out=str(out), learning_rate=rate, batch=recipe.batch,
        max_tokens=recipe.max_tokens, mixed=recipe.mixed, **keys,
    )  # fmt: skip
    folder = RunFolder(out)
    state = folder.state / "run.json"
    if state.is_file():
        run = json.loads(state.read_bytes())
        if run["finished"]:
            wanted = config.to_dict()
            told = run["told"]
            other = [key for key in wanted if key != "out" and told.get(key, wanted[key]) != wanted[key]]
            if other or until is not None:
                what = ", ".join(other) or "finished, and its checkpoints are gone"
                raise InputError(f"{out}: another run is there: {what}; remove it, or take another folder")
            kept: dict[str, Any] = folder.kept("quality")
            return kept

    def watch(curves: Curves) -> None:
        say(f"{out.name}: step {curves.step} of {curves.total_steps}")
        if until is not None and (until / MARKER).is_file():
            raise _Stopped

    try:
        return train_model(config, resume=state.is_file(), say=say, watch=watch).quality
    except _Stopped:
        say(f"{out.name}: stopped at {until}")
        return {}


class _Stopped(Exception):
    """The checkpoint that was waited for is whole."""


def _mean(curve: dict[str, Any]) -> float:
    values = [row["qualities"][_MEASURE]["mean"]["mean"] for row in curve["rows"]]
    return float(sum(values) / len(values))
