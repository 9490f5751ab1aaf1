"""Runs that exist already, measured against judgements and compared query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.evaluate.measures import DEFAULT_MEASURES, Judge, Qrels, Run, few_queries
from kukla.profile.statistics import Bootstrap, Interval

__all__ = ["Comparison", "RunQuality", "RunsQuality", "evaluate_runs"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside the first one, on the same queries.

    ``difference`` is the mean of the differences, ``relative`` the quotient of the means (``None`` where the
    first is 0), both with intervals of paired resamples; ``better``, ``equal`` and ``worse`` count queries.
    """

    difference: Interval
    relative: Interval | None
    better: int
    equal: int
    worse: int


@dataclass(frozen=True, slots=True)
class RunQuality:
    """One measure of one run; ``compared`` is ``None`` for the first run. ``values`` is by query id."""

    run: str
    measure: str
    mean: Interval
    compared: Comparison | None
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunsQuality:
    """Runs against judgements.

    Parameters
    ----------
    rows : tuple of RunQuality
        By measure, then in the order of the runs.
    runs, measures : tuple of str
    queries : int
        With a relevant document; those that a run does not answer count as 0.
    grades : tuple of int
    notes : tuple of str
    seed : int
    """

    rows: tuple[RunQuality, ...]
    runs: tuple[str, ...]
    measures: tuple[str, ...]
    queries: int
    grades: tuple[int, ...]
    notes: tuple[str, ...]
    seed: int

    def as_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """JSON-able; with the values of each query only if asked."""
        rows = []
        for row in self.rows:
            fields = asdict(row)
            if not per_query:
                del fields["values"]
            rows.append(fields)
        return {name: getattr(self, name) for name in self.__slots__} | {"rows": rows}

    def table(self) -> list[tuple[str, ...]]:
        """A header, then a row for each measure and run."""
        header: tuple[str, ...] = ("run", "measure", "mean", "95 % interval")
        if len(self.runs) > 1:
            header = (*header, "difference", "95 % interval", "of the first", "better/equal/worse")
        return [header, *(_cells(row, len(self.runs) > 1) for row in self.rows)]


def evaluate_runs(
    runs: Mapping[str, Run], qrels: Qrels, *, measures: Sequence[str] = DEFAULT_MEASURES, seed: int = 0
) -> RunsQuality:
    """Measure runs; every run after the first is compared with it.

    Parameters
    ----------
    runs : mapping
        By name; each as :func:`kukla.readers.runs.read_run` returns it.
    qrels : mapping
    measures : sequence of str
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        Unknown measures, no runs, or a run that answers none of the judged queries.
    MissingExtraError
    """
    check_count(seed, what="seed", least=0)
    if not runs:
        raise InputError("no runs were given; at least one is expected")
    judge = Judge(qrels, measures)
    queries = list(judge.qrels)
    notes = few_queries(len(queries))
    if judge.irrelevant_queries:
        notes.append(f"{judge.irrelevant_queries:,} judged queries without a relevant document are left out")
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, run in runs.items():
        notes += _notes(name, run, judge)
        valued = judge.values(run)
        values[name] = {m: np.array([valued[m][query] for query in queries]) for m in judge.measures}
    bootstrap = Bootstrap(len(queries), np.random.default_rng(seed))
    first = next(iter(runs))
    rows = tuple(
        RunQuality(
            run=name,
            measure=measure,
            mean=bootstrap.interval(values[name][measure]),
            compared=None
            if name == first
            else _compare(bootstrap, values[name][measure], values[first][measure]),
            values=dict(zip(queries, values[name][measure].tolist(), strict=True)),
        )
        for measure in judge.measures
        for name in runs
    )
    return RunsQuality(rows, tuple(runs), judge.measures, len(queries), judge.grades, tuple(notes), seed)


def _compare(bootstrap: Bootstrap, values: NDArray[np.float64], first: NDArray[np.float64]) -> Comparison:
    difference = values - first
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    return Comparison(
        difference=bootstrap.interval(difference),
        relative=bootstrap.share(values, first),
        better=better,
        equal=len(values) - better - worse,
        worse=worse,
    )


def _notes(name: str, run: Run, judge: Judge) -> list[str]:
    answered = [query for query in judge.qrels if query in run]
    if not answered:
        raise InputError(
            f"{name} answers none of the {len(judge.qrels):,} judged queries: its queries are called such as "
            f"{list(run)[:1] or ['(there are none)']}, judged ones such as {list(judge.qrels)[:1]}"
        )
    notes = []
    if extra := len(run) - len(answered):
        notes.append(f"{name}: {extra:,} queries without a relevant document are left out")
    if missing := len(judge.qrels) - len(answered):
        notes.append(f"{name}: {missing:,} judged queries are not answered and count as 0")
    longest = max(len(run[query]) for query in answered)
    if short := [m for m in judge.measures if "@" in m and judge.cutoffs[m] > longest]:
        notes.append(
            f"{name}: holds at most {longest:,} results a query, fewer than {', '.join(short)} looks at"
        )
    return notes


def _cells(row: RunQuality, several: bool) -> tuple[str, ...]:
    mean = row.mean
    cells: tuple[str, ...] = (row.run, row.measure, f"{mean.mean:.4f}", f"[{mean.low:.4f}, {mean.high:.4f}]")
    if not several:
        return cells
    if row.compared is None:
        return (*cells, "-", "-", "-", "-")
    difference, share = row.compared.difference, row.compared.relative
    return (
        *cells,
        f"{difference.mean:+.4f}",
        f"[{difference.low:+.4f}, {difference.high:+.4f}]",
        "-" if share is None else f"{100 * share.mean:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]",
        f"{row.compared.better}/{row.compared.equal}/{row.compared.worse}",
    )
