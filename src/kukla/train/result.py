"""The result of a run: a folder that sentence-transformers loads, which says of itself what was trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kukla.embed.sentence_transformer import SentenceTransformerEmbedder
from kukla.space import Space
from kukla.train.card import model_card, shallow_card
from kukla.train.checkpoints import RunFolder, write_atomically
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.data import Examples
from kukla.train.dev import Collection
from kukla.train.shallow import first_layers, layer_count

__all__ = ["Before", "write_result"]

Before = dict[str, dict[str, Any]]
"""By the name of a test set, what ``QualityCurve.as_dict`` gives."""


def write_result(
    model: Any,
    config: TrainConfig,
    folder: RunFolder,
    examples: list[Examples],
    tests: list[Collection],
    before: Before,
    curves: Curves,
    step: int,
) -> dict[str, dict[str, Any]]:
    """Write model, ``space.json`` with canaries, and card; the quality of each test set, before and after.

    Of a 2D model (``layers``), the quality is measured at every number of layers, and models of the first of
    them (``keep_layers``) are written into folders ``layers-N`` of the result, complete in themselves.

    The trained dims are in ``config_sentence_transformers.json`` (``matryoshka_dims``) and, of transformers,
    in ``config.json`` (``is_matryoshka``, ``matryoshka_dimensions``), where vLLM looks for them.

    Raises
    ------
    VectorError
        The trained model gives NaN or infinity.
    """
    dims = sorted(config.dims, reverse=True)
    space = _write_model(model, folder.out, dims)
    quality: dict[str, dict[str, Any]] = {}
    for one in tests:
        documents, queries = one.vectors(model, config.batch)
        after = one.quality(documents, queries, config.dims).as_dict()
        quality[one.name] = {"before": before[one.name], "after": after}
    if config.layers:
        _write_shallow(model, config, folder, tests, quality)
    folder.keep("quality", quality)
    card = model_card(config, space, examples, quality, curves, step)
    write_atomically(folder.out / "README.md", card.encode())
    return quality


def _write_model(model: Any, out: Path, dims: Sequence[int]) -> Space:
    transformer = getattr(model[0], "auto_model", None)
    if transformer is not None:
        transformer.config.is_matryoshka = True
        transformer.config.matryoshka_dimensions = dims
    model.save_pretrained(str(out), create_model_card=False)
    path = out / "config_sentence_transformers.json"
    stated = json.loads(path.read_bytes()) | {"matryoshka_dims": dims}
    write_atomically(path, (json.dumps(stated, indent=2, sort_keys=True) + "\n").encode())
    (out / "space.json").unlink(missing_ok=True)
    space = SentenceTransformerEmbedder.load(out, device="cpu").space
    space = dataclasses.replace(space, trained_dims=tuple(sorted(dims)))
    text = json.dumps(space.to_dict(), ensure_ascii=False, indent=1)
    write_atomically(out / "space.json", (text + "\n").encode())
    return space


def _write_shallow(
    model: Any,
    config: TrainConfig,
    folder: RunFolder,
    tests: list[Collection],
    quality: dict[str, dict[str, Any]],
) -> None:
    """Measure the model at every number of layers, as ``layers`` of each test set; write those to keep."""
    for one in tests:
        quality[one.name]["layers"] = {}
    for count in range(1, layer_count(model)):
        with first_layers(model, count):
            for one in tests:
                documents, queries = one.vectors(model, config.batch)
                found = one.quality(documents, queries, config.dims).as_dict()
                quality[one.name]["layers"][str(count)] = found
            if count in config.keep_layers:
                out = folder.out / f"layers-{count}"
                space = _write_model(model, out, sorted(config.dims, reverse=True))
                card = shallow_card(config, space, count, quality)
                write_atomically(out / "README.md", card.encode())
