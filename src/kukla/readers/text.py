"""Plain text, Markdown and reStructuredText: bytes to an outline of headings and paragraphs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from kukla.readers.passages import Block, Outline
from kukla.readers.walk import Unreadable

__all__ = ["decode", "outline_markdown", "outline_plain", "outline_rst"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HASH_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")

_Heading = tuple[int, str]  # level from 1, text


def decode(data: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark; line ends become ``\\n``.

    Raises
    ------
    Unreadable
        Not UTF-8, or binary: the reason names the first offending byte and its offset.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("UTF-16 text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Unreadable(f"not UTF-8: byte 0x{byte:02x} at offset {error.start}") from None
    if "\0" in text:
        raise Unreadable("binary: holds a NUL byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def outline_plain(text: str) -> Outline:
    """Paragraphs separated by blank lines; no title and no headings."""
    return Outline(None, list(_paragraphs(text.split("\n"), 1, ())))


def outline_markdown(text: str) -> Outline:
    """Read ATX (``#``) and setext headings; fenced code holds no headings and no paragraph breaks.

    The title is that of YAML front matter, else the first heading when it is the only one of its
    level and nothing is above it. The rest of the front matter is settings, not text.
    """
    lines = text.split("\n")
    title, first = _front_matter(lines)
    return _outline(lines, first, list(_markdown_events(lines, first)), title)


def outline_rst(text: str) -> Outline:
    """Read headings with an underline (and overline); levels follow the order of their styles."""
    lines = text.split("\n")
    return _outline(lines, 0, list(_rst_events(lines)), None)


def _front_matter(lines: Sequence[str]) -> tuple[str | None, int]:
    """The title in YAML front matter and the index of the first line after it."""
    if lines[0].rstrip() != "---":
        return None, 0
    title = None
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() in {"---", "..."}:
            return title, index + 1
        if line.startswith("title:"):
            title = line.removeprefix("title:").strip().strip("\"'") or None
    return None, 0  # never closed: a rule, not front matter


_Event = tuple[int, int, _Heading]  # first line of the heading, first line after it, the heading


def _markdown_events(lines: Sequence[str], first: int) -> Iterator[_Event]:
    fence = ""
    for index in range(first, len(lines)):
        line = lines[index]
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not line.strip(" \t" + fence[0]):
                fence = ""
        elif match:
            fence = match[1]
        elif heading := _HASH_HEADING.match(line):
            words = _CLOSING_HASHES.sub("", line[heading.end() :].strip()).strip()
            if words:
                yield index, index + 1, (len(heading[1]), words)
        elif (
            (under := _SETEXT.match(line))
            and index > first
            and _starts_paragraph(lines, index - 1, first)
            and not _FENCE.match(lines[index - 1])
        ):
            yield index - 1, index + 1, (1 if "=" in under[1] else 2, lines[index - 1].strip())


def _starts_paragraph(lines: Sequence[str], index: int, first: int) -> bool:
    """A line of text, not a heading, list or quote, with nothing above it in its paragraph."""
    line = lines[index]
    if not line.strip() or line.startswith(("    ", "\t")) or re.match(r" {0,3}([-*+>|#]|\d+[.)] )", line):
        return False
    return index == first or not lines[index - 1].strip() or bool(_HASH_HEADING.match(lines[index - 1]))


def _rst_events(lines: Sequence[str]) -> Iterator[_Event]:
    styles: list[str] = []
    index = 1
    while index < len(lines):
        under, heading = lines[index].rstrip(), lines[index - 1].rstrip()
        over = lines[index - 2].rstrip() if index >= 2 else ""
        index += 1
        if not _ADORNMENT.match(under) or not heading or _ADORNMENT.match(heading):
            continue
        has_over = over == under
        if not has_over and (over or heading[0].isspace() or len(under) < len(heading)):
            continue
        style = under[0] * (2 if has_over else 1)
        if style not in styles:
            styles.append(style)
        yield index - (3 if has_over else 2), index, (styles.index(style) + 1, heading.strip())


def _outline(lines: Sequence[str], first: int, events: list[_Event], title: str | None) -> Outline:
    levels = [level for _, _, (level, _) in events]
    leading = next((i for i in range(first, len(lines)) if lines[i].strip()), len(lines))
    titled = False
    if (
        title is None
        and levels
        and events[0][0] == leading
        and levels[0] == min(levels) < min(levels[1:], default=7)
    ):
        title, titled = events[0][2][1], True
    path: list[_Heading] = []
    last = events[0][0] if events else len(lines)
    blocks = list(_paragraphs(lines[first:last], first + 1, ()))
    for number, (start, after, (level, heading)) in enumerate(events):
        if not (titled and number == 0):
            path = [*(above for above in path if above[0] < level), (level, heading)]
        following = events[number + 1] if number + 1 < len(events) else None
        end = following[0] if following else len(lines)
        section = tuple(text for _, text in path)
        body = list(_paragraphs(lines[after:end], after + 1, section))
        if not body and not (following and following[2][0] > level):
            # No text below it repeats this heading, so the heading itself is the text.
            body = [Block(heading, start + 1, section)]
        blocks += body
    return Outline(title, blocks)


def _paragraphs(lines: Sequence[str], number: int, section: tuple[str, ...]) -> Iterator[Block]:
    """Split at blank lines outside fences. `number` is the 1-based line of ``lines[0]``."""
    paragraph: list[str] = []
    fence = ""
    for index, line in enumerate(lines):
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and not line.strip(" \t" + fence[0]):
            fence = ""
        if line.strip() or (fence and paragraph):
            paragraph.append(line)
        elif paragraph:
            yield Block(textwrap.dedent("\n".join(paragraph)), number + index - len(paragraph), section)
            paragraph = []
    if paragraph:
        yield Block(textwrap.dedent("\n".join(paragraph)), number + len(lines) - len(paragraph), section)
