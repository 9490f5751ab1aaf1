"""Headings and paragraphs of text files; passages that keep every word and respect the bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kukla.readers.passages import MAX_CHARACTERS, MAX_WORDS, TARGET_WORDS, Block, split_into_passages
from kukla.readers.text import outline_markdown, outline_plain, outline_rst

_words = st.text(st.sampled_from("abc.!?。é"), min_size=1, max_size=12)
_long = st.integers(1, 3 * MAX_CHARACTERS).map(lambda size: "x" * size)
_spaces = st.sampled_from([" ", "  ", "\n", "\n\n", "\t", " " * 3000])
_texts = st.lists(st.tuples(st.one_of(_words, _words, _words, _long), _spaces), max_size=12).flatmap(
    lambda pairs: st.integers(1, 120).map(lambda times: "".join(w + s for w, s in pairs) * times)
)


@given(st.lists(st.tuples(_texts, st.sampled_from([(), ("A",), ("A", "B")])), max_size=4))
def test_passages_keep_all_words_in_order_within_the_bounds(pairs: list[tuple[str, tuple[str, ...]]]) -> None:
    blocks = [Block(text, 1, section) for text, section in pairs]
    passages = list(split_into_passages(blocks))
    assert "".join("".join(p.text.split()) for p in passages) == "".join(
        "".join(b.text.split()) for b in blocks
    )
    for passage in passages:
        assert 0 < len(passage.text.split()) <= MAX_WORDS
        assert len(passage.text) <= MAX_CHARACTERS
    if all(len(word) <= MAX_CHARACTERS for block in blocks for word in block.text.split()):
        assert [w for p in passages for w in p.text.split()] == [w for b in blocks for w in b.text.split()]
    assert passages == list(split_into_passages(blocks))


def test_paragraphs_are_packed_up_to_the_target() -> None:
    paragraph = " ".join(["word"] * 60)
    passages = list(split_into_passages([Block(paragraph, line, ()) for line in (1, 3, 5, 7)]))
    assert [len(p.text.split()) for p in passages] == [180, 60]
    assert [p.line for p in passages] == [1, 7]
    assert passages[0].text == "\n\n".join([paragraph] * 3)


def test_a_long_paragraph_is_cut_after_a_sentence_and_keeps_its_lines() -> None:
    text = "\n".join(" ".join(["word"] * 9 + ["end."]) for _ in range(40))
    passages = list(split_into_passages([Block(text, 11, ())]))
    assert [len(p.text.split()) for p in passages] == [TARGET_WORDS, TARGET_WORDS, 100]
    assert all(p.text.endswith("end.") for p in passages)
    assert [p.line for p in passages] == [11, 26, 41]


def test_sections_are_never_mixed() -> None:
    passages = list(
        split_into_passages([Block("a", 1, ("A",)), Block("b", 2, ("B",)), Block("c", 3, ("B",))])
    )
    assert [(p.text, p.section) for p in passages] == [("a", ("A",)), ("b\n\nc", ("B",))]


def test_markdown_headings_fences_and_front_matter() -> None:
    outline = outline_markdown(
        "---\ntitle: 'The Guide'\ntags: x\n---\nIntro\n\n# One #\n\ntext\n\n"
        "```sh\n# no heading\n\nstill code\n```\n"
        "Setext\n------\nbelow\n\n#hashtag\n\n## Alone\n\n# Two\n- item\n---\nend"
    )
    assert outline.title == "The Guide"
    assert [(b.text, b.line, b.section) for b in outline.blocks] == [
        ("Intro", 5, ()),
        ("text", 9, ("One",)),
        ("```sh\n# no heading\n\nstill code\n```\nSetext\n------\nbelow", 11, ("One",)),
        ("#hashtag", 20, ("One",)),
        ("Alone", 22, ("One", "Alone")),
        ("- item\n---\nend", 25, ("Two",)),
    ]


@pytest.mark.parametrize(
    ("text", "title", "sections"),
    [
        ("# A\n\n## B\n\nb\n\n### C\n\nc\n\n## D\n\nd", "A", [("B",), ("B", "C"), ("D",)]),
        ("# A\n\na\n\n# B\n\nb", None, [("A",), ("B",)]),  # two of the first level: neither is the title
        ("Before\n\n# A\n\na", None, [(), ("A",)]),
        ("Title\n=====\n\na\n\nPart\n----\n\nb", "Title", [(), ("Part",)]),
        ("# Only", "Only", [()]),
        ("#\n\n---\n\ntext", None, [(), (), ()]),
    ],
)
def test_markdown_titles(text: str, title: str | None, sections: list[tuple[str, ...]]) -> None:
    outline = outline_markdown(text)
    assert outline.title == title
    assert [block.section for block in outline.blocks] == sections


def test_rst_levels_follow_the_order_of_styles() -> None:
    outline = outline_rst(
        "=====\nTitle\n=====\n\nintro\n\nPart\n====\n\np\n\nSub\n~~~\n\ns\n\nOther\n=====\n\no\n\nnot\nunder\n===="
    )
    assert outline.title == "Title"
    assert [(b.text, b.section) for b in outline.blocks] == [
        ("intro", ()),
        ("p", ("Part",)),
        ("s", ("Part", "Sub")),
        ("o", ("Other",)),
        ("not\nunder\n====", ("Other",)),
    ]


def test_plain_text_has_paragraphs_only() -> None:
    outline = outline_plain("# no heading\n\n  indented\n    more\n\n\nlast\n")
    assert outline.title is None
    assert [(b.text, b.line) for b in outline.blocks] == [
        ("# no heading", 1),
        ("indented\n  more", 3),
        ("last", 7),
    ]


@given(st.text(st.sampled_from("#=-~`*> \n\tab1."), max_size=200))
def test_any_text_is_read_without_losing_a_word_of_its_paragraphs(text: str) -> None:
    plain = outline_plain(text)
    assert [w for b in plain.blocks for w in b.text.split()] == text.split()
    for outline in (outline_markdown(text), outline_rst(text)):
        kept = {w for b in outline.blocks for w in (b.text + " " + " ".join(b.section)).split()}
        kept |= set((outline.title or "").split())
        if not text.startswith("---"):
            assert {w for w in text.split() if w.isalnum()} <= kept
