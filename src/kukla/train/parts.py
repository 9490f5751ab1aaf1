"""What a run is trained on: one file, or several with a loss each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kukla.checks import check_count
from kukla.errors import InputError

__all__ = ["LOSSES", "DataPart", "parse_parts"]

LOSSES = ("contrastive", "triplet", "cosine", "cosent", "classification", "divergence")


@dataclass(frozen=True, kw_only=True)
class DataPart:
    """One file: every batch is of one file, and goes through its loss.

    Raises
    ------
    InputError
        A value that cannot be, naming the key and what is allowed.
    """

    path: str
    loss: str = "contrastive"
    columns: tuple[str, ...] | None = None
    label: str | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise InputError(f"path of data must be a path, got {self.path!r}")
        if self.loss not in LOSSES:
            raise InputError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if self.rows is not None:
            check_count(self.rows, what="rows")


def parse_parts(given: list[Any] | tuple[Any, ...], loss: str) -> tuple[DataPart, ...]:
    """The entries of a list: paths, or mappings with the keys of :class:`DataPart`.

    Parameters
    ----------
    given : list
    loss : str
        Of those that name none.

    Raises
    ------
    InputError
        Naming the entry, counted from 1: no path, unknown keys, values that cannot be; an empty list.
    """
    if not isinstance(given, list | tuple):
        raise InputError(f"data must be a path, or a list of files, got {given!r}")
    if not given:
        raise InputError("data: the list is empty; at least one file is needed")
    known = [field.name for field in fields(DataPart)]
    parts = []
    for number, entry in enumerate(given, start=1):
        keys = {"path": entry} if isinstance(entry, str) else entry
        if isinstance(keys, DataPart):
            parts.append(keys)
            continue
        if not isinstance(keys, Mapping) or keys.get("path") is None or set(keys) - set(known):
            raise InputError(
                f"data: entry {number} must be a path, or have a path and any of {', '.join(known[1:])}; "
                f"got {entry!r}"
            )
        columns = keys.get("columns")
        ready = {**keys, "columns": (columns,) if isinstance(columns, str) else columns and tuple(columns)}
        try:
            parts.append(DataPart(**{"loss": loss, **ready}))
        except InputError as error:
            raise InputError(f"data: entry {number}: {error}") from None
    return tuple(parts)
