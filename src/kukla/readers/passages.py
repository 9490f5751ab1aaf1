"""From the blocks of a file to passages of about 150 words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["MAX_CHARACTERS", "MAX_WORDS", "TARGET_WORDS", "Block", "Outline", "split_into_passages"]

TARGET_WORDS = 150
MAX_WORDS = 250
MAX_CHARACTERS = 2400
"""The bound for text that has few spaces: Chinese, tables, base64. A longer single word is cut."""

_WORD = re.compile(rf"\S{{1,{MAX_CHARACTERS}}}")
_SENTENCE_END = re.compile(r"[.!?…][\"')\]»”’]*$|[。！？]$")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text under its headings: a paragraph of a file, or a passage packed from several.

    Parameters
    ----------
    text : str
        Without the headings.
    line : int
        The 1-based line of the file at which it starts.
    section : tuple of str
        The headings above it, outermost first, without the title of the file.
    """

    text: str
    line: int
    section: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file says: its title, if it has one, and its blocks in reading order."""

    title: str | None
    blocks: list[Block]


def split_into_passages(blocks: Iterable[Block]) -> Iterator[Block]:
    """Pack the blocks of a file into passages.

    Blocks of one section are joined by a blank line until a passage has ``TARGET_WORDS``; a longer
    block is cut at the first end of a sentence or line past the target, or at ``MAX_WORDS``.
    Every word is kept, in order; no passage has more than ``MAX_WORDS`` words or
    ``MAX_CHARACTERS`` characters, and no word is cut unless it alone is longer than that. The same
    blocks always give the same passages.

    Parameters
    ----------
    blocks : iterable of Block

    Yields
    ------
    Block
        Passages, never blank. ``line`` is the line of its first word.
    """
    parts: list[Block] = []
    words = characters = 0
    for block in blocks:
        for piece in _cut(block):
            piece_words = len(piece.text.split())
            full = (
                words >= TARGET_WORDS
                or words + piece_words > MAX_WORDS
                or characters + 2 + len(piece.text) > MAX_CHARACTERS
            )
            if parts and (full or parts[0].section != piece.section):
                yield _join(parts)
                parts, words, characters = [], 0, 0
            parts.append(piece)
            words += piece_words
            characters += len(piece.text) + 2 * (len(parts) > 1)
    if parts:
        yield _join(parts)


def _join(parts: list[Block]) -> Block:
    return Block("\n\n".join(part.text for part in parts), parts[0].line, parts[0].section)


def _cut(block: Block) -> Iterator[Block]:
    """Cut one block into pieces that respect both bounds; none when it is blank."""
    text = block.text
    start = end = words = 0
    line = block.line
    counted = 0  # the newlines before this position are in `line`
    for match in _WORD.finditer(text):
        if words:
            gap = text[end : match.start()]
            soft = words >= TARGET_WORDS and (
                "\n" in gap or _SENTENCE_END.search(text[max(start, end - 8) : end])
            )
            if soft or words == MAX_WORDS or match.end() - start > MAX_CHARACTERS:
                yield Block(text[start:end], line, block.section)
                words = 0
        if not words:
            start = match.start()
            line += text.count("\n", counted, start)
            counted = start
        words += 1
        end = match.end()
    if words:
        yield Block(text[start:end], line, block.section)
