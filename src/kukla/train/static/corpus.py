"""The texts that a teacher is asked about: short ones, since a mean of pieces can follow it only there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kukla.errors import InputError
from kukla.readers import read_documents
from kukla.train.data import read_examples

__all__ = ["Corpus", "read_corpus", "snippets"]

# After a full stop of any script; Chinese and Japanese put no space there.
_SENTENCE_END = re.compile(r"(?<=[.!?…।؟])\s+|(?<=[。！？])|\n\s*\n")
_SHORTEST, _LONGEST, _ROOM = 25, 240, 20


@dataclass(frozen=True)
class Corpus:
    """Different snippets in the order of their sources; pairs as they were given, or none."""

    texts: list[str]
    queries: list[str]
    documents: list[str]


def read_corpus(
    paths: Sequence[Path],
    pairs: Path | None = None,
    *,
    text_field: str | None = None,
    columns: Sequence[str] | None = None,
) -> Corpus:
    """Read everything that ``kukla index`` reads as texts, and a table of pairs.

    The texts of pairs are part of the corpus: queries as they are, documents cut like all others.

    Raises
    ------
    InputError
        There is no text.
    ReadError
        A file cannot be read.
    """
    found: dict[str, None] = {}
    if paths:
        for document in read_documents(list(paths), text_field=text_field):
            found |= dict.fromkeys(snippets(document.text or ""))
    queries: list[str] = []
    documents: list[str] = []
    if pairs is not None:
        examples = read_examples(pairs, "contrastive", columns=columns)
        if len(examples.columns) != 2:
            raise InputError(
                f"{pairs}: distilling takes pairs, found the columns {', '.join(examples.names)}; name two "
                "with columns (hard negatives come from the batch)"
            )
        queries, documents = examples.columns
        found |= dict.fromkeys(queries)
        for text in documents:
            found |= dict.fromkeys(snippets(text))
    if not found:
        raise InputError(f"corpus: no text in {', '.join(map(str, paths)) or 'nothing'}")
    return Corpus(list(found), queries, documents)


def snippets(text: str) -> Iterator[str]:
    """Sentences of any script: short ones are joined, long ones cut at a space into about equal parts."""
    held = ""
    for sentence in _SENTENCE_END.split(text):
        held = f"{held} {' '.join(sentence.split())}".strip()
        if len(held) >= _SHORTEST:
            yield from _cut(held)
            held = ""
    if held:
        yield held


def _cut(text: str) -> Iterator[str]:
    if len(text) <= _LONGEST:
        yield text
        return
    parts = -(-len(text) // _LONGEST)
    # A little room, so that words do not push a last part of one word out.
    yield from textwrap.wrap(text, width=-(-len(text) // parts) + _ROOM, break_on_hyphens=False)


def sample(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """``count`` of the texts without replacement, in random order: all of them where there are fewer."""
    return [texts[int(row)] for row in rng.permutation(len(texts))[:count]]


def lines_of(texts: Iterable[str]) -> Iterator[str]:
    """Texts for a vocabulary: one sentence a line, no NUL."""
    for text in texts:
        yield " ".join(text.replace("\0", " ").split())
