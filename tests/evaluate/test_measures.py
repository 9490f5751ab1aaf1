"""Measures against their definitions, computed here by hand and from scratch."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np
import pytest

from kukla.errors import InputError, MissingExtraError
from kukla.evaluate.measures import Judge, rank_scores, split_measures

GRADES = {"q1": {"a": 3, "b": 0, "c": 1, "d": 2}, "q2": {"x": 1}}


def value(measure: str, ids: list[str], query: str = "q1") -> float:
    (values,) = Judge(GRADES, [measure]).values({query: rank_scores(ids)}).values()
    return values[query]


def test_ndcg_has_linear_gains_and_a_logarithmic_discount() -> None:
    # b (0), a (3), z (not judged), c (1); best possible: a (3), d (2), c (1)
    gained = 3 / math.log2(3) + 1 / math.log2(5)
    best = 3 + 2 / math.log2(3) + 1 / math.log2(4)
    assert value("nDCG@10", ["b", "a", "z", "c"]) == pytest.approx(gained / best)
    assert value("nDCG@2", ["b", "a", "z", "c"]) == pytest.approx((3 / math.log2(3)) / (3 + 2 / math.log2(3)))


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("R@2", 1 / 3),
        ("R@10", 2 / 3),
        ("R(rel=2)@10", 1 / 2),
        ("P@5", 2 / 5),
        ("RR@10", 1 / 2),
        ("RR@1", 0.0),
        ("AP", (1 / 2 + 2 / 4) / 3),
        ("AP@2", (1 / 2) / 3),
        ("Success@1", 0.0),
        ("Success@2", 1.0),
    ],
)
def test_the_other_measures_by_hand(measure: str, expected: float) -> None:
    assert value(measure, ["b", "a", "z", "c"]) == pytest.approx(expected)


def test_long_graded_rankings_agree_with_the_definitions() -> None:
    rng = np.random.default_rng(0)
    documents = [f"d{i}" for i in range(300)]
    qrels = {
        f"q{q}": {documents[i]: int(rng.integers(0, 4)) for i in rng.permutation(300)[:40]} for q in range(8)
    }
    for grades in qrels.values():
        grades[documents[0]] = 1
    rankings = {query: [documents[i] for i in rng.permutation(300)[:150]] for query in qrels}
    judge = Judge(qrels, ["nDCG@10", "R@100", "AP"])
    values = judge.values({query: rank_scores(ids) for query, ids in rankings.items()})
    for query, ids in rankings.items():
        gains = np.array([qrels[query].get(id_, 0) for id_ in ids])
        ideal = np.sort([*qrels[query].values()])[::-1][:10]
        discounts = 1 / np.log2(np.arange(2, 12))
        relevant = sum(grade > 0 for grade in qrels[query].values())
        hits = gains > 0
        precisions = hits.cumsum() / np.arange(1, len(hits) + 1)
        assert values["nDCG@10"][query] == pytest.approx((gains[:10] @ discounts) / (ideal @ discounts))
        assert values["R@100"][query] == pytest.approx(hits[:100].sum() / relevant)
        assert values["AP"][query] == pytest.approx(precisions[hits].sum() / relevant)


def test_who_counts() -> None:
    judge = Judge({**GRADES, "q3": {"n": 0}}, ["RR@10"])
    assert judge.irrelevant_queries == 1
    values = judge.values({"q1": rank_scores(["a"]), "q3": rank_scores(["n"]), "q9": rank_scores(["a"])})
    # q2 is not answered: 0. q3 has nothing to find, q9 is not judged: no value.
    assert values == {"RR@10": {"q1": 1.0, "q2": 0.0}}
    assert Judge(GRADES).values({}) == {"nDCG@10": {"q1": 0, "q2": 0}, "R@100": {"q1": 0, "q2": 0}}
    assert judge.grades == (1, 2, 3)


def test_ranks_as_scores_keep_an_order_that_trec_eval_would_turn() -> None:
    # trec_eval puts equal scores in descending order of name.
    assert Judge(GRADES, ["nDCG@1"]).values({"q1": {"a": 1.0, "b": 1.0}})["nDCG@1"]["q1"] == 0
    assert value("nDCG@1", ["a", "b"]) == 1
    assert rank_scores([7, 3]) == {"7": 2.0, "3": 1.0}


def test_names_are_ir_measures_names() -> None:
    assert split_measures("nDCG@10, R(rel=2)@100,AP") == ("nDCG@10", "R(rel=2)@100", "AP")
    judge = Judge(GRADES, ["MRR@10", "nDCG@10", "nDCG@10"])
    assert judge.measures == ("RR@10", "nDCG@10")
    assert judge.depth == 10
    assert Judge(GRADES, ["AP"]).depth == 1000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ndcg@10", r"did you mean 'nDCG@10'"),
        ("recall@5", r"did you mean 'R@5'"),
        ("quality", "unknown measure 'quality'; such as nDCG@10"),
        ("nDCG@0", "cutoff must be a whole number"),
        ("nDCG@x", "unknown measure"),
        ("R", "lacks its cutoff"),
        ("NumRel", "no mean over queries"),
        ("alpha_nDCG@10", "not computed by trec_eval"),
        ("", "unknown measure ''"),
    ],
)
def test_wrong_names_say_what_is_right(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Judge(GRADES, [name])


def test_nothing_to_measure() -> None:
    with pytest.raises(InputError, match="no query has a relevant document: 1 queries"):
        Judge({"q": {"a": 0}})
    with pytest.raises(InputError, match="a list of names"):
        Judge(GRADES, [])
    with pytest.raises(InputError, match="a list of names"):
        Judge(GRADES, "nDCG@10")


def test_without_ir_measures_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def import_without(name: str, *rest: Any) -> Any:
        if name == "ir_measures":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", import_without)
    with pytest.raises(MissingExtraError, match=r"pip install 'kukla\[eval\]'"):
        Judge(GRADES)
