"""From queries and a target to a plan: search on one part of the queries, prove on the other.

1. The queries are split by a seed. The selection part ranks every candidate (:mod:`.candidates`) and fixes an
   order of testing, from the safest and most expensive plan to the cheapest, and the bet of each bound.
2. Each plan of that order is run on the held-out part, which has decided nothing so far, and gets a lower
   bound (:mod:`.bound`).
3. Plans are accepted until the first whose bound misses the target (fixed-sequence testing: *Learn then
   Test*, arXiv 2110.01052), so the confidence is that of the chosen plan, however many were tested.
4. Of the accepted plans the cheapest few are timed; the fastest is chosen where it is clearly faster than the
   cheapest by the model.

The promise is about the mean over further queries drawn as these were, on the documents as they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from kukla.calibrate.bound import check_confidence, learn_bet, lower_bound, queries_needed
from kukla.calibrate.candidates import MOST_PLANS, cheaper_stages, generate, sequence, true_ranks
from kukla.calibrate.measure import Measure, judged_measure, recall_measure
from kukla.calibrate.per_query import RecallByGap
from kukla.calibrate.price import Prices
from kukla.calibrate.questions import Questions, document_questions, given_questions
from kukla.calibrate.result import Calibration, PlanTest
from kukla.checks import check_count
from kukla.cost import format_bytes
from kukla.errors import InputError, WriteError
from kukla.evaluate.recall import exact_plan
from kukla.plan import Plan
from kukla.progress import Progress
from kukla.target import Target

if TYPE_CHECKING:
    from kukla.document import DocumentId
    from kukla.index import Index, Queries

__all__ = ["DOCUMENTS_AS_QUERIES", "calibrate"]

DOCUMENTS_AS_QUERIES = "documents as queries"

HELD_OUT_SHARE = 0.7
LEAST_SELECTION = 20
MOST_SELECTION = 500
"""Beyond, more queries would only make the search slower: the proof is what needs them."""

TIMED_PLANS = 4
TIMED_QUERIES = 40
CLEARLY_FASTER = 0.9


def calibrate(
    index: Index,
    queries: Queries | None = None,
    *,
    target: Target | str,
    confidence: float = 0.95,
    population: str | None = None,
    qrels: Mapping[str, Mapping[DocumentId, int]] | None = None,
    query_ids: list[str] | None = None,
    max_memory: int | None = None,
    timed: bool = True,
    save: bool = True,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Calibration:
    """Find the cheapest plan that reaches a target, and prove it on queries that did not choose it.

    Parameters
    ----------
    index : Index
    queries : str, sequence of str, or array of float (n_queries, dim), optional
        Drawn as future queries will be. Without them, up to 1,000 documents are: an estimate.
    target : Target or str
        ``recall@10>=0.99``.
    confidence : float
        That the chosen plan reaches the target on further such queries.
    population : str, optional
        A name for these queries: calibrations on several are kept side by side. Default: ``queries``.
    qrels : mapping, optional
        Judgements: of each query id, the relevance of documents. The target is then relative to what full
        vectors reach on them. Needs ``query_ids``.
    query_ids : list of str, optional
        Of ``queries``, in their order.
    max_memory : int, optional
        The most bytes that the first stage may scan.
    timed : bool
        Whether time decides between the few cheapest plans. Without, results depend on no clock.
    save : bool
        Keep the calibration with the index, for ``search(target=...)``.
    seed : int
        Of the split, and of the documents that are drawn.
    threads : int
    progress : callable, optional
        ``progress(done, total)`` in steps; how many plans will be tested is a guess.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        Too few queries for the target (saying how many are needed), an empty index, ``max_memory`` below
        what any proven plan needs.
    WriteError
        ``save`` on a read-only index: before any work.
    """
    started = time.perf_counter()
    target, confidence = Target.of(target), check_confidence(confidence)
    check_count(seed, what="seed", least=0)
    if save and index._opened.store.catalog.read_only:
        raise WriteError(f"{index.path} was opened read-only: a calibration is kept with the index")
    documents = len(index)
    if not documents:
        raise InputError("a calibration needs documents; the index is empty")
    if target.metric != "recall" and qrels is None:
        raise InputError(f"{target.name} is measured against judgements; give them, or ask for recall")
    rng = np.random.default_rng(seed)
    if queries is None:
        if qrels is not None:
            raise InputError("judgements are about queries; give them too")
        questions = document_questions(index, rng)
    else:
        questions = given_questions(index, queries, index._opened.settings.cosine)
    measure: Measure
    if qrels is None:
        measure = recall_measure(index, questions, target.k, threads)
    else:
        measure = judged_measure(index, questions, target, qrels, query_ids, threads)
    selection, held_out = _split(measure, target, confidence, rng)

    stages = cheaper_stages(index)
    steps = _Steps(len(stages) + MOST_PLANS, progress)
    asked = measure.questions.part(selection)
    truth = asked.truth(index, target.k, threads)
    ranks = true_ranks(index, asked, truth, stages, threads=threads, step=steps.one)
    prices = Prices(index, target.k)
    exact = _row(exact_plan(index), prices)
    allowed = math.inf if max_memory is None else check_count(max_memory, what="max_memory")
    candidates = generate(index, ranks, target.k, prices)
    fits = [one for one in candidates if prices.resident_bytes(one.plan) <= allowed]
    order = sequence(fits, prices.of(exact.plan))

    frontier = [exact]
    for candidate in order:
        learned = measure.values(index, candidate.plan, selection, threads)
        tested = measure.values(index, candidate.plan, held_out, threads)
        bet = learn_bet(learned.values, len(held_out), confidence, full=learned.full)
        row = replace(
            _row(candidate.plan, prices),
            selection=_share(learned.values.mean(), learned.full.mean()),
            held_out=_share(tested.values.mean(), tested.full.mean()),
            bound=lower_bound(tested.values, confidence, bet=bet, full=tested.full),
            per_query=None
            if queries is None or qrels is not None
            else RecallByGap.learn(learned.gaps, tested.gaps, tested.values, target.k),
        )
        frontier.append(row)
        steps.one()
    steps.end()
    found = Calibration(
        target=target,
        plan=exact.plan,
        frontier=tuple(frontier),
        confidence=confidence,
        population=population or (DOCUMENTS_AS_QUERIES if queries is None else "queries"),
        estimated=queries is None,
        judged=qrels is not None,
        selection_queries=len(selection),
        held_out_queries=len(held_out),
        documents=documents,
        full_bytes_per_vector=4 * index.nesting.full,
        seed=seed,
        seconds=0.0,
        notes=(*measure.questions.notes, *_notes(index)),
    )
    reached = [row for row in found.accepted(target.threshold) if row.resident_bytes <= allowed]
    if not reached:
        best = max((row.bound for row in frontier[1:]), default=0.0)
        raise InputError(
            f"no plan that scans at most {format_bytes(allowed)} was proven to reach {target}: the best "
            f"bound is {best:.4f}; exact search scans {format_bytes(exact.resident_bytes)}"
        )
    cheapest = sorted(reached, key=lambda row: (row.bytes_moved, row.operations))[:TIMED_PLANS]
    chosen = cheapest[0]
    if timed:
        some = measure.questions.part(held_out[:TIMED_QUERIES])
        cheapest = _timed(index, cheapest, some, target.k)
        frontier = [next((new for new in cheapest if new.plan == row.plan), row) for row in frontier]
        chosen = cheapest[0]
        fastest = min(cheapest, key=lambda row: row.seconds or 0.0)
        if (fastest.seconds or 0.0) < CLEARLY_FASTER * (chosen.seconds or 0.0):
            chosen = fastest
    found = replace(found, plan=chosen.plan, frontier=tuple(frontier), seconds=time.perf_counter() - started)
    if save:
        from kukla.calibrate.record import keep

        keep(index, found, measure.questions.part(held_out))
    return found


def _split(
    measure: Measure, target: Target, confidence: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the selection part and of the held-out part."""
    count = len(measure.questions)
    needed = queries_needed(target.threshold, confidence)
    if count < needed + LEAST_SELECTION:
        raise InputError(
            f"{count:,} different queries cannot prove {target} with {confidence:.4g} confidence, whatever "
            f"the plan: at least {needed + LEAST_SELECTION:,} are needed ({needed:,} held out, "
            f"{LEAST_SELECTION} to choose with), and several times as many to prove a cheap plan; or ask for "
            "less, or run exact search"
        )
    held = min(max(math.ceil(HELD_OUT_SHARE * count), needed), count - LEAST_SELECTION)
    held = max(held, count - MOST_SELECTION)
    shuffled = rng.permutation(count)
    return np.sort(shuffled[held:]), np.sort(shuffled[:held])


