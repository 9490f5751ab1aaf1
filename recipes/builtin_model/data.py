"""Texts to learn from: each source, its licence, and how its passages become query/document pairs.

A passage is a *head* (a title, a question, a lemma) and a *body* (sentences). Two kinds of pairs come out of
it:

- head -> body: a title and its abstract, a question and its answer, a lemma and its definition;
- inverse cloze (Lee et al. 2019, arXiv:1906.00300): one sentence of the body -> the head and the other
  sentences.

Pairs are made in token space, anew for every epoch, so that each text is tokenised once. `SourcePairs` is
what :func:`kukla.train.static.contrast.contrast` draws them from.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kukla.train.static.bag import Tokens
from kukla.train.static.settings import Settings

from . import code

__all__ = [
    "QUERY_STEMS",
    "SOURCES",
    "Pair",
    "Passage",
    "Source",
    "SourcePairs",
    "TokenPassage",
    "cut_sentences",
    "make_pair",
    "read_jsonl",
    "tokens_of",
]

# What people put before the words that matter: prepended to some queries, to be ignored.
QUERY_STEMS = (
    "what is", "what are", "what was the", "who is", "who was", "when did", "when was", "where is",
    "where was",
    "which", "how many", "how much", "how does", "how is", "why does", "why is", "is there", "what kind of",
    "what does it mean", "papers on", "articles about", "information about", "find documents on",
    "tell me about", "what is known about", "I am interested in", "what methods exist for", "can you explain",
)  # fmt: skip

_SHORT = 1 / 3  # of documents of three sentences and more

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True)
class Passage:
    """A text to learn from: ``head`` may be empty, ``body`` has at least one sentence."""

    head: str
    body: tuple[str, ...]
    section: str = ""


@dataclass(frozen=True)
class TokenPassage:
    """A `Passage` as token ids (int32), with the share of inverse-cloze pairs to draw from it."""

    head: Tokens
    body: tuple[Tokens, ...]
    section: Tokens
    cloze: float
    source: int


@dataclass(frozen=True)
class Pair:
    """Token ids (int32) of a query and of the document it belongs to; ``is_head``: the query is a head."""

    query: Tokens
    document: Tokens
    is_head: bool


@dataclass(frozen=True)
class Source:
    """Where passages come from, under which licence, and how pairs are drawn from them."""

    name: str
    licence: str
    what: str
    cloze: float
    repeats: int  # how often an epoch sees each passage: small sources close to what people search count more
    most: int  # passages, drawn by the seed
    passages: Callable[[Path], Iterator[Passage]]


def read_jsonl(path: Path) -> Iterator[dict[str, str]]:
    """Yield the objects of a (gzipped) JSON-lines file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def cut_sentences(text: str) -> tuple[str, ...]:
    """Cut at sentence ends; what is shorter than 25 characters (an initial, a bullet) is joined on."""
    sentences: list[str] = []
    for piece in _SENTENCE_END.split(text.strip()):
        if sentences and (len(piece) < 25 or len(sentences[-1]) < 25):
            sentences[-1] += " " + piece
        else:
            sentences.append(piece)
    return tuple(sentences)


def _pairs_file(name: str) -> Callable[[Path], Iterator[Passage]]:
    def passages(folder: Path) -> Iterator[Passage]:
        for row in read_jsonl(folder / "train" / f"{name}.jsonl.gz"):
            if row["query"].strip() and row["text"].strip():
                yield Passage(row["query"], cut_sentences(row["text"]))

    return passages


def _code(_: Path) -> Iterator[Passage]:
    for question, parts in code.definitions():
        yield Passage(question, parts)


def _wikipedia(folder: Path) -> Iterator[Passage]:
    for row in read_jsonl(folder / "wikipedia" / "passages.jsonl.gz"):
        if len(row["text"]) >= 50:
            yield Passage(row["title"], cut_sentences(row["text"]), row["section"])


