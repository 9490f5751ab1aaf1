"""From folders to files: sorted, deterministic, and nothing dropped without a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kukla.errors import ReadError

__all__ = ["FoundFile", "OnSkip", "Skipped", "Unreadable", "find_files"]

# Folders of other people's files: reading them would drown the user's own.
_FOREIGN_FOLDERS = {"node_modules", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not read, and why.

    Parameters
    ----------
    path : Path
        A file, or a folder none of whose files were looked at.
    reason : str
        For people, without the path.
    line : int, optional
        The 1-based line (parquet: row) when only one row of a table was left out.
    """

    path: Path
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.reason}"


OnSkip = Callable[[Skipped], None]


class Unreadable(Exception):
    """Why one file cannot be read: a reason to skip it in a folder, an error when it was named."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file to read.

    Parameters
    ----------
    path : Path
        Where it is.
    name : str
        Its POSIX path relative to the root that was given; for a named file, its own name.
    size : int
        Bytes.
    named : bool
        True when the user named this very file: then problems are errors, not skips.
    """

    path: Path
    name: str
    size: int
    named: bool


def find_files(path: Path, skip: OnSkip) -> Iterator[FoundFile]:
    """Find the files under a path, in an order that depends on their names alone.

    Hidden entries, ``node_modules``, ``__pycache__``, virtual environments (a folder with a
    ``pyvenv.cfg``), links to folders, broken links and what is not a regular file are passed to
    ``skip``. A link to a folder is never followed, so loops cannot occur and no file has two ids;
    the path itself may be hidden or a link, because it was asked for.

    Parameters
    ----------
    path : Path
        A folder or a file.
    skip : callable
        Called with one :class:`Skipped` for each entry that is left out.

    Yields
    ------
    FoundFile

    Raises
    ------
    ReadError
        The path does not exist, or is neither a file nor a folder.
    """
    if path.is_dir():
        yield from _find_in_folder(path, path, skip)
    elif path.is_file():
        yield FoundFile(path, path.name, path.stat().st_size, named=True)
    elif path.exists():
        raise ReadError(f"{path}: is neither a file nor a folder")
    else:
        raise ReadError(f"{path}: no such file or folder")


def _find_in_folder(folder: Path, root: Path, skip: OnSkip) -> Iterator[FoundFile]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        skip(Skipped(folder, f"cannot be listed: {error.strerror}"))
        return
    for name in names:
        path = folder / name
        reason = _reason_to_skip(path)
        if reason is not None:
            skip(Skipped(path, reason))
        elif path.is_dir():
            yield from _find_in_folder(path, root, skip)
        else:
            yield FoundFile(path, path.relative_to(root).as_posix(), path.stat().st_size, named=False)


def _reason_to_skip(path: Path) -> str | None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        if path.is_symlink():
            return "a link to a folder; name the folder to read it"
        if path.name in _FOREIGN_FOLDERS:
            return "holds installed or generated files"
        if (path / "pyvenv.cfg").exists():
            return "a virtual environment"
        return None
    if path.is_file():
        return None
    if path.is_symlink() and not path.exists():
        return "a broken link"
    return "not a regular file"
