"""The plans to choose from: dims x precision x shortlist x one to three stages.

One wide search for each dim and precision says at which rank of that stage's order each true result stands.
From the ranks follows the recall of every shortlist, without running it: a plan of one stage finds what ranks
below k; a shortlist of s rescored with full vectors finds what ranks below s. A plan of three stages finds at
least what ranks below s1 in its first stage's order and below s2 in its second's (inside the shortlist, ranks
can only be better), so its estimate here is never too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kukla.calibrate.price import Price, Prices
from kukla.calibrate.questions import Questions
from kukla.evaluate.recall import TOLERANCE, ExactAnswers, exact_plan
from kukla.plan import Plan, Stage
from kukla.precision import Precision

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["Candidate", "cheaper_stages", "generate", "sequence", "true_ranks"]

WIDEST_PER_RESULT = 100
LEAST_WIDEST = 1000
MOST_TIES = 1024
"""So many documents that tie for the last places are followed: estimates are too low beyond, not too high."""

BUDGET_STEP = 0.88
"""Each budget of the sequence is so much of the one before."""

MOST_LISTS_SHARE = 512
"""The fewest lists that are looked into: one of so many."""

LISTS_STEP = 1.6

MOST_PLANS = 32
LEAST_RECALL = 0.5

Ranks = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan, its price and its recall on the selection queries.

    ``margin`` mixes a little of the recalls of a half and a quarter of each shortlist into it: of two plans
    that found the same, the one that would have found it with less is safer.
    """

    plan: Plan
    price: Price
    recall: float
    margin: float


def shortlists(k: int, most: int) -> list[int]:
    """Round numbers from ``k`` to ``most``, each about a quarter above the one before."""
    sizes = []
    size = float(k)
    while size < most:
        digits = max(0, len(str(int(size))) - 2)
        sizes.append(max(k, int(round(size / 10**digits) * 10**digits)))
        size *= 1.26
    return sorted({*sizes, most} if most >= k else set())


def true_ranks(
    index: Index,
    questions: Questions,
    truth: ExactAnswers,
    stages: Sequence[Stage],
    *,
    threads: int,
    step: Callable[[], None],
) -> dict[Stage, Ranks]:
    """The rank of each true result in the order of each stage.

    Returns
    -------
    dict of ndarray of int32, shape (n, m)
        Every document tied with the k-th is a true result; ``LARGE`` where it is not among the widest
        shortlist, or a query has fewer than ``m``.
    """
    good = [_good(ids, scores, truth.k) for ids, scores in zip(truth.ids, truth.scores, strict=True)]
    most = max((len(ids) for ids in good), default=0)
    ranks = {}
    for stage in stages:
        found = questions.find(index, widest(index, truth.k), Plan([stage]), threads)
        table = np.full((len(good), most), LARGE, dtype=np.int32)
        for row, (wanted, ids) in enumerate(zip(good, found, strict=True)):
            where = {id_: rank for rank, id_ in enumerate(ids.tolist())}
            table[row, : len(wanted)] = [where.get(id_, LARGE) for id_ in wanted]
        ranks[stage] = table
        step()
    return ranks


LARGE = np.iinfo(np.int32).max


def widest(index: Index, k: int) -> int:
    """The longest shortlist that is looked at."""
    return min(len(index), max(LEAST_WIDEST, WIDEST_PER_RESULT * k))


def _good(ids: NDArray[Any], scores: NDArray[np.float32], k: int) -> list[Any]:
    last = float(scores[min(k, len(scores)) - 1])
    good: list[Any] = ids[scores >= last - TOLERANCE * max(1.0, abs(last))].tolist()
    return good[:MOST_TIES]


