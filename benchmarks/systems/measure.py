"""nDCG@10 against judgements, recall@10 against full vectors, intervals of the difference to a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.systems.candidates import SYSTEMS, K, rank
from benchmarks.systems.tasks import Task
from kukla.errors import InputError
from kukla.evaluate.measures import Judge, rank_scores

__all__ = ["Cell", "Measured", "interval", "judge_rankings", "measure"]

_TOLERANCE = 2e-6
_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Cell:
    """One system at one size on one task: the values of every query."""

    dim: int
    precision: str
    bytes_per_vector: float
    ndcg: np.ndarray
    recall: np.ndarray


@dataclass(frozen=True)
class Measured:
    """One task: cells by system; ``left_out`` says why a system is missing."""

    model: str
    name: str
    documents: int
    queries: int
    width: int
    cells: dict[str, list[Cell]]
    left_out: dict[str, str]

    def baseline(self, bytes_per_vector: float) -> Cell | None:
        """The MRL prefix of the same bytes."""
        return next((c for c in self.cells["MRL prefix"] if c.bytes_per_vector == bytes_per_vector), None)

    def difference(self, cell: Cell, measure: str) -> np.ndarray | None:
        """A cell minus the MRL prefix of the same bytes, by query."""
        other = self.baseline(cell.bytes_per_vector)
        return None if other is None else getattr(cell, measure) - getattr(other, measure)


def judge_rankings(judged: Sequence[Mapping[int, int]], rankings: Iterable[np.ndarray]) -> np.ndarray:
    """nDCG@10 of every query in each ranking ``(queries, K)``: float64 ``(rankings, queries)``."""
    grades = {str(query): {str(d): grade for d, grade in one.items()} for query, one in enumerate(judged)}
    judge = Judge(grades, ["nDCG@10"])
    values = []
    for found in rankings:
        run = {str(query): rank_scores(row.tolist()) for query, row in enumerate(found)}
        of_query = judge.values(run)["nDCG@10"]
        values.append([of_query[str(query)] for query in range(len(judged))])
    return np.array(values)


def measure(task: Task, steps: int) -> Measured:
    """Every system at every size."""
    exact = task.queries @ task.documents.T
    kth = np.partition(exact, -K, axis=1)[:, -K, None]
    cells: dict[str, list[Cell]] = {}
    left_out: dict[str, str] = {}
    for system in SYSTEMS:
        try:
            rankings = rank(task, system, steps)
        except InputError as error:
            left_out[system] = str(error)
            continue
        cells[system] = []
        judged = judge_rankings(task.judged, [ranking.found for ranking in rankings])
        for ranking, ndcg in zip(rankings, judged, strict=True):
            good = np.take_along_axis(exact, ranking.found, axis=1) >= kth - _TOLERANCE
            cells[system].append(
                Cell(ranking.dim, ranking.precision, ranking.bytes_per_vector, ndcg, good.mean(axis=1))
            )
    documents, width = task.documents.shape
    return Measured(task.model, task.name, documents, len(task.queries), width, cells, left_out)


def interval(differences: list[np.ndarray]) -> tuple[float, float, float]:
    """The mean over tasks of the mean over queries; its 95 % bootstrap interval draws queries by task."""
    rng = np.random.default_rng(_SEED)
    resampled = np.zeros(_RESAMPLES)
    for values in differences:
        weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), _RESAMPLES)
        resampled += weights @ values / len(values)
    low, high = np.quantile(resampled / len(differences), (0.025, 0.975))
    return float(np.mean([values.mean() for values in differences])), float(low), float(high)
