"""Where things stand in a chart: inside it, and not on each other."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kukla.report import Report, charts_of
from kukla.report.chart import Chart, Point, Series, Table, byte_axis, dim_axis, share_axis
from kukla.report.layout import HALF, NARROW, WIDE, Frame, Size, lay_out, spread
from kukla.report.tables import calibrations_table


@pytest.mark.parametrize("size", [WIDE, HALF, NARROW], ids=lambda size: size.name)
@pytest.mark.parametrize("name", ["frontier", "alone", "shortlist"])
def test_labels_are_inside_and_do_not_overlap(report: Report, name: str, size: Size) -> None:
    chart = charts_of(report)[name]
    labels = lay_out(chart, size).labels
    boxes = [(label.text, label.extent(size)) for label in labels]
    for text, (left, top, right, bottom) in boxes:
        assert left >= -1, text
        assert top >= -1, text
        assert right <= size.width + 1, text
        assert bottom <= size.height, text
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one, other)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=8).map(sorted),
    st.floats(1, 10),
)
def test_spread_keeps_order_distance_and_bounds(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0, 100)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(placed))
    assert placed[0] >= -1e-9
    assert placed[-1] <= 100 + 1e-9


def test_spread_leaves_alone_what_is_apart() -> None:
    assert spread([10, 50, 90], 12, 0, 100) == [10, 50, 90]


def test_axes() -> None:
    dims = dim_axis([64, 128, 256])
    assert (dims.place(64), dims.place(128), dims.place(256)) == (0, 0.5, 1)
    assert [text for _, text in share_axis("recall", 0.75).ticks][:2] == ["0.75", "0.80"]
    assert [text for _, text in share_axis("recall", 0.95).ticks] == [
        "0.95", "0.96", "0.97", "0.98", "0.99", "1.00",
    ]  # fmt: skip
    assert [text for _, text in share_axis("nDCG", 0.0, 0.35).ticks][-1] == "0.4"
    assert [text for _, text in byte_axis([1e6, 1e7], "moved").ticks] == [
        "1 MB", "2 MB", "5 MB", "10 MB",
    ]  # fmt: skip
    assert dim_axis([64]).place(64) == 0.5


def test_values_off_the_scale_stay_at_its_edge() -> None:
    frame = Frame(0, 0, 100, 200)
    axis = share_axis("recall", 0.5)
    assert frame.y(axis, 0.2) == frame.bottom
    assert frame.y(axis, 1.0) == frame.top


def test_the_table_of_a_chart_has_its_numbers(report: Report) -> None:
    frontier = charts_of(report)["frontier"]
    rows = report.index.calibration.frontier
    assert len(frontier.table.rows) == len(rows)
    (marked,) = frontier.table.marked
    assert frontier.table.rows[marked][0] == str(report.index.calibration.plan)
    chosen = frontier.series[0].points[0]
    assert (chosen.y, chosen.low) == (
        report.index.calibration.chosen.held_out,
        report.index.calibration.chosen.bound,
    )
    alone = charts_of(report)["alone"]
    assert alone.table.header == ("dims", *(series.name for series in alone.series))
    assert {series.shape for series in alone.series} == {
        "circle", "up", "diamond", "down", "plus", "square",
    }  # fmt: skip


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=lambda size: size.name)
def test_a_name_beside_a_point_covers_no_interval(size: Size) -> None:
    point = Point(10e3, 1.0, 0.98, 1.0)
    near = tuple(Point(10e3 * (1.1 + 0.1 * i), 1.0, 0.9, 1.0) for i in range(4))
    series = (
        Series("chosen", "chosen", "circle", (point,), interval="whisker"),
        Series("others", "blue", "circle", near, line=False, interval="whisker", labelled=False),
    )
    x, y = byte_axis([10e3, 100e3], "moved"), share_axis("recall", 0.5)
    chart = Chart("c", "t", "d", x, y, series, Table((), ()), labels="point")
    found = lay_out(chart, size)
    (name,) = [label for label in found.labels if label.text == "chosen"]
    left, top, right, _ = name.extent(size)
    under = [p for p in near if left <= found.frame.x(x, p.x, 10) <= right]
    assert under
    assert all(found.frame.y(y, p.low) <= top + 2 for p in under)


def test_bounds_are_rounded_down(report: Report) -> None:
    state = report.index.main
    frontier = tuple(replace(row, bound=0.98999) for row in state.calibration.frontier)
    near = replace(state, calibration=replace(state.calibration, frontier=frontier))
    table = calibrations_table(replace(report.index, states=(near, near), main=near))
    assert [row[3] for row in table.rows] == ["0.9899", "0.9899"]
