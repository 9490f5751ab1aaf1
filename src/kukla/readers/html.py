"""HTML: the title and the text a reader would see."""

from __future__ import annotations

import warnings
from typing import Any

from kukla.errors import MissingExtraError
from kukla.readers.passages import Block, Outline
from kukla.readers.walk import Unreadable

__all__ = ["outline_html"]

_INVISIBLE = ["script", "style", "nav", "noscript", "template", "svg", "iframe", "head"]
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
# Cells are not blocks: the cells of a row belong in one paragraph.
_BLOCKS = {
    *_HEADINGS, "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol",
    "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_CELLS = {"td", "th", "option", "button"}


def outline_html(text: str) -> Outline:
    """Read the visible text of a page, in document order, under its headings.

    Scripts, styles, navigation, templates and elements with ``hidden`` or ``aria-hidden`` are left
    out. The title is ``<title>``, else the first ``<h1>``. Lines are those of the source.

    Raises
    ------
    MissingExtraError
        beautifulsoup4 is not installed.
    Unreadable
        The parser rejects the markup.
    """
    try:
        import bs4
    except ImportError:
        raise MissingExtraError("reading HTML", "html") from None
    with warnings.catch_warnings():
        # It guesses that short pages are file names and that XHTML is XML; neither matters here.
        warnings.simplefilter("ignore")
        try:
            soup = bs4.BeautifulSoup(text, "html.parser")
        except bs4.ParserRejectedMarkup:
            raise Unreadable("not HTML: the parser rejects its markup") from None
    title = _squeeze(soup.title.get_text()) if soup.title else ""
    for tag in soup.find_all(_INVISIBLE) + soup.find_all(_hidden):
        tag.decompose()
    blocks: list[Block] = []
    path: list[tuple[int, str]] = []
    pending: Block | None = None  # a heading that no text has followed yet
    for block, words, line in _runs(soup, bs4):
        level = _HEADINGS.get(block.name)
        if level is None:
            pending = None
            blocks.append(Block(words, line, tuple(heading for _, heading in path)))
            continue
        title = title or (words if level == 1 else "")
        if pending and level <= path[-1][0]:
            blocks.append(pending)
        path = [*(above for above in path if above[0] < level), (level, words)]
        if words == title:
            path, pending = [above for above in path if above[1] != title], None
        else:
            pending = Block(words, line, tuple(heading for _, heading in path))
    if pending:
        blocks.append(pending)
    return Outline(title or None, blocks)


def _hidden(tag: Any) -> bool:
    return bool(tag.has_attr("hidden") or tag.get("aria-hidden") == "true")


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _runs(soup: Any, bs4: Any) -> list[tuple[Any, str, int]]:
    """Runs of text with the same innermost block element: (element, text, line)."""
    runs: list[tuple[Any, list[str], int]] = []
    # For each element, the innermost cell or block and the innermost block around its text. Parents
    # come first, so a page of ten thousand unclosed <font> is read in linear time.
    around: dict[int, tuple[Any, Any]] = {id(soup): (soup, soup)}
    cell = None
    for node in soup.descendants:
        inner, block = around[id(node.parent)]
        if isinstance(node, bs4.Tag):
            if node.name in _BLOCKS:
                inner = block = node
            elif node.name in _CELLS:
                inner = node
            elif node.name == "br" and runs:
                runs[-1][1].append("\n")
            around[id(node)] = inner, block
        elif type(node) is bs4.NavigableString:  # neither a comment nor a doctype
            if not runs or runs[-1][0] is not block:
                runs.append((block, [], block.sourceline or 1))
            elif inner is not cell:
                runs[-1][1].append(" ")
            cell = inner
            runs[-1][1].append(str(node))
    finished = []
    for block, strings, line in runs:
        words = "".join(strings)
        words = words.strip("\n") if block.name == "pre" else _squeeze(words)
        if words.strip():
            finished.append((block, words, line))
    return finished
