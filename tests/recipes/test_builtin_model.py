"""The recipe of the built-in model, without its teacher: pairs, scores, quantisation, losses, the card."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from recipes.builtin_model import data, distil, evaluate, quantise, tokenizer
from recipes.builtin_model.card import model_card

import kukla.embed
from kukla.embed import StaticEmbedder

FOLDER = Path(kukla.embed.__file__).parent / "models" / "kukla-static-en-v1"
PIECES = FOLDER / "pieces.model"


def ids(*numbers: int) -> data.Tokens:
    return np.array(numbers, dtype=np.int32)


def draw(passage: data.TokenPassage, seed: int) -> data.Pair:
    stems = [ids(900, 901)]
    rng = np.random.default_rng(seed)
    return data.make_pair(passage, rng, stems, query_tokens=20, document_tokens=30)


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ("",)),
            ("One sentence only", ("One sentence only",)),
            (
                "The first sentence is long enough. The second one is long enough too.",
                ("The first sentence is long enough.", "The second one is long enough too."),
            ),
            (
                "A name such as J. R. Smith stays whole in a sentence. Another sentence follows here.",
                ("A name such as J. R. Smith stays whole in a sentence.", "Another sentence follows here."),
            ),
            (
                "It weighs 3.5 kg and e.g. nothing else is cut here.",
                ("It weighs 3.5 kg and e.g. nothing else is cut here.",),
            ),
        ],
    )
    def test_a_text_is_cut_at_sentence_ends(self, text: str, expected: tuple[str, ...]) -> None:
        assert data.cut_sentences(text) == expected

    def test_nothing_is_lost(self) -> None:
        text = "Short. Tiny! A much longer sentence stands here? (And one in brackets follows it.) End."
        assert " ".join(data.cut_sentences(text)) == text


class TestPairs:
    body = (ids(*range(100, 110)), ids(*range(200, 210)), ids(*range(300, 310)))

    def test_inverse_cloze_asks_with_a_sentence_for_the_rest_under_its_head(self) -> None:
        passage = data.TokenPassage(ids(1, 2), self.body, ids(3), cloze=1.0, source=0)
        kept_whole = 0
        for seed in range(300):
            pair = draw(passage, seed)
            assert not pair.is_head
            words = pair.query[pair.query < 900]
            chosen = int(words[0]) // 100
            assert set(words.tolist()) <= set(self.body[chosen - 1].tolist())
            assert pair.document[:2].tolist() == [1, 2]
            kept_whole += bool(np.isin(words, pair.document).any())
        assert 0.04 < kept_whole / 300 < 0.2  # one sentence in ten stays in its document

    def test_some_cloze_queries_get_a_stem_and_some_lose_words(self) -> None:
        passage = data.TokenPassage(ids(1), self.body, ids(), cloze=1.0, source=0)
        queries = [draw(passage, seed).query for seed in range(300)]
        stems = sum(query[0] == 900 for query in queries)
        assert 60 < stems < 120
        assert all((query < 900).sum() >= 3 for query in queries)
        assert 60 < sum((query < 900).sum() < 10 for query in queries) < 160

    def test_a_head_asks_for_its_whole_body(self) -> None:
        pair = draw(data.TokenPassage(ids(1, 2), self.body, ids(3), cloze=0.0, source=0), 0)
        assert pair.is_head
        assert pair.query.tolist() == [1, 2, 3]
        assert pair.document.tolist() == np.concatenate(self.body).tolist()

    def test_a_passage_of_two_sentences_is_too_short_for_cloze(self) -> None:
        assert draw(data.TokenPassage(ids(1), self.body[:2], ids(), cloze=1.0, source=0), 0).is_head

    def test_tokens_are_cut_at_the_limits(self) -> None:
        long = ids(*range(100))
        pair = draw(data.TokenPassage(long, (long,), ids(), cloze=0.0, source=0), 0)
        assert (len(pair.query), len(pair.document)) == (20, 30)

    def test_a_seed_gives_the_same_pairs(self) -> None:
        passage = data.TokenPassage(ids(1), self.body, ids(), cloze=0.5, source=0)
        for seed in range(20):
            one, two = draw(passage, seed), draw(passage, seed)
            assert (one.query.tolist(), one.document.tolist()) == (two.query.tolist(), two.document.tolist())


class TestSources:
    def test_each_source_states_its_licence(self) -> None:
        assert all(source.licence and source.what for source in data.SOURCES)
        assert {source.name for source in data.SOURCES} == set(distil.SHARES)
        assert math.isclose(sum(distil.SHARES.values()), 1)

    def test_passages_are_read_and_tokenised(self, tmp_path: Path) -> None:
        (tmp_path / "train").mkdir()
        rows = [
            {"query": "A title", "text": "The first sentence is long enough. The second is long enough too."},
            {"query": " ", "text": "no head"},
        ]
        with gzip.open(tmp_path / "train" / "arxiv.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        passages = list(data.SOURCES[0].passages(tmp_path))
        assert [(p.head, len(p.body)) for p in passages] == [("A title", 2)]
        (done,) = data.tokens_of(passages, lambda texts: [[len(text)] for text in texts], 0)
        assert (done.head.tolist(), done.section.tolist(), len(done.body)) == ([7], [0], 2)


class TestVocabulary:
    @pytest.mark.parametrize(
        ("piece", "text"), [("▁word", "word"), ("ing", "ing"), ("<0x41>", "A"), ("<0xE2>", ""), ("▁", "")]
    )
    def test_a_piece_is_shown_to_the_teacher_as_text(self, piece: str, text: str) -> None:
        assert tokenizer.surface(piece) == text

    def test_the_shipped_vocabulary_has_no_unknown_piece(self) -> None:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(PIECES))
        rows = processor.encode(["plain words", "Ünïcödé", "中文 русский", "😀\u0300", "\U0010ffff"])
        assert all(processor.unk_id() not in row for row in rows)


class TestNdcg:
    def test_the_ideal_order_scores_one(self) -> None:
        assert evaluate.ndcg([7, 5, 3], {7: 3, 5: 2, 3: 1}) == pytest.approx(1)

    def test_nothing_relevant_found_scores_zero(self) -> None:
        assert evaluate.ndcg([1, 2], {7: 3}) == 0

    def test_a_worked_example(self) -> None:
        """Grades 0, 2, 1 found; ideal 3, 2, 1."""
        found = 2 / math.log2(3) + 1 / math.log2(4)
        ideal = 3 + 2 / math.log2(3) + 1 / math.log2(4)
        assert evaluate.ndcg([9, 5, 3], {7: 3, 5: 2, 3: 1}) == pytest.approx(found / ideal)

    def test_only_ten_places_count(self) -> None:
        assert evaluate.ndcg(list(range(20)), {10: 1}) == 0
        many = dict.fromkeys(range(20), 1)
        assert evaluate.ndcg(list(range(10)), many) == pytest.approx(1)

    def test_ties_are_ranked_by_document_number(self) -> None:
        documents = np.array([[0, 1], [1, 0], [1, 0]], dtype=np.float32)
        queries = np.array([[1, 0]], dtype=np.float32)
        assert evaluate.cosine_ranking(queries, documents).tolist() == [[1, 2, 0]]

    def test_a_collection_is_read_and_searched(self, tmp_path: Path) -> None:
        folder = tmp_path / "tiny"
        folder.mkdir()
        with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(json.dumps({"_id": "a", "title": "Kidneys", "text": "filter blood"}) + "\n")
            file.write(json.dumps({"_id": "b", "text": "A compiler translates code"}) + "\n")
        queries = [{"_id": "1", "text": "programming"}, {"_id": "2", "text": "nobody judged this"}]
        (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
        (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tb\t2\n2\ta\t0\n")
        collection = evaluate.read_collection(folder)
        assert collection.documents == ["Kidneys filter blood", "A compiler translates code"]
        assert (collection.queries, collection.judged) == (["programming"], [{1: 2}])
        model = StaticEmbedder.load(FOLDER)
        assert evaluate.nested_ndcg(model.encode_documents, collection, [512, 32])[512] == 1


class TestQuantisation:
    def test_every_coordinate_is_within_half_a_step(self) -> None:
        vectors = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
        rows, scales = quantise.quantise_rows(vectors)
        assert (rows.dtype, scales.dtype) == (np.int8, np.float32)
        assert np.abs(rows).max(axis=1).tolist() == [127] * 40
        error = np.abs(rows * scales[:, None] - vectors)
        assert (error <= 0.5001 * scales[:, None]).all()

    def test_a_row_of_zeros_stays_zero(self) -> None:
        rows, scales = quantise.quantise_rows(np.zeros((2, 4), dtype=np.float32))
        assert not rows.any()
        assert not scales.any()

    def test_the_model_that_is_written_is_the_model_that_loads(self, tmp_path: Path) -> None:
        size = sentencepiece.SentencePieceProcessor(model_file=str(PIECES)).get_piece_size()
        vectors = np.random.default_rng(2).normal(size=(size, 8)).astype(np.float32)
        model = quantise.write_model(
            tmp_path / "m", name="m", pieces=PIECES, vectors=vectors, trained_dims=(8, 4)
        )
        assert model.space.trained_dims == (4, 8)
        assert len(model.space.canary_texts) >= 4
        assert model.space.check_canaries(
            StaticEmbedder.load(tmp_path / "m").encode_documents, tolerance=1e-5
        )


class TestInitialVectors:
    def test_frequent_pieces_weigh_less(self) -> None:
        weights = distil.sif_weights(np.array([0, 10, 1000, 100_000]))
        assert weights[0] == 1
        assert (np.diff(weights) < 0).all()

    def test_principal_axes_are_a_rotation_with_the_widest_axis_first(self) -> None:
        rng = np.random.default_rng(3)
        vectors = (rng.normal(size=(500, 6)) * [1, 5, 2, 0.1, 3, 0.5] + 7).astype(np.float32)
        axes = distil.principal_axes(vectors)
        np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-5)
        spread = (vectors @ axes).std(axis=0)
        assert (np.diff(spread) < 0).all()
        np.testing.assert_allclose(np.linalg.norm(distil.targets(vectors, axes), axis=1), 1, atol=1e-5)

    def test_dims_beyond_the_teacher_start_as_small_noise(self) -> None:
        rng = np.random.default_rng(4)
        pieces = rng.normal(size=(30, 6)).astype(np.float32)
        start = distil.initial_vectors(pieces, np.eye(6, dtype=np.float32), np.zeros(30, np.int64), 10, rng)
        assert start.shape == (30, 10)
        assert np.abs(start[:, 6:]).max() < 0.1 < np.abs(start[:, :6]).max()


class TestTraining:
    """Needs torch: ``pip install 'kukla[recipe]'``."""

    def test_matching_pairs_have_the_smallest_contrastive_loss(self) -> None:
        torch = pytest.importorskip("torch")
        from recipes.builtin_model import losses

        torch.manual_seed(0)
        x = torch.randn(8, 16)
        none = torch.zeros(8, 8, dtype=torch.bool)
        right = losses.contrastive_loss(x, x, none, (16, 8), 20)
        assert right < losses.contrastive_loss(x, x.roll(1, 0), none, (16, 8), 20)

    def test_false_negatives_do_not_count(self) -> None:
        torch = pytest.importorskip("torch")
        from recipes.builtin_model import losses

        x = torch.ones(2, 4)
        same = torch.tensor([[False, True], [True, False]])
        assert losses.contrastive_loss(x, x, same, (4, 2), 20) == pytest.approx(0, abs=1e-6)

    def test_a_student_with_the_teachers_neighbourhoods_has_no_similarity_loss(self) -> None:
        torch = pytest.importorskip("torch")
        from recipes.builtin_model import losses

        teacher = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
        turned = teacher @ torch.linalg.qr(torch.randn(8, 8))[0]
        assert losses.similarity_loss(turned, teacher, (8,), 20) == pytest.approx(0, abs=1e-4)
        assert losses.similarity_loss(teacher.roll(1, 1).relu() + 0.1, teacher, (8,), 20) > 0.1

    def test_an_epoch_has_every_row_at_most_once_in_blocks_of_one_topic(self) -> None:
        pytest.importorskip("torch")
        from recipes.builtin_model import train

        settings = train.Settings(batch=40)
        topics = np.repeat(np.arange(7), 60)
        batches = train.topic_batches(topics, 10, settings, np.random.default_rng(0))
        rows = np.concatenate(batches)
        assert len(rows) == len(set(rows.tolist())) == 400
        assert all(len(set(topics[block])) == 1 for batch in batches for block in batch.reshape(4, 10))

    def test_a_bag_is_the_mean_of_its_rows(self) -> None:
        pytest.importorskip("torch")
        from recipes.builtin_model import train

        vectors = np.random.default_rng(5).normal(size=(9, 4)).astype(np.float32)
        means = train.Bag(vectors)([ids(1, 2, 2), ids(), ids(8)]).detach().numpy()
        np.testing.assert_allclose(
            means, [vectors[[1, 2, 2]].mean(axis=0), np.zeros(4), vectors[8]], atol=1e-6
        )


class TestCard:
    @pytest.fixture
    def results(self) -> dict[str, object]:
        path = Path(evaluate.__file__).with_name("results.json")
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def test_the_card_is_the_one_of_the_measured_results(self, results: dict[str, object]) -> None:
        assert (FOLDER / "README.md").read_text(encoding="utf-8") == model_card(results)

    def test_the_results_are_those_of_the_shipped_revision(self, results: dict[str, object]) -> None:
        assert results["revision"] == StaticEmbedder.load(FOLDER).space.revision

    @pytest.mark.parametrize(
        "said", ["bag of pieces", "XQuAD", "English", "MedQuAD", "arXiv", "nDCG@10", "BM25"]
    )
    def test_it_names_its_sources_and_limits(self, results: dict[str, object], said: str) -> None:
        assert said in model_card(results)
