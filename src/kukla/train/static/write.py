"""float32 token vectors to int8 rows with one float32 scale each, and the folder that ``static:`` loads."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kukla.embed.static import StaticEmbedder, model_revision
from kukla.space import Space

__all__ = ["quantise_rows", "write_model"]


def quantise_rows(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 rows (V, D) and scales (V,): ``rows * scales[:, None]`` is within scale/2 of ``vectors``.

    Symmetric, the largest coordinate of a row becomes +-127. A row of zeros gets scale 0.
    """
    scales = (np.abs(vectors).max(axis=1) / 127).astype(np.float32)
    safe = np.where(scales > 0, scales, 1)[:, None]
    return np.rint(vectors / safe).clip(-127, 127).astype(np.int8), scales


def write_model(
    folder: Path, *, name: str, pieces: Path, vectors: NDArray[np.float32], trained_dims: Sequence[int]
) -> StaticEmbedder:
    """Write the model files and ``space.json`` with the int8 model's canaries; return what a user loads."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, scales = quantise_rows(vectors)
    if pieces.resolve() != (folder / "pieces.model").resolve():
        shutil.copyfile(pieces, folder / "pieces.model")
    np.save(folder / "vectors.npy", rows)
    np.save(folder / "scales.npy", scales)
    space = Space(
        provider="kukla",
        model=name,
        revision=model_revision(folder),
        dim=vectors.shape[1],
        trained_dims=tuple(sorted(trained_dims)),
        pooling="mean",
    )
    _write_space(folder, space)
    space = space.with_canaries(StaticEmbedder.load(folder).encode_documents)
    rounded = tuple(tuple(round(x, 6) for x in vector) for vector in space.canary_vectors)
    _write_space(folder, dataclasses.replace(space, canary_vectors=rounded))
    return StaticEmbedder.load(folder)


def _write_space(folder: Path, space: Space) -> None:
    text = json.dumps(space.to_dict(), ensure_ascii=False, indent=1)
    (folder / "space.json").write_text(text + "\n", encoding="utf-8")
