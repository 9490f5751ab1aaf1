"""Which rows a search may return: live ones that match its filter."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from kukla.filters import Filter, compile_filter
from kukla.search.stages import Mask
from kukla.storage.store import View

__all__ = ["MaskCache", "count_allowed"]

CACHED_FILTERS = 16


class MaskCache:
    """The row masks of the filters used last, valid for one view."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._masks: OrderedDict[str, tuple[Mask, ...]] = OrderedDict()

    def masks(self, filter_: Filter | None, view: View, connection: Connection) -> Sequence[Mask]:
        """One mask a segment, ``None`` where every row is allowed.

        Evaluating a filter reads the metadata of every document once; a repeated filter is free until the
        index changes.
        """
        if filter_ is None:
            return view.live
        condition, parameters = compile_filter(filter_)
        if view is not self._view:
            self._view, self._masks = view, OrderedDict()
        name = json.dumps([condition, parameters])
        if name not in self._masks:
            keys = [
                key
                for (key,) in connection.execute(f"SELECT key FROM documents WHERE {condition}", parameters)
            ]
            self._masks[name] = _row_masks(np.asarray(keys, dtype=np.int64), view)
            if len(self._masks) > CACHED_FILTERS:
                self._masks.popitem(last=False)
        self._masks.move_to_end(name)
        return self._masks[name]


def count_allowed(view: View, masks: Sequence[Mask]) -> int:
    """How many rows may be returned."""
    return sum(
        segment.rows if mask is None else int(np.count_nonzero(mask))
        for segment, mask in zip(view.segments, masks, strict=True)
    )


def _row_masks(keys: NDArray[np.int64], view: View) -> tuple[Mask, ...]:
    # A deleted row's key is not in the catalog any more, so matching keys are live rows.
    return tuple(np.isin(segment.keys, keys) for segment in view.segments)
