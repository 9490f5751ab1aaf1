"""The unfinished part of a run: vectors and documents so far, and a journal of what of them is whole.

A folder beside the target holds ``vectors`` (a .npy whose header is completed at the end),
``documents.jsonl`` (id and text of each row) and ``journal.jsonl`` (the settings, then one line for each
window). A window counts once its line is whole; what the other files hold beyond it the next run cuts off.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.embed.windows import Window
from kukla.errors import InputError, LockedError
from kukla.space import Space

__all__ = ["Journal", "open_journal", "remove"]


class Journal:
    """What a run has done so far; made by :func:`open_journal`.

    ``rows`` and ``digest`` say how far it is and of which source.
    """

    def __init__(self, folder: Path, lines: list[dict[str, Any]], dim: int, dtype: np.dtype[Any]) -> None:
        self.folder = folder
        self.vectors, self.documents = folder / "vectors", folder / "documents.jsonl"
        self._dim, self._dtype = dim, dtype
        self.digests: dict[int, str] = {int(line["rows"]): str(line["digest"]) for line in lines}
        self.rows = max(self.digests, default=0)
        self._header = len(npy_header(0, dim, dtype))
        _cut(self.vectors, self._header + self.rows * dim * dtype.itemsize)
        _cut(self.documents, int(lines[-1]["documents_bytes"]) if lines else 0)

    def commit(self, window: Window, vectors: NDArray[Any]) -> None:
        """Append a window; when this returns it survives whatever happens."""
        lines = [
            json.dumps({"id": id_, "text": text}, ensure_ascii=False) + "\n"
            for id_, text in zip(window.ids, window.texts, strict=True)
        ]
        _append(self.vectors, np.ascontiguousarray(vectors, dtype=self._dtype).tobytes())
        documents_bytes = _append(self.documents, "".join(lines).encode())
        self.rows = window.first + len(window.documents)
        self.digests[self.rows] = window.digest
        line = {"rows": self.rows, "digest": window.digest, "documents_bytes": documents_bytes}
        _append(self.folder / "journal.jsonl", (json.dumps(line) + "\n").encode())

    def complete_header(self) -> None:
        """Make ``vectors`` a .npy of all rows."""
        with self.vectors.open("r+b") as stream:
            stream.write(npy_header(self.rows, self._dim, self._dtype))
            stream.flush()
            os.fsync(stream.fileno())

    def items(self) -> Iterator[tuple[DocumentId, str]]:
        """Id and text of every row, in order."""
        with self.documents.open(encoding="utf-8", newline="\n") as stream:
            for line in stream:
                item = json.loads(line)
                yield item["id"], item["text"]


@contextmanager
def open_journal(
    folder: Path, settings: Mapping[str, Any], space: Space, *, precision: str, restart: bool
) -> Iterator[Journal]:
    """Continue the run in ``folder``, or begin one; one process at a time.

    Parameters
    ----------
    folder : Path
    settings : mapping
        JSON values on which the bytes of the result depend.
    space : Space
        Of the vectors; that of an unfinished run must be the same.
    precision : str
        ``float32`` or ``float16``.
    restart : bool
        Drop what an earlier run has done.

    Raises
    ------
    InputError
        The unfinished run had other settings.
    SpaceError
        It had another model.
    LockedError
        Another process works on it.
    """
    dtype = np.dtype({"float32": "<f4", "float16": "<f2"}[precision])
    wanted = {**settings, "precision": precision}
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        _lock(lock, folder)
        path = folder / "journal.jsonl"
        found, whole_bytes = ([], 0) if restart else _whole_lines(path)
        if found and not (folder / "vectors").exists():
            found = []  # a run that finished, but for removing this
        if found:
            _check_settings(folder, found[0].get("settings", {}), wanted)
            Space.from_dict(found[0]["space"]).check_same(space, doing=f"continuing the run in {folder}")
            _cut(path, whole_bytes)  # a line that was being written
        else:
            for name in ("journal.jsonl", "documents.jsonl", "vectors"):
                (folder / name).unlink(missing_ok=True)
            _append(folder / "vectors", npy_header(0, space.dim, dtype))
            _append(folder / "documents.jsonl", b"")
            found = [{"settings": wanted, "space": space.to_dict()}]
            _append(path, (json.dumps(found[0]) + "\n").encode())
        journal = Journal(folder, found[1:], space.dim, dtype)
        try:
            yield journal
        except BaseException:
            if not journal.rows:
                remove(folder)  # nothing is lost
            raise


def remove(folder: Path) -> None:
    """Remove a run that is finished."""
    shutil.rmtree(folder, ignore_errors=True)


def npy_header(rows: int, dim: int, dtype: np.dtype[Any]) -> bytes:
    """The header of a .npy; NumPy pads it so that its length does not depend on the number of rows."""
    stream = BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _lock(stream: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise LockedError(f"another process works on {folder}; wait for it, or write elsewhere") from None


def _whole_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines of a journal up to the first that is not whole, and their bytes."""
    lines: list[dict[str, Any]] = []
    size = 0
    if not path.exists():
        return lines, size
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
        size += len(line) + 1
    return lines, size


def _check_settings(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = [name for name in wanted if found.get(name) != wanted[name]]
    if other:
        what = ", ".join(f"{name} {found.get(name)} (now {wanted[name]})" for name in other)
        raise InputError(
            f"{folder} holds an unfinished run with {what}: continue it with the same, or drop it with "
            "--restart"
        )


def _append(path: Path, data: bytes) -> int:
    """Append and wait for the disk; the size of the file afterwards."""
    with path.open("ab") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()


def _cut(path: Path, size: int) -> None:
    if path.stat().st_size < size:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, its journal names {size}: --restart drops it"
        )
    os.truncate(path, size)
