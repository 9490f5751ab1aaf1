"""Folders and document files: what is read, what is skipped and why, ids, text and metadata."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kukla.errors import MissingExtraError, ReadError
from kukla.readers import Skipped, documents, read_documents


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _read(*paths: Path, **options: str) -> tuple[list[documents.Document], dict[str, str]]:
    skipped: list[Skipped] = []
    found = list(read_documents(paths, on_skip=skipped.append, **options))
    return found, {skip.path.name: skip.reason for skip in skipped}


def test_a_folder_is_read_in_the_order_of_names_with_posix_ids(tmp_path: Path) -> None:
    _write(tmp_path / "b.txt", "bee")
    _write(tmp_path / "a" / "z.md", "# Title\n\nzed")
    _write(tmp_path / "a" / "c.rst", "Head\n====\n\ncee")
    found, skipped = _read(tmp_path)
    assert [document.id for document in found] == ["a/c.rst#1", "a/z.md#1", "b.txt#1"]
    assert [document.text for document in found] == ["Head\ncee", "Title\nzed", "b\nbee"]
    assert skipped == {}


def test_a_passage_says_where_it_is(tmp_path: Path) -> None:
    _write(tmp_path / "guide.md", "# Guide\n\nHello.\n\n## Install\n\n### Windows\n\nRun it.\n")
    found, _ = _read(tmp_path)
    assert found[1].text == "Guide - Install - Windows\nRun it."
    assert found[1].metadata == {
        "path": "guide.md",
        "title": "Guide",
        "section": "Install > Windows",
        "line": 9,
    }


def test_an_endless_heading_is_shortened_in_the_text_alone(tmp_path: Path) -> None:
    heading = " ".join(["word"] * 100)
    _write(tmp_path / "a.md", f"# {heading}\n\nbody")
    (document,) = _read(tmp_path)[0]
    assert document.text is not None
    assert document.text.endswith(" word ...\nbody")
    assert len(document.text) <= 305
    assert document.metadata["title"] == heading


def test_nothing_is_dropped_without_a_reason(tmp_path: Path) -> None:
    for name in (".hidden.md", "node_modules/a.md", "env/a.md", "env/pyvenv.cfg", "__pycache__/a.md"):
        _write(tmp_path / name, "text")
    _write(tmp_path / "empty.md", "")
    _write(tmp_path / "blank.txt", " \n\t\n")
    _write(tmp_path / "bare.py", "x = 1\n")
    _write(tmp_path / "broken.py", "'''doc'''\ndef f(:\n")
    _write(tmp_path / "table.csv", "id,text\n1,a\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "wide.txt").write_bytes("hi".encode("utf-16"))
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "broken_link.md").symlink_to(tmp_path / "nowhere.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    found, skipped = _read(tmp_path)
    assert found == []
    assert skipped == {
        ".hidden.md": "hidden",
        "node_modules": "holds installed or generated files",
        "__pycache__": "holds installed or generated files",
        "env": "a virtual environment",
        "empty.md": "no text",
        "blank.txt": "no text",
        "bare.py": "no docstrings",
        "broken.py": "does not parse as Python: line 2: invalid syntax",
        "table.csv": "a table; name the file itself to read it",
        "latin.txt": "not UTF-8: byte 0xe9 at offset 3",
        "wide.txt": "UTF-16 text; save it as UTF-8",
        "binary.txt": "binary: holds a NUL byte",
        "picture.png": "suffix '.png' is not read",
        "broken_link.md": "a broken link",
        "loop": "a link to a folder; name the folder to read it",
        "pipe.md": "not a regular file",
    }


def test_a_name_that_is_not_utf8_is_skipped(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("text")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    found, skipped = _read(tmp_path)
    assert found == []
    assert list(skipped.values()) == ["its name is not UTF-8"]


def test_skips_are_logged_when_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path / "a.xyz", "text")
    with caplog.at_level("INFO", logger="kukla.readers"):
        assert list(read_documents([tmp_path])) == []
    assert caplog.messages == [f"skipped {tmp_path / 'a.xyz'}: suffix '.xyz' is not read"]


def test_a_named_file_is_read_or_an_error(tmp_path: Path) -> None:
    named = _write(tmp_path / "deep" / ".notes.MD", "\ufeff# One\r\n\r\ntwo\r\n")
    assert [(d.id, d.text) for d in _read(named)[0]] == [(".notes.MD#1", "One\ntwo")]
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    with pytest.raises(ReadError, match=r"latin\.txt: not UTF-8: byte 0xe9 at offset 3"):
        _read(latin)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.pdf", r"suffix '\.pdf' is not read; documents: .*\.md.*tables: .*\.csv"),
        ("absent", "no such file"),
    ],
)
def test_bad_paths_fail_before_anything_is_read(tmp_path: Path, name: str, message: str) -> None:
    _write(tmp_path / "a.pdf", "x")
    with pytest.raises(ReadError, match=message):
        read_documents([tmp_path / name])


def test_one_path_is_not_a_sequence_of_letters(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="expected a list of paths"):
        read_documents(str(tmp_path))


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(ReadError, match="neither a file nor a folder"):
        read_documents([tmp_path / "pipe.md"])


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 3)
    _write(tmp_path / "a.txt", "four")
    assert _read(tmp_path)[1] == {"a.txt": "4 bytes; at most 3, use a table such as .jsonl for more"}


def test_progress_counts_bytes_to_the_end(tmp_path: Path) -> None:
    _write(tmp_path / "a.md", "12345")
    _write(tmp_path / "b.md", "123")
    calls: list[tuple[int, int | None]] = []
    list(read_documents([tmp_path], progress=lambda done, total: calls.append((done, total))))
    assert calls == [(5, 8), (8, 8)]


def test_html_gives_visible_text_under_its_headings(tmp_path: Path) -> None:
    page = """<!DOCTYPE html>
