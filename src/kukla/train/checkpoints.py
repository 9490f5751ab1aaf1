"""The state of a run on disk: what it was told, and checkpoints that are whole or not used.

A run writes into the hidden folder ``.train`` of its result. The trainer of transformers writes a checkpoint
file by file; a process killed while it does leaves one that looks like any other. So a checkpoint counts only
when the marker is in it, which is written last.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from kukla.errors import InputError, ReadError

__all__ = ["MARKER", "RunFolder", "write_atomically"]

MARKER = "complete"
_FREE = ("out",)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after the machine stops."""
    sibling = path.with_name(path.name + ".tmp")
    with sibling.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    sibling.replace(path)


class RunFolder:
    """The folder of a result, and what of a run is in it.

    Parameters
    ----------
    out : Path
        Where the model goes.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.state = out / ".train"
        self.curves = self.state / "curves.jsonl"
        self.figure = out / "curves.png"
        self.checkpoints = self.state / "checkpoints"
        self._told = self.state / "run.json"

    def open(self, told: dict[str, Any], *, resume: bool, force: bool) -> Path | None:
        """Start or go on: the checkpoint to go on from, or ``None``.

        Parameters
        ----------
        told : dict
            All that decides the result; a resumed run must have been told the same.

        Raises
        ------
        InputError
            Something is there already; nothing is there to resume; that run was told otherwise, or is
            done.
        """
        there = self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir()))
        if there and not self._told.is_file():
            raise InputError(f"out: there is something at {self.out} already that no training run made")
        if resume:
            if not there:
                raise InputError(f"there is no run to resume at {self.out}")
            before = self._read()
            if before.get("finished"):
                raise InputError(f"the run at {self.out} is finished: there is nothing to resume")
            keys = sorted({*told, *before["told"]} - set(_FREE))
            changed = [key for key in keys if told.get(key) != before["told"].get(key)]
            if changed:
                raise InputError(
                    f"the run at {self.out} was told otherwise: "
                    + "; ".join(
                        f"{key} was {before['told'].get(key)!r}, is {told.get(key)!r}" for key in changed
                    )
                )
            return self.last_checkpoint()
        if there and not force:
            state = "a finished" if self._read().get("finished") else "an unfinished"
            hint = "" if state == "a finished" else "--resume goes on with it, "
            raise InputError(f"out: there is {state} run at {self.out}; {hint}--force replaces it")
        if there:
            shutil.rmtree(self.out)
        self.checkpoints.mkdir(parents=True)
        write_atomically(self._told, json.dumps({"told": told, "finished": False}, indent=1).encode())
        return None

    def last_checkpoint(self) -> Path | None:
        """The newest whole one; those without the marker are removed, since the trainer would trust them."""
        found: list[tuple[int, Path]] = []
        for folder in self.checkpoints.glob("checkpoint-*"):
            if (folder / MARKER).is_file():
                found.append((int(folder.name.rpartition("-")[2]), folder))
            else:
                shutil.rmtree(folder)
        return max(found)[1] if found else None

    def keep(self, name: str, value: Any) -> None:
        """Remember a JSON-able value of the run."""
        write_atomically(self.state / f"{name}.json", json.dumps(value).encode())

    def kept(self, name: str) -> Any:
        """What :meth:`keep` was given, or ``None``."""
        path = self.state / f"{name}.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def finish(self) -> None:
        """The result is there: checkpoints go, and the run cannot be resumed."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        told = self._read()["told"]
        write_atomically(self._told, json.dumps({"told": told, "finished": True}, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._told.read_bytes())
        except (OSError, ValueError) as error:
            raise ReadError(f"{self._told}: cannot be read: {error}") from None
        return found
