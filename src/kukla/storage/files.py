"""The folder of an index: made whole or not at all, and opened."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kukla.errors import IndexExistsError, WriteError
from kukla.settings import Settings
from kukla.storage.catalog import Catalog
from kukla.storage.container import Section, open_container, sync_folder, verify_container, write_container
from kukla.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CATALOG_NAME", "create_folder", "open_store"]

CATALOG_NAME = "catalog.sqlite"
PROJECTION_NAME = "projection.seg"


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
        Catalog.create(folder / CATALOG_NAME, _write_arrays(folder, settings))
        sync_folder(folder)


def open_store(folder: Path, *, timeout_seconds: float, read_only: bool) -> tuple[Store, Settings]:
    """The store of an index and its settings; raises a ``StorageError`` of the kind that fits."""
    path = folder / CATALOG_NAME
    catalog = Catalog(path, timeout_seconds=timeout_seconds, read_only=read_only)
    try:
        settings = Settings.from_dict(_read_arrays(folder, catalog.settings()), source=str(path))
        store = Store(folder, catalog, settings.layout)
        with store.snapshot():
            pass  # opens every segment: a damaged index is reported here, not by a later search
    except BaseException:
        catalog.close()
        raise
    return store, settings


def _write_arrays(folder: Path, settings: Settings) -> dict[str, Any]:
    """The settings for the catalog; a projection's arrays go to a file, as they may be megabytes."""
    values, arrays = settings.to_dict(), settings.projection.arrays()
    if arrays:
        sections = [
            Section(name, "<f4", array.shape, lambda array=array: [array])  # type: ignore[misc]
            for name, array in arrays.items()
        ]
        write_container(folder / PROJECTION_NAME, sections, {})
        values["projection"] = {**values["projection"], "arrays": list(arrays)}
    return values


def _read_arrays(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The settings of the catalog with the projection's arrays, every byte of them checked."""
    projection = values.get("projection")
    if isinstance(projection, dict) and projection.get("arrays"):
        path = folder / PROJECTION_NAME
        verify_container(path)
        _, arrays = open_container(path)
        values["projection"] = {**projection, **arrays}
    return values


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WriteError(f"could not make an index at {folder}: {error}") from error
