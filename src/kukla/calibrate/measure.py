"""What is measured of a plan: two values a query, its own and that of full vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kukla.calibrate.questions import Questions
from kukla.document import DocumentId
from kukla.errors import InputError, MissingExtraError
from kukla.evaluate.recall import ExactAnswers, exact_plan
from kukla.plan import Plan
from kukla.target import Target

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["Measure", "Measured", "Qrels", "judged_measure", "recall_measure"]

Values = NDArray[np.float64]
Qrels = Mapping[str, Mapping[DocumentId, int]]


class Measured(NamedTuple):
    """What each query got, arrays ``(n,)``.

    ``values`` are the plan's, ``full`` those of full vectors, both in 0..1; ``gaps`` those of
    :class:`kukla.search.certificate.Evidence`.
    """

    values: Values
    full: Values
    gaps: Values


class Measure(Protocol):
    """A metric on the queries it can be measured on."""

    questions: Questions

    def values(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> Measured:
        """The values of these queries."""
        ...


class _Recall:
    def __init__(self, questions: Questions, truth: ExactAnswers) -> None:
        self.questions, self._truth = questions, truth

    def values(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> Measured:
        found, gaps = self.questions.part(rows).find_with_gaps(index, self._truth.k, plan, threads)
        truth = ExactAnswers(self._truth.ids[rows], self._truth.scores[rows], self._truth.k)
        recall = truth.recall(found)
        return Measured(recall, np.ones_like(recall), gaps)


def recall_measure(index: Index, questions: Questions, k: int, threads: int) -> Measure:
    """Recall against exact search, ties counted as :mod:`kukla.evaluate.recall` says."""
    return _Recall(questions, questions.truth(index, k, threads))


class _Judged:
    """Values of trec_eval's own code; MRR@k is the reciprocal rank in a ranking cut at k."""

    def __init__(self, target: Target, questions: Questions, names: Sequence[str], evaluator: Any) -> None:
        self.questions, self._target, self._names, self._evaluator = questions, target, names, evaluator
        self._full: Values | None = None
        k = target.k
        self._measure = {"ndcg": f"ndcg_cut_{k}", "recall": f"recall_{k}", "mrr": "recip_rank"}[target.metric]

    def values(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> Measured:
        if self._full is None:
            everything = np.arange(len(self.questions))
            self._full, _ = self._of(index, exact_plan(index), everything, threads)
        values, gaps = self._of(index, plan, rows, threads)
        return Measured(values, self._full[rows], gaps)

    def _of(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> tuple[Values, Values]:
        found, gaps = self.questions.part(rows).find_with_gaps(index, self._target.k, plan, threads)
        run = {
            # Ranks as scores: trec_eval orders equal scores by name, where Kukla's order is by id.
            self._names[row]: {str(id_): float(len(ids) - rank) for rank, id_ in enumerate(ids.tolist())}
            for row, ids in zip(rows, found, strict=True)
        }
        values = self._evaluator.evaluate(run)
        return np.array([values[self._names[row]][self._measure] for row in rows]), gaps


def judged_measure(
    index: Index,
    questions: Questions,
    target: Target,
    qrels: Qrels,
    query_ids: Sequence[str] | None,
    threads: int,
) -> Measure:
    """nDCG, MRR or recall of the queries that have a relevant document.

    Raises
    ------
    InputError
        No query ids, or judgements of none of them.
    MissingExtraError
    """
    try:
        import pytrec_eval
    except ImportError:
        raise MissingExtraError("measuring against judgements", "eval") from None
    if query_ids is None:
        raise InputError("judgements name queries: give query_ids, one for each query")
    judged = {
        str(query): {str(id_): int(grade) for id_, grade in documents.items()}
        for query, documents in qrels.items()
        if any(grade > 0 for grade in documents.values())
    }
    names = [str(query_ids[row]) for row in questions.rows]
    kept = np.flatnonzero([name in judged for name in names])
    if not len(kept):
        raise InputError(f"no query has a relevant document: queries such as {names[0]!r} are not judged")
    if len(kept) < len(names):
        note = f"{len(names) - len(kept):,} queries without a relevant document are left out"
        questions = replace(questions, notes=(*questions.notes, note))
    asked = {f"ndcg_cut.{target.k}", f"recall.{target.k}", "recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, asked)
    return _Judged(target, questions.part(kept), [names[row] for row in kept], evaluator)
