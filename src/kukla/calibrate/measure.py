"""What is measured of a plan: two values a query, its own and that of full vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kukla.calibrate.questions import Questions
from kukla.errors import InputError
from kukla.evaluate.measures import Judge, Qrels, rank_scores
from kukla.evaluate.recall import TOLERANCE, ExactAnswers, exact_plan
from kukla.plan import Plan
from kukla.target import Target

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["Measure", "Measured", "judged_measure", "recall_measure"]

Values = NDArray[np.float64]
_MEASURES = {"ndcg": "nDCG", "recall": "R", "mrr": "RR"}


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
    """Recall against exact search, ties counted as :mod:`kukla.evaluate.recall` says, and noted."""
    truth = questions.truth(index, k, threads)
    tied = 0
    if truth.scores.shape[1] > k:
        tied = int((truth.scores[:, k] >= truth.scores[:, k - 1] - TOLERANCE).sum())
    if tied:
        note = (
            f"for {tied:,} queries more than {k} documents share the best scores, to rounding: copies of one "
            "vector, most often; any of them counts as found"
        )
        questions = replace(questions, notes=(*questions.notes, note))
    return _Recall(questions, truth)


class _Judged:
    """Values of :class:`kukla.evaluate.measures.Judge`, each query's ranking cut at k."""

    def __init__(self, target: Target, questions: Questions, names: Sequence[str], judge: Judge) -> None:
        self.questions, self._target, self._names, self._judge = questions, target, names, judge
        self._full: Values | None = None

    def values(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> Measured:
        if self._full is None:
            everything = np.arange(len(self.questions))
            self._full, _ = self._of(index, exact_plan(index), everything, threads)
        values, gaps = self._of(index, plan, rows, threads)
        return Measured(values, self._full[rows], gaps)

    def _of(self, index: Index, plan: Plan, rows: NDArray[np.int64], threads: int) -> tuple[Values, Values]:
        found, gaps = self.questions.part(rows).find_with_gaps(index, self._target.k, plan, threads)
        names = [self._names[row] for row in rows]
        run = {name: rank_scores(ids) for name, ids in zip(names, found.tolist(), strict=True)}
        (values,) = self._judge.values(run).values()
        return np.array([values[name] for name in names]), gaps


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
    if query_ids is None:
        raise InputError("judgements name queries: give query_ids, one for each query")
    judge = Judge(qrels, [f"{_MEASURES[target.metric]}@{target.k}"])
    names = [str(query_ids[row]) for row in questions.rows]
    kept = np.flatnonzero([name in judge.qrels for name in names])
    if not len(kept):
        raise InputError(f"no query has a relevant document: queries such as {names[0]!r} are not judged")
    if len(kept) < len(names):
        note = f"{len(names) - len(kept):,} queries without a relevant document are left out"
        questions = replace(questions, notes=(*questions.notes, note))
    return _Judged(target, questions.part(kept), [names[row] for row in kept], judge)