SOURCES = (
    Source("arxiv", "arXiv metadata", "title, abstract", 0.4, 1, 40_000, _pairs_file("arxiv")),
    Source(
        "wordnet",
        "CC BY 4.0",
        "Open English WordNet: lemmas, definition",
        0.0,
        1,
        30_000,
        _pairs_file("wordnet"),
    ),
    Source(
        "medquad",
        "CC BY 4.0",
        "question, answer; not the test questions",
        0.1,
        2,
        20_000,
        _pairs_file("medquad"),
    ),
    Source("wikipedia", "CC BY-SA", "2015: title, section, 100-word window", 0.75, 1, 90_000, _wikipedia),
    Source("code", "PSF, BSD", "Python, numpy, torch: docstring or question, code", 0.4, 1, 30_000, _code),
)


def tokens_of(
    passages: list[Passage], encode: Callable[[list[str]], list[list[int]]], source: int
) -> list[TokenPassage]:
    """Tokenise passages of source number ``source``."""
    flat: list[str] = []
    for p in passages:
        flat += [p.head, p.section, *p.body]
    ids = iter([np.asarray(row, dtype=np.int32) for row in encode(flat)])
    cloze = SOURCES[source].cloze
    done = []
    for p in passages:
        head, section = next(ids), next(ids)
        done.append(TokenPassage(head, tuple(next(ids) for _ in p.body), section, cloze, source))
    return done


def make_pair(
    passage: TokenPassage,
    rng: np.random.Generator,
    stems: list[Tokens],
    *,
    query_tokens: int,
    document_tokens: int,
) -> Pair:
    """Draw one pair: inverse cloze or head -> body; cloze queries sometimes get a stem or lose words."""
    body = passage.body
    cloze = len(body) >= 3 and rng.random() < passage.cloze
    if cloze:
        chosen = int(rng.integers(len(body)))
        query = body[chosen]
        # One in ten sentences stays in its document: exact words must keep counting (Lee et al. 2019).
        rest = body if rng.random() < 0.1 else body[:chosen] + body[chosen + 1 :]
        document = np.concatenate((passage.head, *_some(rest, rng)))
        if rng.random() < 0.5 and len(query) > 6:  # real queries are shorter than sentences
            kept = rng.random(len(query)) < rng.uniform(0.3, 0.8)
            query = query[kept] if kept.sum() >= 3 else query
        if rng.random() < 0.3:
            query = np.concatenate((stems[int(rng.integers(len(stems)))], query))
    else:
        query = np.concatenate((passage.head, passage.section))
        document = np.concatenate(_some(body, rng))
    return Pair(query[:query_tokens], document[:document_tokens], not cloze)


def _some(sentences: tuple[Tokens, ...], rng: np.random.Generator) -> tuple[Tokens, ...]:
    """All of them or, for one document in three, one or two in a row: many a collection holds little else."""
    if len(sentences) < 3 or rng.random() >= _SHORT:
        return sentences
    first = int(rng.integers(len(sentences) - 1))
    return sentences[first : first + 1 + int(rng.integers(2))]


class SourcePairs:
    """Pairs of tokenised passages, drawn anew each time (:class:`kukla.train.static.contrast.Pairs`)."""

    def __init__(self, passages: list[TokenPassage], stems: list[Tokens], settings: Settings) -> None:
        self._passages, self._stems, self._settings = passages, stems, settings

    def __len__(self) -> int:
        return len(self._passages)

    def whole(self, row: int) -> Tokens:
        """Head and body."""
        return np.concatenate((self._passages[row].head, *self._passages[row].body))

    def head(self, row: int) -> Tokens:
        """A title, a question, a lemma."""
        return self._passages[row].head

    def draw(self, row: int, rng: np.random.Generator) -> tuple[Tokens, Tokens, bool]:
        """As `make_pair` does."""
        pair = make_pair(
            self._passages[row],
            rng,
            self._stems,
            query_tokens=self._settings.query_tokens,
            document_tokens=self._settings.document_tokens,
        )
        return pair.query, pair.document, pair.is_head
