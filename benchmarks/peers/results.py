"""Results: JSON lines, appended one by one; a run that was killed goes on after the last whole line.

A record is keyed by what was measured: kind, workload, engine, version, build and search parameters, threads.
Records of several runs may share a file; where a key was measured again, the last record counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Record", "Results", "key_of"]

Record = dict[str, Any]
KEY = ("kind", "cpu", "workload", "engine", "version", "build", "search", "threads")
FILE = "results.jsonl"


def key_of(record: Record) -> str:
    """The part of a record that says what was measured, as text."""
    return json.dumps([record.get(name) for name in KEY], sort_keys=True)


class Results:
    """The results of a folder, which is made if it is not there."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._records: dict[str, Record] = {}
        for record in self._read():
            self._records[key_of(record)] = record

    def _read(self) -> Iterator[Record]:
        if not self.path.is_file():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for line in lines:
            # A run that was killed while it wrote may leave one line without its end: it is measured again.
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def add(self, record: Record) -> None:
        """Append one record; it is on disk when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = not self.path.is_file() or self._ends_with_newline()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(record, sort_keys=True) + "\n")
        self._records[key_of(record)] = record

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read(1) in {b"", b"\n"}

    def find(self, record: Record) -> Record | None:
        """What has been measured under the same key."""
        return self._records.get(key_of(record))

    def all(self, kind: str | None = None) -> list[Record]:
        """Every record of a kind, the last under each key."""
        return [record for record in self._records.values() if kind in (None, record["kind"])]