def _row(plan: Plan, prices: Prices) -> PlanTest:
    """The row of a plan before it was tested: what exact search keeps, by definition."""
    price = prices.of(plan)
    return PlanTest(
        plan=plan,
        bytes_moved=price.bytes_moved,
        operations=price.operations,
        resident_bytes=prices.resident_bytes(plan),
        bytes_per_vector=prices.bytes_per_vector(plan),
        selection=1.0,
        held_out=1.0,
        bound=1.0,
    )


def _notes(index: Index) -> tuple[str, ...]:
    projection = index._opened.settings.projection
    if projection.keeps_scores:
        return ()
    return (
        f"full means whole vectors after the index's projection ({projection.kind}), which is not "
        "orthonormal: what the model's own whole vectors find is another matter, see kukla fit",
    )


def _share(plan: float, full: float) -> float:
    return float(plan / full) if full else 1.0


def _timed(index: Index, rows: list[PlanTest], questions: Questions, k: int) -> list[PlanTest]:
    """The median time of one query at a time, one thread; plans take turns, so that noise hits all alike."""
    for row in rows:
        index.search(questions.vectors, k, plan=row.plan)  # warms up
    seconds = [
        [index.search(vector, k, plan=row.plan).seconds for row in rows] for vector in questions.vectors
    ]
    return [
        replace(row, seconds=median(times))
        for row, times in zip(rows, zip(*seconds, strict=True), strict=True)
    ]


class _Steps:
    """Counts steps, and passes them on."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def one(self) -> None:
        self._done += 1
        self._total = max(self._total, self._done)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def end(self) -> None:
        self._done = self._total - 1
        self.one()
