"""Texts per second: ``python -m recipes.builtin_model.speed DATA_FOLDER [--model MODEL_FOLDER]``.

One core, in process time, so that another process costs nothing but cache. The model and its teacher take
turns at the same texts, and a ratio is of one turn: what slows the machine for a while slows both.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from benchmarks.peers.make_sets import read_windows

from kukla import kernels
from kukla.embed.load import builtin_folder
from kukla.embed.static import StaticEmbedder
from kukla.train.static.teacher import load_teacher, teacher_vectors

from . import data, distil

__all__ = ["beside_teacher", "read_texts", "speed"]

TURNS = 3
TEACHER_TEXTS = 300
_AGAIN = 40  # times that the static model reads the teacher's texts: once takes milliseconds


def read_texts(folder: Path) -> dict[str, list[str]]:
    """Texts of two lengths: titles of arXiv, and titled windows of Wikipedia."""
    titles = [passage.head for passage in data.SOURCES[0].passages(folder)]
    return {"titles": titles[:20_000], "windows": read_windows(folder, 20_000)}


def speed(
    model: StaticEmbedder, processor: sentencepiece.SentencePieceProcessor, texts: list[str], small: int = 64
) -> dict[str, Any]:
    """Texts per second of one core (best of three) at full and at ``small`` dims."""
    whole = min(_seconds(lambda: model.encode_documents(texts)) for _ in range(TURNS))
    short = min(_seconds(lambda: model.encode_documents(texts, dim=small)) for _ in range(TURNS))
    cutting = min(_seconds(lambda: processor.encode(texts, num_threads=1)) for _ in range(TURNS))
    return {
        "texts_per_second": len(texts) / whole,
        "texts_per_second_small": len(texts) / short,
        "small_dim": small,
        "tokenising_share": cutting / whole,
        "words": _words(texts),
        "kernels": kernels.active(),
        "cpu": _cpu(),
    }


def beside_teacher(
    model: StaticEmbedder, texts: Sequence[str], turns: int = TURNS
) -> dict[str, float | list[float]]:
    """Texts per second of the model and of its teacher, one thread each, and their ``ratios``, one a turn.

    The teacher reads `TEACHER_TEXTS` of ``texts`` (64 of about one length at once, as sentence-transformers
    sorts them), the model the same, many times over.
    """
    chosen = list(texts[:TEACHER_TEXTS])
    teacher = load_teacher(distil.TEACHER)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        teacher_vectors(teacher, chosen[:64])  # the first call allocates
        ours, theirs = [], []
        for _ in range(turns):
            theirs.append(len(chosen) / _seconds(lambda: teacher_vectors(teacher, chosen)))
            again = _seconds(lambda: [model.encode_documents(chosen) for _ in range(_AGAIN)])
            ours.append(_AGAIN * len(chosen) / again)
    finally:
        torch.set_num_threads(threads)
    return {
        "texts": len(chosen),
        "words": _words(chosen),
        "model": float(np.median(ours)),
        "teacher": float(np.median(theirs)),
        "ratios": [mine / other for mine, other in zip(ours, theirs, strict=True)],
    }


def _seconds(work: Callable[[], object]) -> float:
    since = time.process_time()
    work()
    return time.process_time() - since


def _words(texts: Sequence[str]) -> float:
    return float(np.mean([len(text.split()) for text in texts]))


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [x for x in info.read_text().splitlines() if x.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor()


def main() -> None:
    """Print both measurements as JSON, one line a kind of texts."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin_model.speed", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/ and wikipedia/")
    parser.add_argument("--model", type=Path, default=builtin_folder(), help="a model folder")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    model = StaticEmbedder.load(options.model)
    for kind, texts in read_texts(options.data).items():
        print(json.dumps({"texts": kind, **beside_teacher(model, texts, options.turns)}), flush=True)


if __name__ == "__main__":
    main()
