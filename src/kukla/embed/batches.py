"""Texts in batches of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

from kukla.embed.base import Embedder
from kukla.errors import InputError

__all__ = ["batches_by_length", "check_texts", "default_batch_size"]

STATIC_BATCH = 1024


def check_texts(texts: Sequence[str]) -> None:
    """Refuse what is no sequence of texts; ``InputError`` names the row."""
    if isinstance(texts, str):
        raise InputError("texts: received one str; allowed: a sequence of texts, e.g. [text]")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts, row {row}: received {type(text).__name__}; allowed: str")


def batches_by_length(
    texts: Sequence[str], batch_size: int, *, most_bytes: int | None = None
) -> list[list[int]]:
    """Rows of ``texts``, longest first, cut into batches.

    Parameters
    ----------
    texts : sequence of str
    batch_size : int
        Texts in a batch, at most.
    most_bytes : int, optional
        UTF-8 bytes in a batch, at most; a longer text is alone in its batch.

    Returns
    -------
    list of lists of int
        Every row once. The same texts always give the same batches: the order is by the number of
        characters, longest first (what does not fit in memory shows at once), ties by row.
    """
    batches: list[list[int]] = []
    batch_bytes = 0
    for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
        size = 0 if most_bytes is None else len(texts[row].encode("utf-8", "replace"))
        full = not batches or len(batches[-1]) >= batch_size
        if full or (most_bytes is not None and batch_bytes + size > most_bytes):
            batches.append([])
            batch_bytes = 0
        batches[-1].append(row)
        batch_bytes += size
    return batches


def default_batch_size(embedder: Embedder) -> int:
    """Texts that an embedder takes at once unless told otherwise: its ``batch_size``, else 1024."""
    return int(getattr(embedder, "batch_size", STATIC_BATCH))
