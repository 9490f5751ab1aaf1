"""Where a distillation writes: it goes on with its own, replaces it when told to, touches nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kukla.errors import InputError, ReadError
from kukla.train.checkpoints import write_atomically

__all__ = ["WorkFolder"]

_PLACE = ".distill"
_TOLD, _DONE = "config.json", "done"


@dataclass(frozen=True)
class WorkFolder:
    """The folder of a model, with what a run keeps in it until the model is there.

    Blocks of the teacher's vectors are what takes long; the same command again finds them.
    """

    out: Path

    @property
    def work(self) -> Path:
        """Of the vocabulary and what was told."""
        return self.out / _PLACE

    @property
    def blocks(self) -> Path:
        """Of the teacher's vectors."""
        return self.work / "teacher"

    def open(self, told: dict[str, Any], *, force: bool) -> bool:
        """Make ready for a run; whether there is one to go on with.

        Raises
        ------
        InputError
            The folder is not of a distillation, or of a finished one, or of one that was told otherwise.
        ReadError
            What it was told cannot be read.
        """
        kept = self.work / _TOLD
        if self.out.exists() and not kept.is_file():
            if not self.out.is_dir() or any(self.out.iterdir()):
                raise InputError(
                    f"out: {self.out} exists and is no distillation of ours; allowed: a folder that does not"
                )
        elif kept.is_file() and not force:
            if (self.work / _DONE).exists():
                raise InputError(f"out: {self.out} holds a finished distillation; --force replaces it")
            if (before := _read(kept)) != told:
                other = sorted(k for k in {*before, *told} if before.get(k) != told.get(k))
                raise InputError(
                    f"out: {self.out} holds an unfinished distillation that was told otherwise about "
                    f"{', '.join(other)}; --force replaces it"
                )
            return True
        if force and self.work.exists():
            shutil.rmtree(self.work)
        self.work.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, (json.dumps(told, indent=1) + "\n").encode())
        return False

    def finish(self) -> None:
        """The model is whole: the teacher's vectors are not needed any more."""
        (self.work / _DONE).touch()
        shutil.rmtree(self.blocks, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot be read: {error}") from None
    return found
