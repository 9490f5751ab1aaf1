"""The revision of a model folder: a hash of the files that decide its vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kukla.errors import ReadError

__all__ = ["folder_revision"]

# What describes a model without changing a vector; a new sentence in a card is no new space.
_IGNORED_NAMES = ("space.json", "license", "license.txt", "notice", "training_args.bin", "trainer_state.json")
_IGNORED_SUFFIXES = (".md", ".png", ".jpg", ".svg", ".csv", ".html", ".log")
_IGNORED_FOLDERS = ("checkpoint-", "layers-")  # of a training run; the others are parts of a model
_BLOCK = 1 << 20


def folder_revision(folder: Path) -> str:
    """The first 16 hex digits of a SHA-256 over names and bytes of the files of a model folder.

    Hidden files, cards, pictures, logs and what a trainer leaves beside a model are not part of it.

    Raises
    ------
    ReadError
        A file cannot be read, or there is none.
    """
    digest = hashlib.sha256()
    files = sorted(
        (path.relative_to(folder).as_posix(), path)
        for path in folder.rglob("*")
        if path.is_file() and not _ignored(path.relative_to(folder))
    )
    if not files:
        raise ReadError(f"model folder {folder}: holds no files of a model")
    for name, path in files:
        try:
            digest.update(f"{name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


def _ignored(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    beside = any(part.startswith(_IGNORED_FOLDERS) for part in path.parts[:-1])
    name = path.name.lower()
    return hidden or beside or name in _IGNORED_NAMES or name.endswith(_IGNORED_SUFFIXES)
