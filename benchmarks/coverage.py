"""How often is the promise of a calibration broken? `python -m benchmarks.coverage DATA [--count 200000]`.

Many calibrations, each with other queries of one population, drawn by a seed; each is right when the mean of
its plan over the *whole* population reaches the target. A calibration of 95 % confidence may be wrong in 5 %
of the draws. "Fresh" are the queries that a calibration has not seen: as they are few, their mean falls below
a target now and then even where the mean over all does not.

Draws without replacement from a small population vary less than new queries would. So the bounds of the plans
that were tested are also held against independent draws *with* replacement from their real recalls.

Every search is a real one; a plan is run once on all queries, and each calibration is shown its part.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.data import medquad_questions, nomic, passages, small3, xquad_questions
from kukla import Index, load_embedder
from kukla.calibrate import Calibration
from kukla.calibrate.bound import learn_bet, lower_bound
from kukla.checks import normalise
from kukla.embed import DEFAULT_MODEL
from kukla.evaluate import ExactAnswers, exact_answers
from kukla.plan import Plan
from kukla.search import SearchResult
from kukla.target import Target

K = 10
DRAWS = 200
MOST_PLANS = 20
QUESTIONS = {"XQuAD": (xquad_questions, 600), "MedQuAD": (medquad_questions, 700)}


class Remembering:
    """An index that runs each plan once on all queries of a population, and then remembers the answers."""

    def __init__(self, index: Index, queries: np.ndarray, threads: int) -> None:
        self._index, self._threads = index, threads
        self.vectors = normalise(np.unique(queries, axis=0))
        self._asked = normalise(self.vectors)  # as a calibration asks: twice is not always the same as once
        self._where = {row.tobytes(): i for i, row in enumerate(self._asked)}
        self._known: dict[tuple[Plan, int], SearchResult] = {}
        self.exact: ExactAnswers = exact_answers(index, self._asked, k=K, threads=threads)
        self._recalls: dict[Plan, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def __len__(self) -> int:
        return len(self._index)

    def search(
        self, vectors: np.ndarray, k: int, *, plan: Plan | None = None, threads: int = 1
    ) -> SearchResult:
        """The rows of ``vectors`` in the answers to all queries."""
        found = self._answers(self._index.plan if plan is None else plan, k)
        rows = [self._where[row.tobytes()] for row in np.atleast_2d(vectors)]
        whole = found.evidence
        evidence = replace(whole, queries=whole.queries[rows], cuts=whole.cuts[:, rows], kth=whole.kth[rows])
        return replace(found, ids=found.ids[rows], scores=found.scores[rows], evidence=evidence)

    def recalls(self, plan: Plan) -> np.ndarray:
        """Of every query of the population."""
        if plan not in self._recalls:
            self._recalls[plan] = self.exact.recall(self._answers(plan, K).ids)
        return self._recalls[plan]

    def _answers(self, plan: Plan, k: int) -> SearchResult:
        if (plan, k) not in self._known:
            self._known[plan, k] = self._index.search(self._asked, k, plan=plan, threads=self._threads)
        return self._known[plan, k]


@dataclass
class Tally:
    """What the calibrations of one target and confidence promised, and what was true."""

    promised: list[float] = field(default_factory=list)
    truth: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    saved: list[float] = field(default_factory=list)
    exact: int = 0


def main() -> None:
    """Print one table for each population of queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/, wikipedia/, ir/ and train/")
    parser.add_argument("--count", type=int, default=50_000, help="passages; 0 leaves them out")
    parser.add_argument("--questions", nargs="*", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--confidences", type=float, nargs="*", default=[0.95, 0.5])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    arguments = parser.parse_args()
    console, rows = Console(width=150), []
    with tempfile.TemporaryDirectory() as scratch:
        for name, index, queries, seen, thresholds in _populations(Path(scratch), arguments):
            with index:
                remembering = Remembering(index, queries, arguments.threads)
                rows += _experiment(console, name, remembering, seen, thresholds, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _populations(scratch: Path, arguments: argparse.Namespace) -> Any:
    folder = arguments.data / "vectors"
    for name, (documents, queries) in (
        ("text-embedding-3-small: 361 entities and chunks, relationships as queries", small3(folder)),
        ("nomic-embed-text: 511 texts, 511 others as queries", nomic(folder)),
    ):
        index = Index.create(scratch / name[:5], dim=documents.shape[1])
        index.add(documents)
        yield name, index, queries, len(queries) * 2 // 3, (0.9, 0.95)
    if not arguments.count:
        return
    embedder = load_embedder()
    path = scratch / "passages"
    with Index.create(path, embedder=embedder) as index:
        index.add(text for _, text in passages(arguments.data, arguments.count))
        index.compact()
    for name in arguments.questions:
        read, seen = QUESTIONS[name]
        texts = read(arguments.data)
        index = Index.open(path, embedder=embedder)
        title = f"{len(index):,} Wikipedia passages, {DEFAULT_MODEL}, {name} questions"
        yield title, index, embedder.encode_queries(texts), seen, (0.9, 0.95, 0.99)


def _experiment(
    console: Console, title: str, index: Remembering, seen: int, thresholds: tuple[float, ...],
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:  # fmt: skip
    runs, confidences = arguments.runs, arguments.confidences
    started, count = time.perf_counter(), len(index.vectors)
    tallies: dict[tuple[float, float], Tally] = defaultdict(Tally)
    tested = wrong = 0
    plans: set[Plan] = set()
    for confidence in confidences:
        for seed in range(runs):
            shuffled = np.random.default_rng([11, seed]).permutation(count)
            found = _calibrate(index, index.vectors[shuffled[:seen]], confidence, seed)
            if confidence == confidences[0]:
                tests = [row for row in found.frontier if row is not found.exact]
                tested += len(tests)
                plans.update(row.plan for row in tests)
                wrong += sum(row.bound > index.recalls(row.plan).mean() for row in tests)
            for threshold in thresholds:
                _count(tallies[confidence, threshold], index, found, threshold, shuffled[seen:])
    table = Table(
        "confidence", "target", "mean over all below target", "allowed", "bound above the mean",
        "fresh below", "promised", "mean over all: median", "least", "moved, less", "exact search",
        title=title,
    )  # fmt: skip
    rows = []
    for (confidence, threshold), tally in tallies.items():
        truth, promised = np.array(tally.truth), np.array(tally.promised)
        below = int((truth < threshold).sum())
        above = int((promised > truth).sum())
        fresh = int((np.array(tally.fresh) < threshold).sum())
        cells = [
            f"{confidence}", f"{threshold}", f"{below} of {runs}", f"{(1 - confidence) * runs:.0f}",
            f"{above}", f"{fresh}", f"{np.median(promised):.4f}", f"{np.median(truth):.4f}",
            f"{truth.min():.4f}", f"{np.median(tally.saved):.1f}x", f"{tally.exact}",
        ]  # fmt: skip
        table.add_row(*cells)
        rows.append({"population": title} | dict(zip((c.header for c in table.columns), cells, strict=True)))
    console.print(table)
    console.print(
        f"{runs} draws of {seen} from {count:,} queries ({found.held_out_queries} of them held out); of "
        f"{tested:,} bounds of {confidences[0]} confidence of single plans, {wrong:,} "
        f"({wrong / max(tested, 1):.2%}) are above the mean over all; {time.perf_counter() - started:.0f} s"
    )
    console.print(_independent(index, plans, found))
    return rows


def _independent(index: Remembering, plans: set[Plan], found: Calibration) -> str:
    """Bounds of real recalls, drawn with replacement: as many to learn the bet, as many to prove."""
    rng, confidence = np.random.default_rng(3), found.confidence
    lossy = sorted((plan for plan in plans if index.recalls(plan).mean() < 1), key=str)[:MOST_PLANS]
    above = 0
    for plan in lossy:
        recalls = index.recalls(plan)
        for _ in range(DRAWS):
            learned = rng.choice(recalls, found.selection_queries)
            proven = rng.choice(recalls, found.held_out_queries)
            bet = learn_bet(learned, len(proven), confidence)
            above += lower_bound(proven, confidence, bet=bet) > recalls.mean()
    share = above / (DRAWS * max(len(lossy), 1))
    return (
        f"independent draws, {DRAWS} for each of {len(lossy)} plans: {share:.2%} of the bounds of "
        f"{confidence} confidence are above the mean"
    )


def _calibrate(index: Remembering, queries: np.ndarray, confidence: float, seed: int) -> Calibration:
    from kukla.calibrate import calibrate

    return calibrate(
        index,  # type: ignore[arg-type]
        queries, target=f"recall@{K}>=0.9", confidence=confidence, seed=seed, timed=False, save=False,
    )  # fmt: skip


def _count(tally: Tally, index: Remembering, found: Calibration, threshold: float, fresh: np.ndarray) -> None:
    plan = found.plan_for(Target("recall", K, threshold))
    row = next(row for row in found.frontier if row.plan == plan)
    recalls = index.recalls(plan)
    tally.promised.append(row.bound)
    tally.truth.append(float(recalls.mean()))
    tally.fresh.append(float(recalls[fresh].mean()))
    tally.saved.append(found.exact.bytes_moved / row.bytes_moved)
    tally.exact += row is found.exact


if __name__ == "__main__":
    main()
