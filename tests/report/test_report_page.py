"""The page as text: whole, alone, and safe whatever things are called."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kukla import Index
from kukla.errors import InputError, WriteError
from kukla.report import Asked, Report, charts_of, check_target, draw_charts, render, report_index, write

from .conftest import EVIL, make_index


class Tags(HTMLParser):
    """Counts tags, and keeps the attributes that load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data")]
        assert not any(name.startswith("on") for name, _ in attributes)


def test_the_page_is_alone(report: Report) -> None:
    page = render(report)
    tags = Tags(page)
    assert "script" not in tags.found
    assert "link" not in tags.found
    assert tags.loads == ["#nested"]
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < 200_000


def test_the_page_says_what_was_measured(report: Report) -> None:
    page = render(report)
    calibration = report.index.calibration
    for said in (
        f"<code>{calibration.plan}</code>".replace(">", "&gt;").replace("code&gt;", "code>"),
        "Scan ",
        "What it saves",
        "Methods and sources",
        "arXiv 2010.09686",
        f"Made by kukla {report.made.version} on {report.made.day.isoformat()}",
    ):
        assert said in page, said


def test_every_chart_has_a_title_a_description_and_a_table(report: Report) -> None:
    tags = Tags(render(report)).found
    assert tags.count("figure") == 3
    assert tags.count("desc") == 6  # each chart in two sizes
    page = render(report)
    for figure in re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL):
        assert "<table" in figure
        assert figure.count('role="img"') == 2


def test_names_cannot_inject(tmp_path: Path) -> None:
    with Index.open(make_index(tmp_path / "i.kukla", model=EVIL)) as index:
        index.calibrate(target="recall@5>=0.8", population=EVIL, timed=False)
        made = report_index(index, title=EVIL, asked=Asked(EVIL, EVIL, EVIL, f"kukla report {EVIL}"))
    page = render(replace(made, profiled=EVIL, profile_missing=EVIL))
    assert "script" not in Tags(page).found
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_a_name_that_is_no_text_can_be_written(report: Report, tmp_path: Path) -> None:
    page = render(replace(report, title="caf\udce9.kukla"))
    assert write(page, tmp_path / "out.html") > 0
    assert "caf\N{REPLACEMENT CHARACTER}.kukla" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_pngs_are_the_same_charts(report: Report, tmp_path: Path) -> None:
    from matplotlib.image import imread

    paths = draw_charts(charts_of(report).values(), tmp_path / "new" / "png", title="$x^2$ <b>")
    assert [path.name for path in paths] == ["frontier.png", "alone.png", "shortlist.png"]
    assert all(imread(path).shape[:2] == (750, 1200) for path in paths)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WriteError, match="cannot be made"):
        draw_charts(charts_of(report).values(), tmp_path / "file", title="x")


def test_only_reports_are_replaced(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    check_target(out, force=False)
    write(render(report), out)
    check_target(out, force=False)
    out.write_text("<html>mine</html>")
    with pytest.raises(InputError, match="that is no report; --force replaces it"):
        check_target(out, force=False)
    check_target(out, force=True)
    with pytest.raises(InputError, match="there is no folder"):
        check_target(tmp_path / "no" / "out.html", force=False)
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        check_target(tmp_path, force=True)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.html").mkdir()
    with pytest.raises(WriteError, match="cannot be written"):
        write("page", tmp_path / "out.html")
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]
