"""Judgements: which documents answer which queries, as TREC and BEIR write them."""

from __future__ import annotations

from pathlib import Path

from kukla.errors import ReadError

__all__ = ["read_qrels"]

_FORM = "query 0 document grade (TREC), or query, document and grade with tabs between and a header (BEIR)"


def read_qrels(path: Path | str) -> dict[str, dict[str, int]]:
    """The grade of each judged document of each query.

    Parameters
    ----------
    path : path
        TREC: four columns, blanks between. BEIR: three columns, tabs between, after a header line.

    Raises
    ------
    ReadError
        Naming the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read: {error}") from None
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.split("\t") if line.count("\t") == 2 else line.split()
        try:
            query, document, grade = (
                (parts[0], parts[-2], int(parts[-1])) if len(parts) in (3, 4) else ("",) * 3
            )
            if not query:
                raise ValueError
        except ValueError:
            if number == 1 and len(parts) == 3:  # BEIR's header
                continue
            raise ReadError(f"{path}:{number}: {line[:80]!r} is no judgement; a line is {_FORM}") from None
        found.setdefault(query.strip(), {})[document.strip()] = int(grade)
    if not found:
        raise ReadError(f"{path}: holds no judgements")
    return found
