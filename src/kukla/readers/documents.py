"""From paths to documents: folders become passages, tables become rows."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kukla.document import Document
from kukla.errors import ReadError
from kukla.progress import Progress
from kukla.readers.fields import TableFields, row_documents
from kukla.readers.html import outline_html
from kukla.readers.passages import Outline, split_into_passages
from kukla.readers.python_source import outline_python
from kukla.readers.tables import TABLE_SUFFIXES
from kukla.readers.text import decode, outline_markdown, outline_plain, outline_rst
from kukla.readers.walk import FoundFile, OnSkip, Skipped, Unreadable, find_files

__all__ = ["DOCUMENT_SUFFIXES", "MAX_FILE_BYTES", "read_documents"]

MAX_FILE_BYTES = 64 * 2**20
"""A document file is held in memory while it is split; a larger one is a table in disguise."""

_OUTLINES: dict[str, Callable[[str], Outline]] = {
    ".txt": outline_plain,
    ".md": outline_markdown,
    ".markdown": outline_markdown,
    ".rst": outline_rst,
    ".html": outline_html,
    ".htm": outline_html,
}
DOCUMENT_SUFFIXES = (*_OUTLINES, ".py")

_PROGRESS_ROWS = 1000
_MAX_CONTEXT = 300  # characters: a whole paragraph marked as a heading must not be in every passage
_log = logging.getLogger(__name__)


def read_documents(
    paths: Sequence[Path | str],
    *,
    text_field: str | None = None,
    id_field: str | None = None,
    vector_field: str | None = None,
    on_skip: OnSkip | None = None,
    progress: Progress | None = None,
) -> Iterator[Document]:
    """Read documents from folders, document files and tables, in bounded memory.

    **Document files** (``.txt .md .markdown .rst .html .htm .py``) are split into passages. The id
    of a passage is ``relative/path.md#3``: the path with POSIX slashes relative to the folder that
    was given (a file given by name: its own name), and the number of the passage from 1. Its text
    starts with one line of context, the title and the headings above it (``Install - Windows``),
    because what a passage is about is often said only there; the passage follows. Metadata:
    ``path``, ``title`` (of the document, else its file name without suffix), ``section`` (headings
    joined by `` > ``, may be empty) and ``line`` (1-based).

    **Tables** (``.jsonl .jsonl.gz .csv .tsv .parquet``) are read only when they are named
    themselves; in a folder they are skipped, since not every CSV in a folder is a corpus. A row
    gives one document: the id from ``_id`` or ``id`` (without either, ``file.csv#12``, by row), the
    text from ``text``, ``content``, ``body`` or ``document``, after the ``title`` and a line break if
    there is one; a row whose text is blank is its title. All other fields become metadata; dates become
    ISO strings, NaN becomes null. A vector is read only from ``vector_field``.

    Parameters
    ----------
    paths : sequence of path
        Read in this order; what is in a folder, in the order of names.
    text_field, id_field, vector_field : str, optional
        The fields of tables, instead of the usual names.
    on_skip : callable, optional
        Called with a :class:`Skipped` for every file, folder or row that is left out. Without it
        they are logged to ``kukla.readers`` at level INFO.
    progress : callable, optional
        Called with (bytes read, bytes in total) after each file and every 1,000 rows.

    Returns
    -------
    iterator of Document
        Vectors are float32, shape (dim,). Ids may repeat; the index decides about that.

    Raises
    ------
    ReadError
        At once: a path that does not exist, a named file with a suffix that is not read, or one
        path instead of a sequence. While iterating: a table row that cannot be used, or a named
        file that cannot be read.
    MissingExtraError
        While iterating: Parquet or HTML without the optional dependency.
    """
    if isinstance(paths, str | Path):
        raise ReadError(f"paths is one path, {str(paths)!r}; expected a list of paths")
    fields = TableFields(text_field, id_field, vector_field)
    skip = on_skip or _log_skip
    files: list[FoundFile] = []
    for path in map(Path, paths):
        for file in find_files(path, skip):
            if file.named and not _has_suffix(file.name, (*DOCUMENT_SUFFIXES, *TABLE_SUFFIXES)):
                raise ReadError(
                    f"{path}: suffix {path.suffix!r} is not read; "
                    f"documents: {' '.join(DOCUMENT_SUFFIXES)}; tables: {' '.join(TABLE_SUFFIXES)}"
                )
            files.append(file)
    return _read_files(files, fields, skip, progress or _no_progress)


def _log_skip(skipped: Skipped) -> None:
    _log.info("skipped %s", skipped)


def _no_progress(done: int, total: int | None) -> None:
    pass


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)


def _read_files(
    files: list[FoundFile], fields: TableFields, skip: OnSkip, progress: Progress
) -> Iterator[Document]:
    done = 0
    total = sum(file.size for file in files)
    for file in files:
        if file.named and _has_suffix(file.name, TABLE_SUFFIXES):
            for row, (document, bytes_read) in enumerate(row_documents(file.path, fields, skip), start=1):
                yield document
                if row % _PROGRESS_ROWS == 0:
                    progress(done + min(bytes_read, file.size), total)
        else:
            yield from _read_passages(file, skip)
        done += file.size
        progress(done, total)


def _read_passages(file: FoundFile, skip: OnSkip) -> Iterator[Document]:
    try:
        outline = _read_outline(file)
    except Unreadable as reason:
        if file.named:
            raise ReadError(f"{file.path}: {reason}") from None
        skip(Skipped(file.path, str(reason)))
        return
    stem = Path(file.name).stem
    title = outline.title or stem
    number = 0
    for number, passage in enumerate(split_into_passages(outline.blocks), start=1):
        section = passage.section[1:] if passage.section[:1] == (title,) else passage.section
        context = textwrap.shorten(" - ".join((title, *section)), _MAX_CONTEXT, placeholder=" ...")
        yield Document(
            f"{file.name}#{number}",
            f"{context}\n{passage.text}",
            {"path": file.name, "title": title, "section": " > ".join(section), "line": passage.line},
        )
    if not number:
        skip(Skipped(file.path, "no docstrings" if file.path.suffix.lower() == ".py" else "no text"))


def _read_outline(file: FoundFile) -> Outline:
    if not _has_suffix(file.name, DOCUMENT_SUFFIXES):
        if _has_suffix(file.name, TABLE_SUFFIXES):
            raise Unreadable("a table; name the file itself to read it")
        raise Unreadable(f"suffix {file.path.suffix!r} is not read")
    if file.size > MAX_FILE_BYTES:
        raise Unreadable(f"{file.size} bytes; at most {MAX_FILE_BYTES}, use a table such as .jsonl for more")
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    suffix = file.path.suffix.lower()
    if suffix != ".py":
        return _OUTLINES[suffix](decode(data))
    module = file.name[: -len(suffix)].replace("/", ".").removesuffix(".__init__")
    return outline_python(data, module)
