"""The page in Chromium: nothing is loaded, all is seen, in light and dark, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kukla import Index
from kukla.report import Report, render, report_index, report_vectors, write

from .conftest import EVIL, draw, make_index

pytestmark = pytest.mark.browser

Show = Callable[..., Any]

# WCAG 2.1: relative luminance and contrast, of every text against the first opaque background under it.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z;
  };
  const under = (node) => {
    for (; node; node = node.parentElement) {
      const color = rgb(getComputedStyle(node).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || ['title', 'desc', 'style'].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const color = rgb(node.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [a, b] = [light(color), light(under(node))].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), node.tagName + '.' + node.getAttribute('class'), node.textContent]);
  }
  return found;
}"""


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Show]:
    """Open a report; the page's requests and complaints are in ``page.heard``."""
    contexts = []

    def open_page(report: Report, *, scheme: str = "light", width: int = 1180) -> Any:
        path = tmp_path / f"{len(contexts)}.html"
        write(render(report), path)
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        contexts.append(context)
        page = context.new_page()
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("request", lambda request: page.heard.append(request.url))
        page.goto(path.as_uri())
        assert page.heard.pop(0) == path.as_uri()
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_nothing_is_requested_and_nothing_complains(show: Show, report: Report) -> None:
    page = show(report)
    page.wait_for_timeout(200)
    assert page.heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(show: Show, report: Report, scheme: str) -> None:
    page = show(report, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 150
    assert [one for one in found if one[0] < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_notices_can_be_read_too(show: Show, tmp_path: Path, scheme: str) -> None:
    with Index.open(make_index(tmp_path / "i.kukla", 25)) as index:
        made = replace(report_index(index), profile_missing="too few")
    page = show(made, scheme=scheme)
    assert page.locator(".notice").count() >= 2
    assert [one for one in page.evaluate(CONTRASTS) if one[0] < 4.5] == []


def test_dark_is_dark(show: Show, report: Report) -> None:
    grounds = [
        show(report, scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    light, dark = (sum(map(int, ground[4:-1].split(", "))) for ground in grounds)
    assert light > 3 * 230
    assert dark < 3 * 40


@pytest.mark.parametrize("width", [320, 360, 720, 721, 1000, 1600])
def test_nothing_sticks_out(show: Show, report: Report, width: int) -> None:
    page = show(report, width=width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    long = show(replace(report, title="a" * 300), width=width)
    assert long.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "visible"), [(360, "narrow"), (1180, "wide")])
def test_each_chart_is_seen_once_with_letters_that_can_be_read(
    show: Show, report: Report, width: int, visible: str
) -> None:
    page = show(report, width=width)
    for figure in page.locator("figure").all():
        (chart,) = [svg for svg in figure.locator("svg").all() if svg.is_visible()]
        box = chart.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 200
        letters = chart.evaluate(
            "svg => Number(svg.getAttribute('font-size'))"
            " * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
        )
        assert letters >= 10
    assert visible in page.locator("#chart-frontier svg:visible").get_attribute("class")


def test_labels_of_charts_do_not_overlap_as_drawn(show: Show, report: Report) -> None:
    overlaps = """svg => {
      const texts = [...svg.querySelectorAll('text')];
      const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
      return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) =>
        a.left < b.right && b.left < a.right && a.top + 3 < b.bottom - 3 && b.top + 3 < a.bottom - 3
      ).map(([other]) => [one, other]));
    }"""
    for width in (360, 1180):
        for chart in show(report, width=width).locator("svg.chart:visible").all():
            assert chart.evaluate(overlaps) == []


def test_tables_open_and_hold_the_frontier(show: Show, report: Report) -> None:
    page = show(report)
    table = page.locator("#chart-frontier table")
    assert not table.is_visible()
    page.locator("#chart-frontier summary").click()
    assert table.is_visible()
    assert table.locator("tbody tr").count() == len(report.index.calibration.frontier)
    assert table.locator("tr.marked th").inner_text() == str(report.index.calibration.plan)


def test_print_shows_what_is_folded(show: Show, report: Report) -> None:
    page = show(report)
    page.emulate_media(media="print")
    assert page.locator("#chart-frontier table").bounding_box()["height"] > 50


def test_names_run_nothing(show: Show, report: Report) -> None:
    page = show(replace(report, title=EVIL))
    assert page.title().startswith("<script>document.title='owned'</script>")
    assert page.locator("script").count() == 0
    assert page.heard == []


def test_bare_vectors_have_their_page(show: Show) -> None:
    page = show(report_vectors(draw(300, 1), title="vectors.npy"), width=360)
    assert page.locator("h1").inner_text() == "vectors.npy"
    assert page.locator("#plan").count() == 0
    assert page.locator("table.storage").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
