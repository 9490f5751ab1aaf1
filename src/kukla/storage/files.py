"""The folder of an index: made whole or not at all, and opened."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from kukla.errors import IndexExistsError, WriteError
from kukla.settings import Settings
from kukla.storage.catalog import Catalog
from kukla.storage.container import sync_folder
from kukla.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CATALOG_NAME", "create_folder", "open_store"]

CATALOG_NAME = "catalog.sqlite"


def create_folder(folder: Path, settings: Settings) -> None:
    """Make the folder of a new index; it is one when its catalog has its name, which is the last step.

    Raises
    ------
    IndexExistsError
        When there is a file, an index or anything else at ``folder``.
    WriteError
    """
    with _write_errors(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "an index" if (folder / CATALOG_NAME).exists() else "something else"
            raise IndexExistsError(f"there is {what} at {folder} already")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / "segments").mkdir()
        except FileExistsError:
            raise IndexExistsError(f"another process is making an index at {folder}") from None
        Catalog.create(folder / CATALOG_NAME, settings.to_dict())
        sync_folder(folder)


def open_store(folder: Path, *, timeout_seconds: float, read_only: bool) -> tuple[Store, Settings]:
    """The store of an index and its settings; raises a ``StorageError`` of the kind that fits."""
    path = folder / CATALOG_NAME
    catalog = Catalog(path, timeout_seconds=timeout_seconds, read_only=read_only)
    try:
        settings = Settings.from_dict(catalog.settings(), source=str(path))
        store = Store(folder, catalog, settings.layout)
        with store.snapshot():
            pass  # opens every segment: a damaged index is reported here, not by a later search
    except BaseException:
        catalog.close()
        raise
    return store, settings


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WriteError(f"could not make an index at {folder}: {error}") from error
