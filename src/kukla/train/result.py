"""The result of a run: a folder that sentence-transformers loads, which says of itself what was trained."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from kukla.embed.sentence_transformer import SentenceTransformerEmbedder
from kukla.train.card import model_card
from kukla.train.checkpoints import RunFolder, write_atomically
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves
from kukla.train.data import Examples
from kukla.train.dev import Collection

__all__ = ["Before", "write_result"]

Before = dict[str, dict[str, Any]]
"""By the name of a test set, what ``QualityCurve.as_dict`` gives."""


def write_result(
    model: Any,
    config: TrainConfig,
    folder: RunFolder,
    examples: Examples,
    tests: list[Collection],
    before: Before,
    curves: Curves,
    step: int,
) -> dict[str, dict[str, Any]]:
    """Write model, ``space.json`` with canaries, and card; the quality of each test set, before and after.

    The trained dims are in ``config_sentence_transformers.json`` (``matryoshka_dims``) and, of transformers,
    in ``config.json`` (``is_matryoshka``, ``matryoshka_dimensions``), where vLLM looks for them.

    Raises
    ------
    VectorError
        The trained model gives NaN or infinity.
    """
    dims = sorted(config.dims, reverse=True)
    transformer = getattr(model[0], "auto_model", None)
    if transformer is not None:
        transformer.config.is_matryoshka = True
        transformer.config.matryoshka_dimensions = dims
    model.save_pretrained(str(folder.out), create_model_card=False)
    path = folder.out / "config_sentence_transformers.json"
    stated = json.loads(path.read_bytes()) | {"matryoshka_dims": dims}
    write_atomically(path, (json.dumps(stated, indent=2, sort_keys=True) + "\n").encode())
    (folder.out / "space.json").unlink(missing_ok=True)
    space = SentenceTransformerEmbedder.load(folder.out, device="cpu").space
    space = dataclasses.replace(space, trained_dims=tuple(reversed(dims)))
    text = json.dumps(space.to_dict(), ensure_ascii=False, indent=1)
    write_atomically(folder.out / "space.json", (text + "\n").encode())
    quality: dict[str, dict[str, Any]] = {}
    for one in tests:
        documents, queries = one.vectors(model, config.batch)
        after = one.quality(documents, queries, config.dims).as_dict()
        quality[one.name] = {"before": before[one.name], "after": after}
    folder.keep("quality", quality)
    card = model_card(config, space, examples, quality, curves, step)
    write_atomically(folder.out / "README.md", card.encode())
    return quality
