"""Calibrations kept with the index.

The setting ``calibration`` of the catalog: one entry for each metric, ``k`` and population of queries, with
what it was measured on, and 32 of its queries to measure it again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from kukla.calibrate.questions import Questions
from kukla.calibrate.result import Calibration
from kukla.errors import ForeignFileError, KuklaError
from kukla.evaluate.recall import exact_plan
from kukla.precision import Precision
from kukla.storage.catalog import put_setting, text_checksum

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kukla.index import Index

__all__ = ["Entry", "entries", "keep", "key_of", "kth_scores", "stored_recall"]

SETTING = "calibration"
FORMAT = 1

STORED_QUERIES = 32
SPREAD_QUERIES = 300
"""The mean and spread of the k-th score are measured on so many at most."""


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
    kth = kth_scores(index, spread, k)
    stored = questions.part(_evenly(len(questions), STORED_QUERIES))
    rounded = stored.vectors.astype("<f2")
    drift: dict[str, Any] = {
        "queries": base64.b64encode(rounded.tobytes()).decode(),
        "own": None if stored.own is None else stored.own.tolist(),
        "kth_mean": float(kth.mean()),
        "kth_std": float(kth.std(ddof=1)),
        "kth": [0.0] * len(rounded),
    }
    entry = Entry(key_of(index), calibration, drift)
    with index._opened.store.snapshot() as (view, connection):
        drift["documents"] = view.count
        drift["newest_key"] = _newest_key(connection)
    drift["kth"] = kth_scores(index, entry.questions(), k).tolist()
    drift["recall"] = stored_recall(index, entry)
    with index._opened.store.catalog.write() as connection:  # no other calibration comes between
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
    stored = index._opened.store.catalog.settings().get(SETTING)
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


def key_of(index: Index) -> dict[str, Any]:
    """What a calibration belongs to: space, projection, metric, nesting, precisions, lists, version."""
    settings, partition = index._opened.settings, index._opened.store.current().partition
    space, projection = settings.space, settings.projection
    return {
        "space": f"{space.provider}/{space.model}@{space.revision}, {space.dim} dims",
        "projection": f"{projection.kind}:{text_checksum(json.dumps(projection.to_dict())):08x}",
        "metric": settings.metric,
        "nesting": str(settings.nesting),
        "precisions": ", ".join(precision.value for precision in settings.precisions),
        "lists": "none" if partition is None else f"{partition.lists} ({partition.fingerprint})",
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


def kth_scores(index: Index, questions: Questions, k: int) -> np.ndarray:
    """The k-th exact score of each query, float64 ``(n,)``; the last where there are fewer documents."""
    scores = questions.truth(index, k, 1).scores
    return scores[:, min(k, scores.shape[1]) - 1].astype(np.float64)


def stored_recall(index: Index, entry: Entry) -> float | None:
    """The mean recall of the chosen plan on the stored queries; ``None`` where its lists are gone."""
    questions, k = entry.questions(), entry.calibration.target.k
    plan = entry.calibration.plan
    if plan == exact_plan(index):
        return 1.0
    if plan.stages[0].precision is Precision.PQ4 and index._opened.store.current().partition is None:
        return None
    return float(questions.truth(index, k, 1).recall(questions.find(index, k, plan, 1)).mean())
