"""Judgements: which documents answer which queries, as TREC and BEIR write them."""

from __future__ import annotations

from pathlib import Path

from kukla.errors import ReadError
from kukla.readers.tables import text_lines

__all__ = ["read_qrels"]

_FORM = "query 0 document grade (TREC), or query, document and grade with tabs between and a header (BEIR)"


def read_qrels(path: Path | str) -> dict[str, dict[str, int]]:
    """The grade of each judged document of each query.

    Parameters
    ----------
    path : path
        TREC: four columns, blanks between. BEIR: three columns, tabs between, after a header line. May be
        gzipped (``.gz``). A line that is there twice counts once.

    Raises
    ------
    ReadError
        Naming the line; also when a document has two different grades for one query.
    """
    path = Path(path)
    found: dict[str, dict[str, int]] = {}
    for number, line in text_lines(path):
        if not line.strip():
            continue
        parts = line.split("\t") if line.count("\t") == 2 else line.split()
        judgement = _judgement(parts)
        if judgement is None:
            if number == 1 and line.count("\t") == 2 and not parts[2].strip().isdigit():  # BEIR's header
                continue
            raise ReadError(f"{path}:{number}: {line.strip()[:80]!r} is no judgement; a line is {_FORM}")
        query, document, grade = judgement
        grades = found.setdefault(query, {})
        if grades.setdefault(document, grade) != grade:
            raise ReadError(
                f"{path}:{number}: query {query!r} gives document {document!r} the grade {grade}, "
                f"and {grades[document]} above; one is expected"
            )
    if not found:
        raise ReadError(f"{path}: holds no judgements; a line is {_FORM}")
    return found


def _judgement(parts: list[str]) -> tuple[str, str, int] | None:
    if len(parts) not in (3, 4):
        return None
    query, document = parts[0].strip(), parts[-2].strip()
    try:
        return (query, document, int(parts[-1])) if query and document else None
    except ValueError:
        return None
