"""Training data: columns of texts, and labels where a loss needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kukla.errors import InputError, ReadError
from kukla.readers.tables import TABLE_SUFFIXES, table_rows

__all__ = ["Examples", "read_examples"]

_FIRST = ("query", "anchor", "question", "sentence1", "text1", "sentence", "text", "title")
_SECOND = ("positive", "text", "answer", "document", "passage", "sentence2", "text2")
_LABELS = ("score", "label", "similarity", "class")
_COLUMNS = {"contrastive": 2, "triplet": 3, "cosine": 2, "cosent": 2, "classification": 1, "divergence": 1}
LABELLED = ("cosine", "cosent", "classification")


@dataclass(frozen=True)
class Examples:
    """Rows of texts, with what they are labelled.

    ``columns`` has one list of texts a column, in the order of the loss; ``labels`` are scores (float) or
    class numbers (int), ``classes`` their names. ``fingerprint`` is of all of it.
    """

    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    labels: list[float] | list[int] | None
    classes: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.columns[0])


def read_examples(
    source: Path | str,
    loss: str,
    *,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    rows: int | None = None,
) -> Examples:
    """Read a table (jsonl, jsonl.gz, csv, tsv, parquet) or a folder that ``datasets`` saved.

    Parameters
    ----------
    source : path
    loss : str
        One of :data:`kukla.train.config.LOSSES`: it says how many columns there must be.
    columns : sequence of str, optional
        Fields with texts, in the order query, document, hard negatives. Default: by their usual names.
    label : str, optional
        The field with the score or the class.
    rows : int, optional
        Read only the first.

    Raises
    ------
    ReadError
        The file cannot be read, a text is missing or blank, a score is no number; naming the row.
    InputError
        No rows; no such columns, with those that there are.
    """
    path = Path(source)
    stream = islice(_rows(path), rows)
    first = next(stream, None)
    if first is None:
        raise InputError(f"{path}: holds no rows; there is nothing to train on")
    fields = list(first[1])
    names = _names(path, fields, loss, columns)
    label = _label(path, fields, label) if loss in LABELLED else None
    texts: tuple[list[str], ...] = tuple([] for _ in names)
    found: list[Any] = []
    digest = hashlib.sha256()
    for number, values in _chain(first, stream):
        for column, name in zip(texts, names, strict=True):
            column.append(_text(path, number, name, values.get(name)))
            digest.update(column[-1].encode() + b"\0")
        if label is not None:
            found.append(values.get(label))
            digest.update(repr(found[-1]).encode() + b"\0")
    labels, classes = _labels(path, found, loss)
    return Examples(names, texts, labels, classes, digest.hexdigest()[:16])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.is_dir():
        from datasets import Dataset, load_from_disk

        try:
            loaded = load_from_disk(str(path))
        except (OSError, ValueError) as error:
            raise ReadError(f"{path}: not a folder that datasets saved: {error}") from None
        if not isinstance(loaded, Dataset):
            raise ReadError(f"{path}: holds the splits {', '.join(loaded)}; name the folder of one of them")
        yield from enumerate(loaded, start=1)
        return
    if not path.is_file():
        raise ReadError(f"{path}: no such file or folder")
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        raise ReadError(f"{path}: training data are {', '.join(TABLE_SUFFIXES)} or a folder of datasets")
    for row in table_rows(path):
        yield row.number, row.fields


def _chain(
    first: tuple[int, dict[str, Any]], rest: Iterable[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    yield first
    yield from rest


def _names(path: Path, fields: list[str], loss: str, given: Sequence[str] | None) -> tuple[str, ...]:
    least = _COLUMNS[loss]
    if given is None:
        first = next((name for name in _FIRST if name in fields), None)
        second = next((name for name in _SECOND if name in fields and name != first), None)
        negatives = sorted(name for name in fields if name.startswith("negative"))
        wanted = [name for name in (first, second) if name] + negatives
        names = tuple(wanted[: None if loss in ("contrastive", "divergence") else least])
    else:
        names = tuple(given)
        if missing := [name for name in names if name not in fields]:
            raise InputError(f"{path}: no column {', '.join(missing)}; there are {', '.join(fields)}")
        if len(set(names)) < len(names):
            raise InputError(f"columns: one is named twice in {', '.join(names)}")
    most = None if loss in ("contrastive", "divergence") else least
    if len(names) < least or (most is not None and len(names) > most):
        raise InputError(
            f"{path}: the loss {loss} takes {least}{'' if most else ' or more'} columns of texts, found "
            f"{', '.join(names) or 'none'} among {', '.join(fields)}; name them with columns"
        )
    return names


def _label(path: Path, fields: list[str], given: str | None) -> str:
    name = given or next((name for name in _LABELS if name in fields), None)
    if name is None or name not in fields:
        raise InputError(
            f"{path}: no column {given or 'of scores or classes'}; there are "
            f"{', '.join(fields)}; name it with label"
        )
    return name


def _text(path: Path, number: int, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        what = "is blank" if isinstance(value, str) else f"is {type(value).__name__}"
        raise ReadError(f"{path}: row {number}: {name} {what}; a text is expected")
    return value


def _labels(
    path: Path, found: list[Any], loss: str
) -> tuple[list[float] | list[int] | None, tuple[str, ...]]:
    if loss not in LABELLED:
        return None, ()
    if loss == "classification":
        classes = tuple(sorted({str(one) for one in found}))
        if len(classes) < 2:
            raise InputError(f"{path}: every row has the class {classes[0]!r}; at least two are needed")
        place = {name: number for number, name in enumerate(classes)}
        return [place[str(one)] for one in found], classes
    scores: list[float] = []
    for number, one in enumerate(found, start=1):
        try:
            score = float(one)
        except (TypeError, ValueError):
            score = float("nan")
        if score != score or abs(score) == float("inf"):
            raise ReadError(f"{path}: row {number}: the score is {one!r}; a number is expected")
        scores.append(score)
    if loss == "cosine" and not all(-1 <= score <= 1 for score in scores):
        raise InputError(f"{path}: scores of the loss cosine must be in -1..1; found up to {max(scores):g}")
    return scores, ()
