"""Small encoders, trained by `kukla.train.objectives` and nothing else.

One function trains all: MRL (a head a dim), MRL-E (slices of one head), and the fixed-size models that they
are held against, which are the same encoder with an output of that size and one head. Same steps, same
optimiser, same order of batches; nothing was tuned for any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.beyond_text.tasks import Split, Task
from kukla.evaluate import LinearScores
from kukla.train.objectives import Classification, Nested, NestedHeads

__all__ = ["Trained", "train"]

BATCH = 64
LEARNING_RATE = 2e-3
HIDDEN = 256


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Embeddings (n, width) of all rows of the task, not normalised, and the classifiers of prefixes."""

    embeddings: NDArray[np.float32]
    scores: LinearScores
    loss: float


def train(task: Task, split: Split, dims: Sequence[int], *, shared: bool = False) -> Trained:
    """The encoder's output has ``max(dims)`` dims; the seed is the fold."""
    torch.manual_seed(split.fold)
    inputs, labels = torch.from_numpy(task.inputs(split)), torch.from_numpy(task.labels)
    encoder = _encoder(task, max(dims))
    heads = NestedHeads(dims, task.classes, shared=shared)
    # The paper's classifiers see prefixes as they are.
    loss = Nested(dims, Classification(heads), renormalise=False)
    parameters = [*encoder.parameters(), *heads.parameters()]
    steps = task.epochs * (len(split.train) // BATCH)
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    rows = torch.from_numpy(split.train)
    order = torch.Generator().manual_seed(split.fold)
    for _ in range(task.epochs):
        batches = rows[torch.randperm(len(rows), generator=order)].split(BATCH)
        for batch in batches[: len(rows) // BATCH]:
            optimiser.zero_grad()
            value = loss([encoder(inputs[batch])], labels[batch])
            value.backward()
            optimiser.step()
            schedule.step()
    encoder.eval()
    with torch.no_grad():
        embeddings = torch.cat([encoder(part) for part in inputs.split(512)]).numpy()
    return Trained(embeddings, LinearScores(heads.arrays()), float(value.detach()))


def _encoder(task: Task, width: int) -> Any:
    nn = torch.nn
    if task.features.ndim == 2:
        return nn.Sequential(nn.Linear(task.features.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 7 * 7, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width),
    )  # fmt: skip
