"""BEIR folders: a corpus, queries and judgements, as Thakur et al. (arXiv 2104.08663) lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kukla.errors import ReadError

__all__ = ["BeirFolder", "open_beir"]

_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz")
_QUERIES = ("queries.jsonl", "queries.jsonl.gz")
_QRELS = ("qrels/test.tsv", "qrels.tsv", "qrels/test.tsv.gz", "qrels.tsv.gz")


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """Where the three parts are: files that exist."""

    corpus: Path
    queries: Path
    qrels: Path


def open_beir(folder: Path | str, *, corpus: bool = True, qrels: Path | None = None) -> BeirFolder:
    """Find the parts of a folder.

    Parameters
    ----------
    folder : path
        With ``corpus.jsonl``, ``queries.jsonl`` (either may be gzipped) and ``qrels/test.tsv`` or
        ``qrels.tsv``.
    corpus : bool
        Whether there must be a corpus: an index may hold it already.
    qrels : Path, optional
        Judgements elsewhere, or of another split: ``folder/qrels/dev.tsv``.

    Raises
    ------
    ReadError
        Naming what is missing, and what there is.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file; a BEIR folder is expected" if folder.exists() else "no such folder"
        raise ReadError(f"{folder}: {what}")
    queries = _find(folder, _QUERIES, "queries")
    judgements = qrels or _find(folder, _QRELS, "judgements")
    documents = _find(folder, _CORPUS, "corpus") if corpus else folder / _CORPUS[0]
    return BeirFolder(documents, queries, judgements)


def _find(folder: Path, names: tuple[str, ...], what: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = sorted(path.name for path in folder.iterdir())
    splits = sorted(f"qrels/{path.name}" for path in (folder / "qrels").glob("*.tsv*"))
    hint = f"; --qrels may name one of {', '.join(splits)}" if splits and what == "judgements" else ""
    raise ReadError(
        f"{folder}: no {what}, {' or '.join(names[:2])} is expected; the folder holds "
        f"{', '.join(there[:8]) or 'nothing'}{hint}"
    )
