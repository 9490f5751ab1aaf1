"""Losses: what torch computes is what slow loops over NumPy numbers say, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kukla.train.losses import contrastive, divergence, log_softmax, prefix_scores

DIMS = (2, 3, 6)
TEMPERATURE = 0.3
SCALES = np.array([0.1, -0.2, 0.3])
RNG = np.random.default_rng(0)
QUERIES, DOCUMENTS = RNG.standard_normal((4, 6)), RNG.standard_normal((7, 6))
MATRIX = np.linalg.qr(RNG.standard_normal((6, 6)))[0]
HIDDEN = np.zeros((4, 7), dtype=bool)
HIDDEN[[0, 2], [5, 1]] = True
POSITIVES = np.array([1, 0, 6, 3])


def slow_score(query: np.ndarray, document: np.ndarray, dim: int, cosine: bool) -> float:
    a, b = query[:dim], document[:dim]
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / (np.linalg.norm(a) * np.linalg.norm(b)) if cosine else dot


def slow_probabilities(scores: list[float], hidden: np.ndarray) -> list[float]:
    weights = [0.0 if out else np.exp(score / TEMPERATURE) for score, out in zip(scores, hidden, strict=True)]
    return [weight / sum(weights) for weight in weights]


def slow_divergence(matrix: np.ndarray, cosine: bool) -> float:
    total = 0.0
    for scale, dim in zip(SCALES, DIMS, strict=True):
        for query, hidden in zip(QUERIES, HIDDEN, strict=True):
            full = slow_probabilities([float(query @ document) for document in DOCUMENTS], hidden)
            short = slow_probabilities(
                [np.exp(scale) * slow_score(query @ matrix, d @ matrix, dim, cosine) for d in DOCUMENTS],
                hidden,
            )
            total += sum(p * np.log(p / q) for p, q in zip(full, short, strict=True) if p > 0)
    return total / (len(DIMS) * len(QUERIES))


def slow_contrastive(matrix: np.ndarray, cosine: bool) -> float:
    total = 0.0
    for scale, dim in zip(SCALES, DIMS, strict=True):
        for query, hidden, positive in zip(QUERIES, HIDDEN, POSITIVES, strict=True):
            scores = [np.exp(scale) * slow_score(query @ matrix, d @ matrix, dim, cosine) for d in DOCUMENTS]
            total -= np.log(slow_probabilities(scores, hidden)[positive])
    return total / (len(DIMS) * len(QUERIES))


def fast(name: str, matrix: torch.Tensor, cosine: bool) -> torch.Tensor:
    queries, documents, hidden, scales = map(torch.from_numpy, (QUERIES, DOCUMENTS, HIDDEN, SCALES))
    scores = prefix_scores(queries @ matrix, documents @ matrix, DIMS, cosine=cosine)
    if name == "contrastive":
        return contrastive(
            scores, scales, torch.from_numpy(POSITIVES), temperature=TEMPERATURE, hidden=hidden
        )
    target = log_softmax(queries @ documents.T, TEMPERATURE, hidden)
    return divergence(target, scores, scales, temperature=TEMPERATURE, hidden=hidden)


@pytest.mark.parametrize("cosine", [True, False])
def test_scores_of_prefixes(cosine: bool) -> None:
    found = list(prefix_scores(torch.from_numpy(QUERIES), torch.from_numpy(DOCUMENTS), DIMS, cosine=cosine))
    for dim, scores in zip(DIMS, found, strict=True):
        expected = [[slow_score(q, d, dim, cosine) for d in DOCUMENTS] for q in QUERIES]
        np.testing.assert_allclose(scores.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize(
    ("name", "slow"), [("divergence", slow_divergence), ("contrastive", slow_contrastive)]
)
def test_losses_and_their_gradients(
    name: str, slow: Callable[[np.ndarray, bool], float], cosine: bool
) -> None:
    matrix = torch.from_numpy(MATRIX.copy()).requires_grad_(True)
    loss = fast(name, matrix, cosine)
    assert loss.item() == pytest.approx(slow(MATRIX, cosine), abs=1e-10)
    loss.backward()
    assert matrix.grad is not None
    for row, column in ((0, 0), (3, 1), (5, 5), (2, 4)):
        step = np.zeros((6, 6))
        step[row, column] = 1e-6
        slope = (slow(MATRIX + step, cosine) - slow(MATRIX - step, cosine)) / 2e-6
        assert matrix.grad[row, column].item() == pytest.approx(slope, abs=1e-6)


def test_whole_vectors_diverge_by_nothing_from_themselves() -> None:
    queries, documents = torch.from_numpy(QUERIES), torch.from_numpy(DOCUMENTS)
    target = log_softmax(queries @ documents.T, TEMPERATURE)
    scores = prefix_scores(queries, documents, (6,), cosine=False)
    assert divergence(target, scores, torch.zeros(1), temperature=TEMPERATURE).item() == pytest.approx(0)