<html><head><title>A  page</title><style>p {}</style></head><body>
<nav>menu</nav><script>var x;</script>
<h1>A page</h1><p>First <b>bold</b>ly<br>said.</p>
<h2>Data</h2><table><tr><td>one</td><td>two</td></tr></table>
<p hidden>secret</p><!-- comment -->
<h2>Empty</h2><h2>Code</h2><pre>a\n  b</pre></body></html>"""
    _write(tmp_path / "page.html", page)
    found, _ = _read(tmp_path)
    assert [document.text for document in found] == [
        "A page\nFirst boldly said.",
        "A page - Data\none two",
        "A page - Empty\nEmpty",
        "A page - Code\na\n  b",
    ]
    assert [document.metadata["line"] for document in found] == [4, 5, 7, 7]


def test_html_that_the_parser_rejects_is_skipped(tmp_path: Path) -> None:
    _write(tmp_path / "page.html", "<![foo [")
    assert _read(tmp_path) == ([], {"page.html": "not HTML: the parser rejects its markup"})


def test_html_without_beautifulsoup_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bs4", None)
    _write(tmp_path / "page.html", "<p>x</p>")
    with pytest.raises(MissingExtraError, match=r"reading HTML .*kukla\[html\]"):
        list(read_documents([tmp_path]))


def test_python_gives_docstrings_with_signatures(tmp_path: Path) -> None:
    source = '''"""About the module: \\d is no escape."""
class Reader:
    """Reads."""
    def __init__(self, path, /, *, size: int = 3): "Ignored."
    def read(self, n=1) -> bytes:
        """Read n."""
    @property
    def size(self) -> int:
        """The size."""
    @staticmethod
    def make(x):
        """Make one."""
class Bare:
    def __init__(self, a):
        """Made from a."""
try:
    async def go(*args):
        """Go on."""
except ImportError:
    pass
'''
    _write(tmp_path / "pkg" / "__init__.py", source)
    found, _ = _read(tmp_path)
    assert [document.text for document in found] == [
        "pkg\nAbout the module: \\d is no escape.",
        "pkg - Reader(path, /, *, size: int=3)\nReads.",
        "pkg - Reader.__init__(path, /, *, size: int=3)\nIgnored.",
        "pkg - Reader.read(n=1) -> bytes\nRead n.",
        "pkg - Reader.size\nThe size.",
        "pkg - Reader.make(x)\nMake one.",
        "pkg - Bare(a)\nMade from a.",
        "pkg - Bare.__init__(a)\nMade from a.",
        "pkg - go(*args)\nGo on.",
    ]
    assert found[3].metadata["line"] == 5
