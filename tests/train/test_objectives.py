"""Objectives: what torch computes is what slow loops say, and gradients are those of finite differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import kukla
from kukla.errors import InputError, VectorError
from kukla.train.objectives import (
    Classification,
    CoSent,
    CosineRegression,
    Divergence,
    InBatch,
    Nested,
    NestedHeads,
    Triplet,
    straight_through,
)
from kukla.train.schedule import parse_dims, parse_weights

RNG = np.random.default_rng(0)
ROWS, WIDTH, DIMS = 5, 8, (8, 2, 4)
COLUMNS = [RNG.standard_normal((ROWS, WIDTH)) for _ in range(3)]
SCORES = np.array([0.1, 0.9, 0.5, 0.5, 0.2])
CLASSES = np.array([0, 2, 1, 1, 0])


def tensors(count: int, *, gradient: bool = False) -> list[torch.Tensor]:
    return [torch.from_numpy(column.copy()).requires_grad_(gradient) for column in COLUMNS[:count]]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(a * a) * sum(b * b)))


def unit(row: np.ndarray) -> np.ndarray:
    return row / math.sqrt(sum(row * row))


# Slow references: of lists of rows, in loops.


def slow_in_batch(columns: Sequence[np.ndarray]) -> float:
    documents = [row for column in columns[1:] for row in column]
    total = 0.0
    for place, query in enumerate(columns[0]):
        weights = [math.exp(20 * cosine(query, document)) for document in documents]
        total -= math.log(weights[place] / sum(weights))
    return total / len(columns[0])


def slow_triplet(columns: Sequence[np.ndarray]) -> float:
    rows = zip(*columns, strict=True)
    return float(np.mean([max(0, cosine(a, n) - cosine(a, p) + 0.5) for a, p, n in rows]))


def slow_euclidean(columns: Sequence[np.ndarray]) -> float:
    # torch, and so sentence-transformers, adds 1e-6 to each difference of coordinates.
    rows = zip(columns[0] + 1e-6, columns[1], columns[2], strict=True)
    return float(np.mean([max(0, math.dist(a, p) - math.dist(a, n) + 0.2) for a, p, n in rows]))


def slow_regression(columns: Sequence[np.ndarray]) -> float:
    rows = zip(columns[0], columns[1], SCORES, strict=True)
    return float(np.mean([(cosine(a, b) - score) ** 2 for a, b, score in rows]))


def slow_cosent(columns: Sequence[np.ndarray]) -> float:
    cosines = [cosine(a, b) for a, b in zip(columns[0], columns[1], strict=True)]
    total = 1.0
    for i in range(ROWS):
        for j in range(ROWS):
            if SCORES[i] < SCORES[j]:
                total += math.exp(20 * (cosines[i] - cosines[j]))
    return math.log(total)


CORES: dict[str, tuple[Any, int, Any]] = {
    "in-batch": (InBatch(), 2, slow_in_batch),
    "in-batch with hard negatives": (InBatch(), 3, slow_in_batch),
    "triplet": (Triplet(), 3, slow_triplet),
    "triplet, euclidean": (Triplet(0.2, "euclidean"), 3, slow_euclidean),
    "cosine regression": (CosineRegression(), 2, slow_regression),
    "CoSENT": (CoSent(), 2, slow_cosent),
}


@pytest.mark.parametrize(("core", "columns", "slow"), CORES.values(), ids=CORES)
class TestCores:
    def test_nested_is_the_weighted_sum_over_renormalised_prefixes(
        self, core: Any, columns: int, slow: Any
    ) -> None:
        weights = (1.0, 3.0, 0.5)
        expected = sum(
            weight * slow([np.stack([unit(row[:dim]) for row in column]) for column in COLUMNS[:columns]])
            for weight, dim in zip(weights, DIMS, strict=True)
        )
        nested = Nested(DIMS, core, weights)
        assert nested(tensors(columns), torch.from_numpy(SCORES)).item() == pytest.approx(expected, abs=1e-10)

    def test_gradients(self, core: Any, columns: int, slow: Any) -> None:
        nested = Nested(DIMS, core, "small")
        labels = torch.from_numpy(SCORES)
        assert torch.autograd.gradcheck(lambda *given: nested(given, labels), tensors(columns, gradient=True))


class TestClassification:
    @pytest.mark.parametrize("shared", [False, True])
    def test_heads_are_their_own_or_slices_of_one(self, shared: bool) -> None:
        torch.manual_seed(0)
        heads = NestedHeads(DIMS, 3, shared=shared).double()
        nested = Nested(DIMS, Classification(heads), renormalise=False)
        expected = 0.0
        for dim in DIMS:
            linear = heads.heads[str(WIDTH if shared else dim)]
            weight, bias = linear.weight.detach().numpy()[:, :dim], linear.bias.detach().numpy()
            for row, label in zip(COLUMNS[0], CLASSES, strict=True):
                logits = weight @ row[:dim] + bias
                expected += (np.log(np.exp(logits).sum()) - logits[label]) / ROWS
        loss = nested(tensors(1), torch.from_numpy(CLASSES))
        assert loss.item() == pytest.approx(expected, abs=1e-10)
        assert sum(one.numel() for one in heads.parameters()) == (27 if shared else 3 * (8 + 2 + 4) + 9)

    def test_gradients_reach_heads_and_embeddings(self) -> None:
        heads = NestedHeads((4, 2), 3, shared=True).double()
        nested = Nested((4, 2), Classification(heads), renormalise=False)
        labels = torch.from_numpy(CLASSES)
        assert torch.autograd.gradcheck(lambda given: nested([given], labels), tensors(1, gradient=True))
        nested(tensors(1), labels).backward()
        assert heads.heads["4"].weight.grad.abs().min() > 0


class TestDivergence:
    @staticmethod
    def slow(kind: str, columns: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> float:
        def rows(of: Sequence[np.ndarray]) -> list[list[float]]:
            if len(of) == 1:
                own = list(of[0])
                return [[cosine(a, b) for j, b in enumerate(own) if i != j] for i, a in enumerate(own)]
            return [[cosine(a, b) for column in of[1:] for b in column] for a in of[0]]

        total = 0.0
        for found, wanted in zip(rows(columns), rows(target), strict=True):
            if kind == "l2":
                total += float(np.mean([(f - w) ** 2 for f, w in zip(found, wanted, strict=True)]))
            elif kind == "cosine":
                total += 1 - cosine(np.array(found), np.array(wanted))
            else:
                p, q = ([math.exp(20 * s) for s in scores] for scores in (wanted, found))
                total += sum(
                    a / sum(p) * math.log(a / sum(p) * sum(q) / b) for a, b in zip(p, q, strict=True)
                )
        return total / ROWS

    @pytest.mark.parametrize("kind", ["kl", "l2", "cosine"])
    @pytest.mark.parametrize("columns", [1, 2, 3])
    def test_alone_it_compares_prefixes_with_whole_vectors(self, kind: Any, columns: int) -> None:
        nested = Nested((2, 4), divergence=Divergence(kind))
        expected = sum(
            self.slow(kind, [column[:, :dim] for column in COLUMNS[:columns]], COLUMNS[:columns])
            for dim in (2, 4)
        )
        assert nested(tensors(columns)).item() == pytest.approx(expected, abs=1e-10)

    @pytest.mark.parametrize("kind", ["kl", "l2", "cosine"])
    def test_whole_vectors_do_not_diverge_from_themselves_and_are_no_target_to_move(self, kind: Any) -> None:
        given = tensors(2, gradient=True)
        loss = Nested((WIDTH,), divergence=Divergence(kind))(given)
        assert loss.item() == pytest.approx(0, abs=1e-12)
        Nested((2,), divergence=Divergence(kind))(given).backward()
        gradient = given[0].grad
        assert gradient is not None
        assert gradient[:, :2].abs().max() > 0
        # The target has no gradient: coordinates outside the prefix are only in it.
        assert gradient[:, 2:].abs().max() == 0

    @pytest.mark.parametrize("kind", ["kl", "l2", "cosine"])
    def test_gradients_with_a_teacher(self, kind: Any) -> None:
        teacher = [torch.from_numpy(RNG.standard_normal((ROWS, 3))) for _ in range(2)]
        nested = Nested(DIMS, divergence=Divergence(kind))
        assert torch.autograd.gradcheck(
            lambda *given: nested(given, targets=teacher), tensors(2, gradient=True)
        )

    def test_added_to_a_core(self) -> None:
        both = Nested((2, 4), InBatch(), divergence=Divergence("l2"), divergence_weight=0.3)(tensors(2))
        alone = Nested((2, 4), divergence=Divergence("l2"))(tensors(2))
        plain = Nested((2, 4), InBatch())(tensors(2))
        assert both.item() == pytest.approx(plain.item() + 0.3 * alone.item(), abs=1e-12)


class TestQuantised:
    @pytest.mark.parametrize("precision", ["float32", "float16", "int8", "binary"])
    def test_forward_is_what_an_index_stores_and_backward_the_identity(self, precision: str) -> None:
        rows = torch.from_numpy(kukla.truncate(COLUMNS[0], 6).astype(np.float32)).requires_grad_(True)
        stored = straight_through(rows, precision)
        expected = kukla.quantize(rows.detach().numpy(), precision).dequantize()
        np.testing.assert_allclose(stored.detach().numpy(), expected, atol=1e-7)
        stored.backward(torch.full_like(stored, 3.0))
        assert rows.grad is not None
        assert (rows.grad == 3).all()

    def test_a_row_of_zeros_stays_finite(self) -> None:
        assert straight_through(torch.zeros(1, 4), "int8").isfinite().all()

    def test_precisions_are_averaged(self) -> None:
        given = tensors(2)
        mixed = Nested((4,), InBatch(), precisions=["float32", "binary"])(given).item()
        each = [Nested((4,), InBatch(), precisions=[one])(given).item() for one in ("float32", "binary")]
        assert mixed == pytest.approx(sum(each) / 2)
        assert each[0] != pytest.approx(each[1], abs=1e-3)


class TestSampledDims:
    def test_every_dim_is_drawn_and_the_expectation_is_the_whole_sum(self) -> None:
        torch.manual_seed(0)
        given = tensors(2, gradient=True)
        nested = Nested(DIMS, InBatch(), dims_per_step=2)
        drawn = [nested.parts(given) for _ in range(300)]
        assert {len(parts) for parts in drawn} == {2}
        seen = [dim for parts in drawn for dim in parts]
        assert {dim: seen.count(dim) > 150 for dim in DIMS} == dict.fromkeys(DIMS, True)
        mean = float(np.mean([nested.total(parts).item() for parts in drawn]))
        assert mean == pytest.approx(Nested(DIMS, InBatch())(given).item(), rel=0.05)

    def test_without_gradients_all_dims_are_measured(self) -> None:
        with torch.no_grad():
            assert set(Nested(DIMS, InBatch(), dims_per_step=1).parts(tensors(2))) == set(DIMS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nested((0, 4), InBatch()), "a dim to train must be an integer from 1 to .*, got 0"),
        (lambda: Nested((4, 2, 4), InBatch()), "4 is given twice in 4, 2, 4"),
        (lambda: Nested((), InBatch()), "got none; at least one"),
        (lambda: Nested((9,), InBatch())(tensors(2)), "dims to train are up to 9, the embeddings have 8"),
        (lambda: parse_dims((9, 4), 8), "from 1 to 8, got 9"),
        (lambda: Nested((4,)), "got neither"),
        (lambda: Nested((4, 2), InBatch(), (1.0,)), "1 weights for 2 dims"),
        (lambda: Nested((4, 2), InBatch(), (1.0, -1.0)), "0 or more"),
        (lambda: Nested((4, 2), InBatch(), (1.0, float("nan"))), "0 or more"),
        (lambda: Nested((4, 2), InBatch(), "large"), "equal, small or a list"),
        (lambda: Nested((4, 2), InBatch(), dims_per_step=3), "from 1 to 2, got 3"),
        (lambda: Nested((4,), InBatch(), precisions=["int4"]), "int4"),
        (lambda: Divergence("l1"), "one of cosine, l2, kl, got 'l1'"),  # type: ignore[arg-type]
        (lambda: InBatch()(tensors(1)), "at least 2 columns of texts, got 1"),
        (lambda: Triplet()(tensors(2)), "takes 3 columns"),
        (lambda: CoSent()(tensors(2)), "one score for each of the 5 pairs, got none"),
        (lambda: NestedHeads((4,), 1), "number of classes"),
        (lambda: NestedHeads((4,), 2)(torch.zeros(1, 3)), "no head for 3 dims; trained are 4"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises((InputError, VectorError), match=message):
        make()


def test_small_weights_favour_short_prefixes_and_keep_the_mean() -> None:
    weights = parse_weights("small", (8, 32, 128))
    assert weights[0] / weights[2] == pytest.approx(4)
    assert sum(weights) == pytest.approx(3)
    assert parse_weights("equal", (8, 32)) == (1, 1)
