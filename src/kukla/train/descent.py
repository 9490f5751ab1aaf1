"""Gradient descent on the prefix subspaces: batches, steps on the Stiefel manifold, early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError
from kukla.progress import Progress
from kukla.projection.fit_query_aware import query_weight
from kukla.train.extra import import_torch
from kukla.train.losses import contrastive, divergence, log_softmax, prefix_scores
from kukla.train.pair_batch import draw_pairs
from kukla.train.sample import Sample

__all__ = ["Settings", "Trained", "descend", "find_temperature"]

BATCH_DOCUMENTS = 1024
BATCH_QUERIES = 128
MEASURE_EVERY = 20
_MOMENTUM = 0.9
_SQUARES = 0.95
_SCALE_RATE = 0.02
_PERPLEXITY = 40.0
"""How many documents the target of a query is spread over: some more than the ten that count."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How a projection is trained: see :func:`kukla.train.fit_linear_head`."""

    dims: tuple[int, ...]
    cosine: bool
    orthonormal: bool
    steps: int
    learning_rate: float
    patience: int
    pairs_weight: float


@dataclass(frozen=True, eq=False)
class Trained:
    """The columns at the best of the measured steps; ``step`` 0 is the start. ``recalls`` of all of them."""

    columns: Floats
    step: int
    recalls: tuple[tuple[int, float], ...]


def descend(
    start: Floats,
    sample: Sample,
    settings: Settings,
    measure: Callable[[Floats], float],
    *,
    start_recall: float,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Trained:
    """Train the first ``max(dims)`` columns of ``start``.

    Orthonormal columns stay so: the gradient is projected to the tangent space and a step is drawn back by
    a QR decomposition (Absil, Mahony and Sepulchre 2008, *Optimization Algorithms on Matrix Manifolds*, 3.6.1
    and 4.1.1), which keeps the span of every prefix. Steps are momentum over the root of the mean square
    of the whole gradient, one number for all entries: Adam's (Kingma and Ba 2015) number for each entry makes
    directions that the sample says nothing about move as fast as the others.

    Raises
    ------
    InputError
        The loss is no longer finite.
    """
    torch = import_torch()
    width = settings.dims[-1]
    documents, queries = (torch.from_numpy(rows @ start) for rows in (sample.documents, sample.queries))
    temperature = find_temperature(sample, rng)
    columns = torch.eye(documents.shape[1])[:, :width].clone().requires_grad_(True)
    scales = torch.zeros(len(settings.dims), requires_grad=True)
    optimizer = torch.optim.Adam([scales], lr=_SCALE_RATE)
    momentum, square = torch.zeros_like(columns), 0.0
    best = Trained(start[:, :width], 0, ((0, start_recall),))
    best_recall, recalls = start_recall, list(best.recalls)
    for step in range(1, settings.steps + 1):
        loss = _loss(torch, documents, queries, columns, scales, sample, settings, temperature, rng)
        if not isfinite(loss.item()):
            raise InputError(
                f"the loss became {loss.item()} in step {step} at the learning rate "
                f"{settings.learning_rate:g}; a smaller one may help"
            )
        columns.grad = None
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            gradient = _tangent(columns, columns.grad) if settings.orthonormal else columns.grad
            momentum = _MOMENTUM * momentum + (1 - _MOMENTUM) * gradient
            square = _SQUARES * square + (1 - _SQUARES) * float(gradient.square().sum())
            direction = momentum / (1 - _MOMENTUM**step)
            if settings.orthonormal:
                direction = _tangent(columns, direction)
            length = (square / (1 - _SQUARES**step)) ** 0.5
            falling = 0.5 * (1 + cos(pi * (step - 1) / settings.steps))
            if length > 0:
                columns -= settings.learning_rate * falling / length * direction
            if settings.orthonormal:
                q, r = torch.linalg.qr(columns)
                columns.copy_(q * torch.where(torch.diagonal(r) < 0, -1.0, 1.0))
        if progress is not None:
            progress(step, settings.steps)
        if step % MEASURE_EVERY and step != settings.steps:
            continue
        found = start @ columns.detach().numpy()
        recalls.append((step, measure(found)))
        if recalls[-1][1] > best_recall:
            best_recall, best = recalls[-1][1], Trained(found, step, ())
        elif step - best.step >= settings.patience:
            break
    if progress is not None:
        progress(settings.steps, settings.steps)
    return Trained(best.columns, best.step, tuple(recalls))


def _tangent(columns: Any, direction: Any) -> Any:
    """``direction`` without what would change lengths and angles of the columns."""
    along = columns.T @ direction
    return direction - columns @ ((along + along.T) / 2)


def _loss(
    torch: Any, documents: Any, queries: Any, columns: Any, scales: Any, sample: Sample, settings: Settings,
    temperature: float, rng: np.random.Generator,
) -> Any:  # fmt: skip
    dims, cosine = settings.dims, settings.cosine
    chosen = rng.permutation(len(documents))[:BATCH_DOCUMENTS]
    batch = documents[torch.from_numpy(chosen)]
    learned = batch @ columns

    def scored(asked: Any) -> Any:
        return prefix_scores(asked @ columns, learned, dims, cosine=cosine)

    def against_full(asked: Any, hidden: Any = None) -> Any:
        target = log_softmax(asked @ batch.T, temperature, hidden)
        return divergence(target, scored(asked), scales, temperature=temperature, hidden=hidden)

    own = torch.from_numpy(rng.choice(len(chosen), min(BATCH_QUERIES, len(chosen)), replace=False))
    hidden = torch.zeros((len(own), len(chosen)), dtype=torch.bool)
    hidden[torch.arange(len(own)), own] = True
    total = against_full(batch[own], hidden)
    if len(queries):
        share = query_weight(len(queries), documents.shape[1])
        drawn = rng.choice(len(queries), min(BATCH_QUERIES, len(queries)), replace=False)
        total = (1 - share) * total + share * against_full(queries[torch.from_numpy(drawn)])
    if len(sample.pairs):
        pairs = draw_pairs(sample.pairs, chosen, queries=BATCH_QUERIES, documents=BATCH_DOCUMENTS, rng=rng)
        batch = documents[torch.from_numpy(pairs.documents)]
        learned = batch @ columns
        total = (1 - settings.pairs_weight) * total + settings.pairs_weight * contrastive(
            scored(queries[torch.from_numpy(pairs.queries)]),
            scales,
            torch.from_numpy(pairs.positives),
            temperature=temperature,
            hidden=torch.from_numpy(pairs.also_relevant),
        )
    return total


def find_temperature(sample: Sample, rng: np.random.Generator) -> float:
    """The temperature at which the softmax of the full scores is spread over about 40 documents of a batch.

    The median perplexity over some queries, found by bisection: models differ in how far their cosines
    spread.
    """
    documents = sample.documents[rng.permutation(len(sample.documents))[:BATCH_DOCUMENTS]]
    asked = (sample.queries if len(sample.queries) else sample.held_out)[:200]
    scores = (asked @ documents.T).astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    wanted = min(_PERPLEXITY, len(documents) / 4)
    spread = float(scores.std()) or 1.0
    low, high = 1e-4 * spread, 1e2 * spread
    for _ in range(40):
        middle = (low * high) ** 0.5
        weights = np.exp(scores / middle)
        weights /= weights.sum(axis=1, keepdims=True)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1)
        low, high = (middle, high) if np.median(np.exp(entropy)) < wanted else (low, middle)
    return float(np.sqrt(low * high))
