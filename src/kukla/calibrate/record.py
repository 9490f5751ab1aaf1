"""Calibrations kept with the index, and whether they still hold.

The setting ``calibration`` of the catalog: one entry for each metric, ``k`` and population of queries, with
what it was measured on, and 32 of its queries to measure it again.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kukla.calibrate.questions import Questions
from kukla.calibrate.result import Calibration, floor4
from kukla.errors import ForeignFileError, InputError, KuklaError
from kukla.evaluate.recall import exact_plan
from kukla.plan import Plan
from kukla.storage.catalog import put_setting, text_checksum
from kukla.target import Target

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kukla.index import Index

__all__ = ["CalibrationState", "Entry", "StaleCalibrationWarning", "entries", "keep", "plan_for", "states"]

SETTING = "calibration"
FORMAT = 1

STORED_QUERIES = 32
SPREAD_QUERIES = 300
"""The mean and spread of the k-th score are measured on so many at most."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """A calibration as stored, with what it is keyed by and what tells drift."""

    key: Mapping[str, Any]
    calibration: Calibration
    drift: Mapping[str, Any]

    @property
    def place(self) -> tuple[str, str, bool]:
        """What a later calibration must share to replace this one."""
        found = self.calibration
        return found.target.name, found.population, found.judged

    def questions(self) -> Questions:
        """The stored queries, in float16."""
        data = np.frombuffer(base64.b64decode(self.drift["queries"]), dtype="<f2")
        vectors = data.reshape(len(self.drift["kth"]), -1).astype(np.float32)
        own = self.drift["own"]
        return Questions(
            vectors, np.arange(len(vectors)), None if own is None else np.array(own, _type_of(own))
        )


def keep(index: Index, calibration: Calibration, questions: Questions) -> None:
    """Store a calibration in place of an older one of the same metric, k and population.

    Parameters
    ----------
    questions : Questions
        The queries to draw the stored ones from.
    """
    k = calibration.target.k
    spread = questions.part(_evenly(len(questions), SPREAD_QUERIES))
    kth = _kth_scores(index, spread, k)
    stored = questions.part(_evenly(len(questions), STORED_QUERIES))
    rounded = stored.vectors.astype("<f2")
    drift: dict[str, Any] = {
        "queries": base64.b64encode(rounded.tobytes()).decode(),
        "own": None if stored.own is None else stored.own.tolist(),
        "kth_mean": float(kth.mean()),
        "kth_std": float(kth.std(ddof=1)),
        "kth": [0.0] * len(rounded),
    }
    entry = Entry(_key(index), calibration, drift)
    with index._store.snapshot() as (view, connection):
        drift["documents"] = view.count
        drift["newest_key"] = _newest_key(connection)
    drift["kth"] = _kth_scores(index, entry.questions(), k).tolist()
    drift["recall"] = _recall(index, entry)
    with index._store.catalog.write() as connection:  # no other calibration comes between
        try:
            before = entries(index)
        except ForeignFileError:  # whose message says to calibrate again
            before = []
        kept = [other for other in before if other.place != entry.place]
        values = [_to_dict(one) for one in (*kept, entry)]
        put_setting(connection, SETTING, {"format": FORMAT, "entries": values})


def entries(index: Index) -> list[Entry]:
    """What is stored, oldest first.

    Raises
    ------
    ChecksumError, ForeignFileError
    """
    stored = index._store.catalog.settings().get(SETTING)
    if stored is None:
        return []
    try:
        if stored["format"] != FORMAT:
            return []  # of a later Kukla: calibrate again
        return [
            Entry(entry["key"], Calibration.from_dict(entry["calibration"]), entry["drift"])
            for entry in stored["entries"]
        ]
    except (KeyError, TypeError, AttributeError, KuklaError) as error:
        raise ForeignFileError(
            f"{index.path} holds a calibration that is not one of ours: {error!r}; calibrate again"
        ) from None


def states(index: Index, *, search: bool = True) -> tuple[CalibrationState, ...]:
    """Check every stored calibration: by counting documents, and by searching with its stored queries."""
    result = []
    for entry in entries(index):
        reasons = _changes(index, entry)
        now = None
        if search and len(index) >= entry.calibration.target.k:
            now = _recall(index, entry)
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


def plan_for(index: Index, target: Target | str, k: int) -> Plan:
    """The cheapest stored plan that is proven to reach a target.

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
            stacklevel=3,
        )
    return entry.calibration.plan_for(target)


def _cached(index: Index) -> list[tuple[Entry, list[str]]]:
    """The entries of the newest committed state and what changed since, worked out once for each state."""
    with index._store.snapshot() as (view, _):
        pass
    if index._calibrations is None or index._calibrations[0] is not view:
        index._calibrations = (view, [(entry, _changes(index, entry)) for entry in entries(index)])
    found: list[tuple[Entry, list[str]]] = index._calibrations[1]
    return found


def _changes(index: Index, entry: Entry) -> list[str]:
    """What can be told without searching."""
    now = _key(index)
    reasons = [
        f"the {name} was {entry.key[name]}, now {now[name]}"
        for name in now
        if name != "kukla" and entry.key[name] != now[name]
    ]
    before = entry.drift["documents"]
    with index._store.snapshot() as (view, connection):
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
    moved = float((_kth_scores(index, entry.questions(), entry.calibration.target.k) - then).mean())
    error = entry.drift["kth_std"] / np.sqrt(len(then))
    if abs(moved) <= MOST_ERRORS * error + 1e-6:
        return []
    return [
        f"the {entry.calibration.target.k}th score of the stored queries moved by {moved:+.4f}, more than "
        f"{MOST_ERRORS:g} standard errors ({error:.4f})"
    ]


def _key(index: Index) -> dict[str, Any]:
    settings = index._settings
    space, projection = settings.space, settings.projection
    return {
        "space": f"{space.provider}/{space.model}@{space.revision}, {space.dim} dims",
        "projection": f"{projection.kind}:{text_checksum(json.dumps(projection.to_dict())):08x}",
        "metric": settings.metric,
        "nesting": str(settings.nesting),
        "precisions": ", ".join(precision.value for precision in settings.precisions),
        "kukla": _version(),
    }


def _version() -> str:
    try:
        return version("kukla")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def _to_dict(entry: Entry) -> dict[str, Any]:
    return {
        "key": dict(entry.key), "calibration": entry.calibration.to_dict(), "drift": dict(entry.drift),
    }  # fmt: skip


def _newest_key(connection: Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(key), 0) FROM documents").fetchone()[0])


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _type_of(ids: list[Any]) -> Any:
    return object if isinstance(ids[0], str) else np.int64


def _kth_scores(index: Index, questions: Questions, k: int) -> np.ndarray:
    scores = questions.truth(index, k, 1).scores
    return scores[:, min(k, scores.shape[1]) - 1].astype(np.float64)


def _recall(index: Index, entry: Entry) -> float:
    questions, k = entry.questions(), entry.calibration.target.k
    plan = entry.calibration.plan
    if plan == exact_plan(index):
        return 1.0
    return float(questions.truth(index, k, 1).recall(questions.find(index, k, plan, 1)).mean())
