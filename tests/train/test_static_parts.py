"""The parts of a distillation: losses, batches, rows in int8, where token vectors start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch

from kukla.embed import StaticEmbedder
from kukla.embed.load import builtin_folder
from kukla.train.static import losses
from kukla.train.static.bag import Bag, Tokens
from kukla.train.static.contrast import FixedPairs, contrast, text_batches
from kukla.train.static.fidelity import neighbour_recall
from kukla.train.static.initial import initial_vectors, principal_axes, sif_weights, targets
from kukla.train.static.regress import regress
from kukla.train.static.settings import Settings
from kukla.train.static.topics import topic_batches
from kukla.train.static.vocabulary import surface
from kukla.train.static.write import quantise_rows, write_model

PIECES = builtin_folder() / "pieces.model"


def ids(*numbers: int) -> Tokens:
    return np.array(numbers, dtype=np.int32)


def quiet(_: str) -> None:
    return None


class TestVocabulary:
    @pytest.mark.parametrize(
        ("piece", "text"), [("▁word", "word"), ("ing", "ing"), ("<0x41>", "A"), ("<0xE2>", ""), ("▁", "")]
    )
    def test_a_piece_is_shown_to_the_teacher_as_text(self, piece: str, text: str) -> None:
        assert surface(piece) == text


class TestQuantisation:
    def test_every_coordinate_is_within_half_a_step(self) -> None:
        vectors = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
        rows, scales = quantise_rows(vectors)
        assert (rows.dtype, scales.dtype) == (np.int8, np.float32)
        assert np.abs(rows).max(axis=1).tolist() == [127] * 40
        error = np.abs(rows * scales[:, None] - vectors)
        assert (error <= 0.5001 * scales[:, None]).all()

    def test_a_row_of_zeros_stays_zero(self) -> None:
        rows, scales = quantise_rows(np.zeros((2, 4), dtype=np.float32))
        assert not rows.any()
        assert not scales.any()

    def test_the_model_that_is_written_is_the_model_that_loads(self, tmp_path: Path) -> None:
        size = sentencepiece.SentencePieceProcessor(model_file=str(PIECES)).get_piece_size()
        vectors = np.random.default_rng(2).normal(size=(size, 8)).astype(np.float32)
        model = write_model(tmp_path / "m", name="m", pieces=PIECES, vectors=vectors, trained_dims=(8, 4))
        assert model.space.trained_dims == (4, 8)
        assert len(model.space.canary_texts) >= 4
        assert model.space.check_canaries(
            StaticEmbedder.load(tmp_path / "m").encode_documents, tolerance=1e-5
        )


class TestInitialVectors:
    def test_frequent_pieces_weigh_less(self) -> None:
        weights = sif_weights(np.array([0, 10, 1000, 100_000]))
        assert weights[0] == 1
        assert (np.diff(weights) < 0).all()

    def test_principal_axes_are_a_rotation_with_the_widest_axis_first(self) -> None:
        rng = np.random.default_rng(3)
        vectors = (rng.normal(size=(500, 6)) * [1, 5, 2, 0.1, 3, 0.5] + 7).astype(np.float32)
        axes = principal_axes(vectors)
        np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-5)
        spread = (vectors @ axes).std(axis=0)
        assert (np.diff(spread) < 0).all()
        np.testing.assert_allclose(np.linalg.norm(targets(vectors, axes), axis=1), 1, atol=1e-5)

    def test_dims_beyond_the_teacher_start_as_small_noise(self) -> None:
        rng = np.random.default_rng(4)
        pieces = rng.normal(size=(30, 6)).astype(np.float32)
        start = initial_vectors(pieces, np.eye(6, dtype=np.float32), np.zeros(30, np.int64), 10, rng)
        assert start.shape == (30, 10)
        assert np.abs(start[:, 6:]).max() < 0.1 < np.abs(start[:, :6]).max()


class TestTraining:
    def test_matching_pairs_have_the_smallest_contrastive_loss(self) -> None:
        torch.manual_seed(0)
        x = torch.randn(8, 16)
        none = torch.zeros(8, 8, dtype=torch.bool)
        right = losses.contrastive_loss(x, x, none, (16, 8), 20)
        assert right < losses.contrastive_loss(x, x.roll(1, 0), none, (16, 8), 20)

    def test_false_negatives_do_not_count(self) -> None:
        x = torch.ones(2, 4)
        same = torch.tensor([[False, True], [True, False]])
        assert losses.contrastive_loss(x, x, same, (4, 2), 20) == pytest.approx(0, abs=1e-6)

    def test_a_student_with_the_teachers_neighbourhoods_has_no_similarity_loss(self) -> None:
        teacher = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
        turned = teacher @ torch.linalg.qr(torch.randn(8, 8))[0]
        assert losses.similarity_loss(turned, teacher, (8,), 20) == pytest.approx(0, abs=1e-4)
        assert losses.similarity_loss(teacher.roll(1, 1).relu() + 0.1, teacher, (8,), 20) > 0.1

    def test_an_epoch_has_every_row_at_most_once_in_blocks_of_one_topic(self) -> None:
        topics = np.repeat(np.arange(7), 60)
        batches = topic_batches(topics, 10, 40, np.random.default_rng(0))
        rows = np.concatenate(batches)
        assert len(rows) == len(set(rows.tolist())) == 400
        assert all(len(set(topics[block])) == 1 for batch in batches for block in batch.reshape(4, 10))

    def test_texts_whose_neighbourhoods_are_compared_come_in_blocks_of_one_topic(self) -> None:
        turns = np.linspace(0, 2 * np.pi, 5)[:4, None] + 0.01 * np.random.default_rng(2).normal(size=(4, 30))
        teacher = np.stack((np.cos(turns.ravel()), np.sin(turns.ravel())), axis=1).astype(np.float32)
        settings = Settings(topics=4, similarity_batch=20, similarity_block=5)
        batches = text_batches(teacher, settings, np.random.default_rng(0))
        drawn = [next(batches) for _ in range(40)]  # more than an epoch
        assert all(batch.shape == (20,) for batch in drawn)
        blocks = np.concatenate(drawn).reshape(-1, 5)
        assert np.mean([len(set(block // 30)) == 1 for block in blocks]) > 0.8  # some lie across an end

    def test_or_at_random(self) -> None:
        batches = text_batches(np.eye(4, dtype=np.float32), Settings(), np.random.default_rng(0))
        assert set(next(batches).tolist()) <= {0, 1, 2, 3}

    def test_a_bag_is_the_mean_of_its_rows(self) -> None:
        vectors = np.random.default_rng(5).normal(size=(9, 4)).astype(np.float32)
        means = Bag(vectors)([ids(1, 2, 2), ids(), ids(8)]).detach().numpy()
        np.testing.assert_allclose(
            means, [vectors[[1, 2, 2]].mean(axis=0), np.zeros(4), vectors[8]], atol=1e-6
        )

    def test_documents_of_the_same_head_are_no_negatives_of_a_query_that_is_it(self) -> None:
        found = losses.same_heads(np.array([7, 7, 9]), np.array([True, False, True]))
        assert found.tolist() == [[False, True, False], [False, False, False], [False, False, False]]


class TestDescent:
    """Small real descents: the loss they are for goes down."""

    settings = Settings(
        dims=(8, 4),
        batch=32,
        rounds=((4, 60),),
        topics=4,
        regress_epochs=30,
        similarity_batch=16,
        rate=0.1,
        regress_rate=0.05,
        similarity_weight=0.1,
    )

    def test_regression_makes_means_follow_the_teacher(self) -> None:
        rng = np.random.default_rng(0)
        hidden = rng.normal(size=(40, 8)).astype(np.float32)
        texts = [rng.integers(40, size=5).astype(np.int32) for _ in range(200)]
        wanted = np.stack([hidden[row].mean(axis=0) for row in texts])
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        bag = Bag(rng.normal(size=(40, 8)).astype(np.float32))
        regress(bag, texts, wanted, self.settings, rng, quiet)
        found = bag(texts).detach().numpy()
        cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1)
        assert cosines.mean() > 0.95

    def test_contrast_brings_queries_to_their_documents(self) -> None:
        """A query's words are other words than its document's: only pairs can tell."""
        rng = np.random.default_rng(1)
        queries, documents = [ids(i) for i in range(64)], [ids(64 + i) for i in range(64)]
        bag = Bag(rng.normal(size=(128, 8)).astype(np.float32))
        pairs = FixedPairs(queries, documents, self.settings)
        teacher = np.eye(64, dtype=np.float32)

        def found() -> float:
            with torch.no_grad():
                scores = losses.prefix(bag(queries), 4) @ losses.prefix(bag(documents), 4).T
            return float((scores.argmax(1) == torch.arange(64)).float().mean())

        before = found()
        contrast(bag, pairs, queries, teacher, self.settings, rng, quiet)
        assert before < 0.1 < 0.5 < found()


class TestFidelity:
    def test_a_turned_copy_keeps_every_neighbour_and_a_stranger_few(self) -> None:
        rng = np.random.default_rng(2)
        teacher = rng.normal(size=(120, 6)).astype(np.float32)
        teacher /= np.linalg.norm(teacher, axis=1, keepdims=True)
        turned = teacher @ np.linalg.qr(rng.normal(size=(6, 6)))[0].astype(np.float32)
        assert neighbour_recall(3 * turned, teacher, [6])[6] == 1
        assert neighbour_recall(rng.normal(size=(120, 6)).astype(np.float32), teacher, [6])[6] < 0.25
