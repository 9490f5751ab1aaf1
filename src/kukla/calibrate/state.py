"""What stored calibrations serve: plans for targets, as long as they hold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kukla.calibrate.per_query import RecallByGap
from kukla.calibrate.record import Entry, entries, key_of, kth_scores, stored_recall
from kukla.calibrate.result import Calibration, floor4
from kukla.errors import InputError
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.target import Target

if TYPE_CHECKING:
    from kukla.index import Index

__all__ = ["CalibrationState", "StaleCalibrationWarning", "promised", "states"]

MOST_CHANGED = 0.1
MOST_ERRORS = 3.0


class StaleCalibrationWarning(UserWarning):
    """A search runs a plan whose calibration does not describe the index any more."""


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """Whether a stored calibration still holds, and why not.

    ``recall_then`` and ``recall_now`` are the recalls of its plan on the stored queries against exact search:
    too few for a promise, enough to see that something happened.
    """

    calibration: Calibration
    state: Literal["fresh", "stale"]
    reasons: tuple[str, ...]
    recall_then: float
    recall_now: float | None

    def __str__(self) -> str:
        found = self.calibration
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        bound = f"at least {floor4(found.chosen.bound)} with {found.confidence:.4g} confidence"
        estimated = " (estimated)" if found.estimated else ""
        return f"{found.target} on {found.population}{estimated}: {found.plan}, {bound}; {self.state}{why}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "calibration": self.calibration.to_dict(),
            "state": self.state,
            "reasons": list(self.reasons),
            "recall_then": self.recall_then,
            "recall_now": self.recall_now,
        }


def states(index: Index, *, search: bool = True) -> tuple[CalibrationState, ...]:
    """Check every stored calibration: by counting documents, and by searching with its stored queries."""
    result = []
    for entry in entries(index):
        reasons = _changes(index, entry)
        now = None
        if search and len(index) >= entry.calibration.target.k:
            now = stored_recall(index, entry)
            reasons += _drifted(index, entry)
        result.append(
            CalibrationState(
                entry.calibration,
                "stale" if reasons else "fresh",
                tuple(reasons),
                entry.drift["recall"],
                now,
            )
        )
    return tuple(result)


def promised(index: Index, target: Target | str, k: int) -> tuple[Plan, RecallByGap | None]:
    """The cheapest stored plan that is proven to reach a target, and what is known of single queries.

    Calibrations against exact search come before judged ones, on given queries before those on documents,
    newer before older. Warns with
    :class:`StaleCalibrationWarning` where many documents came or went since.

    Raises
    ------
    InputError
        There is no calibration of this metric and k; or ``k`` is not the target's.
    """
    target = Target.of(target)
    if k != target.k:
        raise InputError(f"the target is {target}, but the search asks for k={k}: they must agree")
    stored = _cached(index)
    found = [pair for pair in stored if pair[0].calibration.target.name == target.name]
    if not found:
        have = sorted({entry.calibration.target.name for entry, _ in stored})
        raise InputError(
            f"this index has no calibration of {target.name}"
            + (f" (it has {', '.join(have)})" if have else "")
            + f": run kukla calibrate {index.path} --target '{target}', or Index.calibrate"
        )
    found.sort(key=lambda pair: (not pair[0].calibration.judged, not pair[0].calibration.estimated))
    entry, reasons = found[-1]  # sorting keeps the order of equals, oldest first
    if reasons:
        warnings.warn(
            f"the calibration of {entry.calibration.target.name} on {entry.calibration.population} is stale: "
            f"{'; '.join(reasons)}; calibrate again",
            StaleCalibrationWarning,
            stacklevel=4,
        )
    plan = entry.calibration.plan_for(target)
    return plan, None if reasons else entry.calibration.promise(plan)


def _cached(index: Index) -> list[tuple[Entry, list[str]]]:
    """The entries of the newest committed state and what changed since, worked out once for each state."""
    with index._opened.store.snapshot() as (view, _):
        pass
    if index._opened.calibrations is None or index._opened.calibrations[0] is not view:
        index._opened.calibrations = (view, [(entry, _changes(index, entry)) for entry in entries(index)])
    found: list[tuple[Entry, list[str]]] = index._opened.calibrations[1]
    return found


def _changes(index: Index, entry: Entry) -> list[str]:
    """What can be told without searching."""
    now = key_of(index)
    ignored = {"kukla"}
    if all(
        stage.precision is not Precision.PQ4
        for row in entry.calibration.frontier
        for stage in row.plan.stages
    ):
        ignored.add("lists")
    then = {"lists": "none"} | dict(entry.key)  # keys had no lists at first
    reasons = [
        f"the {name} {'were' if name == 'lists' else 'was'} {then[name]}, now {now[name]}"
        for name in now
        if name not in ignored and then[name] != now[name]
    ]
    before = entry.drift["documents"]
    with index._opened.store.snapshot() as (view, connection):
        (added,) = connection.execute(
            "SELECT count(*) FROM documents WHERE key > ?", (entry.drift["newest_key"],)
        ).fetchone()
        removed = before - (view.count - added)
    for count, what in ((added, "added"), (removed, "removed")):
        if count > MOST_CHANGED * before:
            reasons.append(
                f"{count:,} documents were {what} since, more than {MOST_CHANGED:.0%} of the {before:,}"
            )
    return reasons


def _drifted(index: Index, entry: Entry) -> list[str]:
    """Whether the k-th scores of the stored queries moved by more than chance explains."""
    then = np.array(entry.drift["kth"])
    moved = float((kth_scores(index, entry.questions(), entry.calibration.target.k) - then).mean())
    error = entry.drift["kth_std"] / np.sqrt(len(then))
    if abs(moved) <= MOST_ERRORS * error + 1e-6:
        return []
    return [
        f"the {entry.calibration.target.k}th score of the stored queries moved by {moved:+.4f}, more than "
        f"{MOST_ERRORS:g} standard errors ({error:.4f})"
    ]
