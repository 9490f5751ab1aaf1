"""Values of rankings against judgements: the one place that computes them.

Measures have ir_measures' names (MacAvaney, Macdonald and Ounis, *Streamlining Evaluation with ir-measures*,
ECIR 2022): ``nDCG@10``, ``R@100``, ``RR@10``, ``AP``, ``P@10``, ``Success@1``. All but ``RR@k`` and
``Judged@k`` are computed by trec_eval's own code. nDCG has linear gains, as trec_eval's ``ndcg_cut``; the
others take a grade of 1 or more as relevant unless the name says otherwise (``R(rel=2)@100``).

A query that a run does not answer counts as 0, as in ``trec_eval -c``; a query without any relevant document
has no value and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kukla.errors import InputError, MissingExtraError

__all__ = [
    "DEFAULT_MEASURES",
    "ENOUGH_QUERIES",
    "NO_CUTOFF_DEPTH",
    "Judge",
    "Qrels",
    "Run",
    "few_queries",
    "rank_scores",
    "split_measures",
]

Qrels = Mapping[str, Mapping[Any, int]]
"""The grade of each judged document of each query; ids are compared as texts."""

Run = Mapping[str, Mapping[str, float]]
"""The score of each retrieved document of each query; ranks follow from scores."""

DEFAULT_MEASURES = ("nDCG@10", "R@100")
NO_CUTOFF_DEPTH = 1000
"""How many results a measure without a cutoff looks at, as in TREC."""

ENOUGH_QUERIES = 100
"""Below, the bootstrap's intervals hold visibly less often than they say (docs/eval.md)."""

_COMMON = "nDCG@10, R@100, RR@10, AP, AP@100, P@10, Success@1"
_FAMILIAR = {
    "ndcg": "nDCG",
    "recall": "R",
    "r": "R",
    "mrr": "RR",
    "rr": "RR",
    "map": "AP",
    "ap": "AP",
    "precision": "P",
    "p": "P",
    "success": "Success",
    "hit": "Success",
}


def split_measures(text: str) -> tuple[str, ...]:
    """``nDCG@10,R(rel=2)@100`` as names: commas inside brackets separate nothing."""
    return tuple(part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip())


def few_queries(count: int) -> list[str]:
    """A note on what intervals of so few queries are worth; none from 100 on."""
    if count >= ENOUGH_QUERIES:
        return []
    return [
        f"only {count:,} judged queries: with fewer than {ENOUGH_QUERIES}, intervals are too narrow, most of "
        "all near 100 %"
    ]


def rank_scores(ids: Iterable[object]) -> dict[str, float]:
    """Scores that keep a ranking as it is: trec_eval orders equal scores by name, Kukla's order is by id."""
    names = [str(id_) for id_ in ids]
    return {name: float(len(names) - rank) for rank, name in enumerate(names)}


class Judge:
    """Judgements and measures, ready to value any number of runs.

    Parameters
    ----------
    qrels : mapping
        The grade of documents by query; ids are compared as texts.
    measures : sequence of str

    Raises
    ------
    InputError
        A measure that is unknown or cannot be computed here, or no query with a relevant document.
    MissingExtraError
        Without ir_measures.
    """

    def __init__(self, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES) -> None:
        try:
            import ir_measures as library
        except ImportError:
            raise MissingExtraError("measuring against judgements", "eval") from None
        if isinstance(measures, str) or not measures:
            raise InputError(f"measures: got {measures!r}; a list of names is expected: {_COMMON}")
        self.qrels: dict[str, dict[str, int]] = {
            str(query): {str(id_): int(grade) for id_, grade in documents.items()}
            for query, documents in qrels.items()
            if any(grade > 0 for grade in documents.values())
        }
        if not self.qrels:
            raise InputError(
                f"no query has a relevant document: {len(qrels):,} queries, every grade 0 or less"
            )
        self.irrelevant_queries = len(qrels) - len(self.qrels)
        parsed = list(dict.fromkeys(_parse(library, name) for name in measures))
        self.measures: tuple[str, ...] = tuple(map(str, parsed))
        self.cutoffs: dict[str, int] = {str(measure): _cutoff(measure) for measure in parsed}
        self.depth: int = max(self.cutoffs.values())
        try:
            # The other providers call programs (perl), or need libraries that are not there.
            of_here = [library.pytrec_eval, library.msmarco, library.judged]
            fallback: Any = library.providers.FallbackProvider
            self._evaluator: Any = fallback(of_here).evaluator(parsed, self.qrels)
        except (ValueError, RuntimeError, AssertionError):
            raise InputError(
                f"measures {', '.join(self.measures)}: one of them is not computed by trec_eval or lacks "
                f"its cutoff; such as {_COMMON} are"
            ) from None

    @property
    def grades(self) -> tuple[int, ...]:
        """The different grades above 0, ascending; one means binary judgements."""
        return tuple(sorted({g for documents in self.qrels.values() for g in documents.values() if g > 0}))

    def values(self, run: Run) -> dict[str, dict[str, float]]:
        """The value of each query for each measure: ``values["nDCG@10"]["q1"]``, in 0..1.

        Queries without a relevant document are left out; those that the run does not answer are 0.
        """
        asked = {query: dict(documents) for query, documents in run.items() if query in self.qrels}
        found: dict[str, dict[str, float]] = {name: dict.fromkeys(self.qrels, 0.0) for name in self.measures}
        if asked:
            for metric in self._evaluator.iter_calc(asked):
                found[str(metric.measure)][metric.query_id] = float(metric.value)
        return found


def _parse(library: Any, name: str) -> Any:
    try:
        measure = library.parse_measure(name)
        if not isinstance(measure, library.measures.Measure):
            raise ValueError
        averaged = isinstance(measure.aggregator(), library.MeanAgg)
    except (NameError, ValueError, TypeError, SyntaxError, AttributeError, KeyError):
        raise InputError(f"unknown measure {name!r}{_meant(name)}; such as {_COMMON}") from None
    if not averaged:
        raise InputError(f"measure {name!r} counts and is no mean over queries; such as {_COMMON} are")
    cutoff = measure.params.get("cutoff")
    if cutoff is not None and (isinstance(cutoff, bool) or not isinstance(cutoff, int) or cutoff < 1):
        raise InputError(f"measure {name!r}: the cutoff must be a whole number, at least 1")
    return measure


def _meant(name: str) -> str:
    word, at, cutoff = name.strip().partition("@")
    known = _FAMILIAR.get(word.lower())
    return f" (did you mean {known + at + cutoff!r}?)" if known and known != word else ""


def _cutoff(measure: Any) -> int:
    cutoff = measure.params.get("cutoff")
    return NO_CUTOFF_DEPTH if cutoff is None else int(cutoff)
