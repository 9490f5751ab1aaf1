"""Our losses and those of sentence-transformers give the same numbers and the same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

from kukla.errors import InputError
from kukla.train.objectives import (
    Classification,
    CoSent,
    CosineRegression,
    Divergence,
    InBatch,
    Nested,
    NestedHeads,
    Triplet,
)
from kukla.train.sentence_loss import SentenceLoss

from .conftest import sentences

DIMS, WEIGHTS = (32, 16, 8), (1.0, 0.5, 2.0)
ROWS = 6
SCORES = torch.tensor([0.1, 0.9, 0.4, 0.4, 0.0, 0.7])


def batch(model: Any, columns: int) -> list[dict[str, torch.Tensor]]:
    texts = sentences(ROWS * columns)
    return [model.preprocess(texts[start : start + ROWS]) for start in range(0, ROWS * columns, ROWS)]


def run(model: Any, loss: Any, columns: int, labels: Any = SCORES) -> tuple[float, dict[str, torch.Tensor]]:
    """The value and every gradient, dropout drawn from one seed."""
    model.train()
    model.zero_grad()
    torch.manual_seed(3)
    value = loss(batch(model, columns), labels)
    value.backward()
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    return value.item(), gradients


def assert_same(ours: tuple[float, Any], theirs: tuple[float, Any]) -> None:
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    assert len(ours[1]) > 0
    for name, gradient in ours[1].items():
        torch.testing.assert_close(gradient, theirs[1][name], rtol=1e-3, atol=1e-5)


PAIRS: dict[str, tuple[Any, Any, int]] = {
    "MultipleNegativesRankingLoss": (InBatch(), losses.MultipleNegativesRankingLoss, 2),
    "MultipleNegativesRankingLoss, hard negatives": (InBatch(), losses.MultipleNegativesRankingLoss, 3),
    "CoSENTLoss": (CoSent(), losses.CoSENTLoss, 2),
    "CosineSimilarityLoss": (CosineRegression(), losses.CosineSimilarityLoss, 2),
    "TripletLoss": (
        Triplet(0.5, "euclidean"),
        lambda model: losses.TripletLoss(model, triplet_margin=0.5),
        3,
    ),
}


@pytest.mark.parametrize(("core", "theirs", "columns"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("kind", ["transformer", "static_model"])
def test_matryoshka_of_each_core(
    kind: str, core: Any, theirs: Any, columns: int, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    ours = SentenceLoss(model, Nested(DIMS, core, WEIGHTS))
    reference = losses.MatryoshkaLoss(model, theirs(model), list(DIMS), list(WEIGHTS))
    assert_same(run(model, ours, columns), run(model, reference, columns))


def test_cached_is_theirs_and_is_the_whole_batch(transformer: Any) -> None:
    nested = Nested(DIMS, InBatch(), WEIGHTS)
    cached = run(transformer, SentenceLoss(transformer, nested, mini_batch_size=4), 3)
    core = losses.CachedMultipleNegativesRankingLoss(transformer, mini_batch_size=4)
    reference = losses.MatryoshkaLoss(transformer, core, list(DIMS), list(WEIGHTS))
    assert_same(cached, run(transformer, reference, 3))
    # Without dropout, whose draws depend on how the batch is cut, it is the loss of the uncut batch.
    for module in transformer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    whole = run(transformer, SentenceLoss(transformer, nested), 3)
    assert_same(run(transformer, SentenceLoss(transformer, nested, mini_batch_size=4), 3), whole)


def test_cached_batches_take_any_objective(transformer: Any) -> None:
    for module in transformer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    nested = Nested(DIMS, InBatch(), divergence=Divergence("l2"), precisions=["float32", "int8"])
    whole = run(transformer, SentenceLoss(transformer, nested), 2)
    assert_same(run(transformer, SentenceLoss(transformer, nested, mini_batch_size=2), 2), whole)


def test_two_dimensional_is_theirs(transformer: Any) -> None:
    """Layers x dims (2D Matryoshka, arXiv 2402.14776): their decorator around our loss or theirs."""
    ours = losses.AdaptiveLayerLoss(transformer, SentenceLoss(transformer, Nested(DIMS, InBatch())))
    core = losses.MultipleNegativesRankingLoss(transformer)
    theirs = losses.AdaptiveLayerLoss(transformer, losses.MatryoshkaLoss(transformer, core, list(DIMS)))
    for loss in (ours, theirs):
        loss.n_layers_per_step = -1  # all of them: nothing is drawn
        loss.kl_temperature = 0  # over their MatryoshkaLoss it would see the 8-prefix only
    assert_same(run(transformer, ours, 2), run(transformer, theirs, 2))


def test_parts_are_the_means_of_what_was_seen(transformer: Any) -> None:
    loss = SentenceLoss(transformer, Nested(DIMS, InBatch(), WEIGHTS))
    values = [run(transformer, loss, 2)[0] for _ in range(2)]
    parts = loss.take_parts()
    assert list(parts) == list(DIMS)
    total = sum(weight * parts[dim] for weight, dim in zip(WEIGHTS, DIMS, strict=True))
    assert total == pytest.approx(sum(values) / 2, rel=1e-5)
    assert loss.take_parts() == {}


def test_a_frozen_teacher_is_a_target_and_nothing_else(transformer: Any, transformer_folder: Any) -> None:
    teacher = SentenceTransformer(str(transformer_folder), device="cpu")
    loss = SentenceLoss(transformer, Nested((32,), divergence=Divergence("l2")), teacher=teacher)
    assert {name.split(".")[0] for name, _ in loss.named_parameters()} == {"model"}
    transformer.eval()
    assert loss(batch(transformer, 2), None).item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert loss(batch(transformer, 2), None).item() > 1e-5


def test_heads_are_trained_with_the_model(transformer: Any) -> None:
    core = Classification(NestedHeads((32, 8), 3, shared=True))
    loss = SentenceLoss(transformer, Nested((32, 8), core, renormalise=False))
    run(transformer, loss, 1, torch.tensor([0, 1, 2, 2, 1, 0]))
    heads = [one for name, one in loss.named_parameters() if name.startswith("core.heads")]
    assert len(heads) == 2
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in heads)


def test_static_models_need_no_cache(static_model: Any) -> None:
    with pytest.raises(InputError, match="static model"):
        SentenceLoss(static_model, Nested(DIMS, InBatch()), mini_batch_size=4)