def cheaper_stages(index: Index) -> list[Stage]:
    """Every dim and precision but the exact one, from few bits to many."""
    settings = index._opened.settings
    (final,) = exact_plan(index).stages
    all_stages = [Stage(dim, precision) for dim, precision in product(settings.nesting, settings.precisions)]
    cheaper = [stage for stage in all_stages if stage.bits_per_vector < final.bits_per_vector]
    cheaper.sort(key=lambda stage: (stage.bits_per_vector, stage.dim))
    partition = index._opened.store.current().partition
    return cheaper if partition is None else [*_list_stages(partition.lists, final.dim), *cheaper]


def _list_stages(lists: int, dim: int) -> list[Stage]:
    """Stages that look into more and more lists, up to all of them."""
    probes, stages = max(1.0, lists / MOST_LISTS_SHARE), []
    while probes < lists:
        stages.append(Stage(dim, Precision.PQ4, probes=round(probes)))
        probes *= LISTS_STEP
    return [*dict.fromkeys(stages), Stage(dim, Precision.PQ4)]


def generate(index: Index, ranks: dict[Stage, Ranks], k: int, prices: Prices) -> Iterator[Candidate]:
    """All candidates, in no order of use."""
    (final,) = exact_plan(index).stages
    documents = len(index)
    wanted = min(k, documents)
    sizes = [size for size in shortlists(k, widest(index, k)) if size < documents]

    def candidate(plan: Plan, found: Callable[[int], float]) -> Candidate:
        whole = found(1)
        return Candidate(
            plan,
            prices.of(plan),
            whole,
            round(0.9 * whole + 0.07 * found(2) + 0.03 * found(4), 9),
        )

    def recall(hits: NDArray[np.bool_]) -> float:
        return float(np.minimum(hits.sum(axis=1), wanted).mean() / wanted)

    for first, rank in ranks.items():
        alone = recall(rank < k)
        yield candidate(Plan([first]), lambda _, alone=alone: alone)  # type: ignore[misc]
        tables = {size: recall(rank < size) for size in {s // d for s in sizes for d in (1, 2, 4)}}
        for size in sizes:
            plan = Plan([_keep(first, size), final])
            yield candidate(plan, lambda d, size=size, tables=tables: tables[size // d])  # type: ignore[misc]
        for second, order in ranks.items():
            if second.precision is Precision.PQ4:
                continue  # only a first stage looks into lists
            if second.bits_per_vector <= first.bits_per_vector or second.dim < first.dim:
                continue
            for wide, narrow in product(sizes[::2], sizes[::2]):
                # A second stage that drops less than half is not worth its reading.
                if 2 * narrow <= wide and tables[wide] >= LEAST_RECALL:
                    yield candidate(
                        Plan([_keep(first, wide), _keep(second, narrow), final]),
                        lambda d, a=rank, b=order, w=wide, n=narrow: recall((a < w // d) & (b < n // d)),  # type: ignore[misc]
                    )


def _keep(stage: Stage, size: int) -> Stage:
    return replace(stage, keep=size)


def sequence(candidates: Sequence[Candidate], most: Price) -> list[Candidate]:
    """The plans to test, from the safest to the cheapest: of each budget the plan with the widest margin.

    Budgets fall from ``most``, the price of exact search. Recall falls with them: a plan before one that is
    cheaper and found more would only be another chance to fail, and testing stops at the first failure.
    """
    chosen: list[Candidate] = []
    # With equal margins, the cheaper; sorted once, so that a budget is a scan for the first that fits.
    ranked = sorted(
        candidates, key=lambda candidate: (-candidate.margin, candidate.price, str(candidate.plan))
    )
    budget = most.bytes_moved * BUDGET_STEP
    while len(chosen) < MOST_PLANS:
        best = next((candidate for candidate in ranked if candidate.price.bytes_moved <= budget), None)
        if best is None or best.recall < LEAST_RECALL:
            break
        chosen.append(best)
        budget = min(budget, best.price.bytes_moved) * BUDGET_STEP
    later = np.maximum.accumulate([0.0, *(candidate.recall for candidate in reversed(chosen))])[-2::-1]
    return [candidate for candidate, best in zip(chosen, later, strict=True) if candidate.recall >= best]
