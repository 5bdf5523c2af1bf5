"""Series: gaps stay gaps, a band lies around its line, long series keep their extremes, odd data are drawn."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.charts.annotations import Event, Level, Span
from modelwatch.charts.bars import Stack, bar_chart
from modelwatch.charts.drawing.plot import Area
from modelwatch.charts.drawing.scales import Linear, Time, floats
from modelwatch.charts.drawing.text import shortened_apart, width
from modelwatch.charts.heatmap import HeatRow, heatmap
from modelwatch.charts.histogram import histogram
from modelwatch.charts.lines import LONGEST_NAME, line_chart, quantile_fan, series_table
from modelwatch.charts.matrix import confusion_matrix
from modelwatch.charts.series import MOST_POINTS, Series, polyline, ribbon, thinned
from modelwatch.charts.small import spark_bars, sparkline
from tests.charts.geometry import drawing, paths, root_of, subpaths, texts

NAN = math.nan
HOUR = 3_600.0


def test_what_is_not_known_is_a_gap_and_not_a_line() -> None:
    markup = line_chart("t", (0, 400), [Series("a", [0, 100, 200, 300, 400], [1, 2, NAN, 3, 4])])
    assert [[x for x, _ in piece] for piece in paths(markup, "s-now")] == [[0, 250], [750, 1000]]


def test_steps_that_are_missing_are_a_gap() -> None:
    markup = line_chart("t", (0, 500), [Series("a", [0, 100, 300, 400], [1, 1, 2, 2], step=100)])
    assert [(piece[0][0], piece[-1][0]) for piece in paths(markup, "s-now")] == [(0, 400), (600, 1000)]


def test_a_value_alone_between_gaps_is_a_dot() -> None:
    markup = line_chart("t", (0, 200), [Series("a", [0, 100, 200], [NAN, 2, NAN])])
    (piece,) = paths(markup, "s-now")
    assert piece[0] == piece[1]
    assert piece[0][0] == 500


def test_a_band_has_the_gaps_of_its_bounds() -> None:
    bounds = [0, 0, NAN, 0, 0]
    markup = line_chart("t", (0, 400), [Series("a", [0, 100, 200, 300, 400], [1] * 5, low=bounds, high=[2] * 5)])
    assert [(min(x for x, _ in piece), max(x for x, _ in piece)) for piece in paths(markup, "f-band")] == [
        (0, 250),
        (750, 1000),
    ]


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=60),
    st.sampled_from([0.0, HOUR]),
)
def test_a_band_lies_around_its_line(rows: list[tuple[float, float, float]], step: float) -> None:
    times = [HOUR * index for index in range(len(rows))]
    middle, low, high = zip(*((value, value - below, value + above) for value, below, above in rows), strict=True)
    markup = line_chart("t", (0, HOUR * len(rows)), [Series("a", times, middle, step, low, high)])
    line = [point for piece in paths(markup, "s-now") for point in piece]
    around = [point for piece in paths(markup, "f-band") for point in piece]
    for x, y in line:
        edges = [top for place, top in around if abs(place - x) < 0.06]
        assert min(edges) - 0.11 <= y <= max(edges) + 0.11


@given(st.lists(st.floats(-1e9, 1e9) | st.just(NAN), min_size=1, max_size=5_000))
def test_a_long_series_keeps_its_extremes_and_is_short(values: list[float]) -> None:
    times, kept = thinned(range(len(values)), values, most=90)
    known = [value for value in floats(values).tolist() if not math.isnan(value)]
    assert len(times) <= max(90, min(len(values), 90))
    assert np.all(np.diff(times) > 0)
    if known:
        assert np.nanmin(kept) == min(known)
        assert np.nanmax(kept) == max(known)
    assert np.isnan(kept).any() == (len(known) < len(values))


def test_a_year_of_minutes_is_drawn_with_at_most_1500_points() -> None:
    times = np.arange(0, 525_600) * 60.0
    markup = line_chart(
        "t", (0, 525_600 * 60), [Series("a", times, np.sin(times), low=np.sin(times) - 1, high=np.sin(times) + 1)]
    )
    assert sum(map(len, paths(markup, "s-now"))) <= MOST_POINTS
    assert sum(map(len, paths(markup, "f-band"))) <= 2 * MOST_POINTS
    assert len(markup) < 60_000


def test_a_gap_of_a_long_series_stays_a_gap() -> None:
    values = np.ones(10_000)
    values[5_000:5_400] = NAN
    for step in (0.0, 1.0):
        pieces = subpaths(
            polyline(Area(0, 100), Time(0, 10_000), Linear.over([0, 1]), np.arange(10_000.0), values, step)
        )
        assert len(pieces) == 2
        assert pieces[0][-1][0] == pytest.approx(500, abs=3)
        assert pieces[1][0][0] == pytest.approx(540, abs=3)
    assert (
        len(
            subpaths(
                ribbon(Area(0, 100), Time(0, 10_000), Linear.over([0, 1]), np.arange(10_000.0), values * 0, values, 1.0)
            )
        )
        == 2
    )


def test_immature_values_are_dotted_and_have_no_interval() -> None:
    markup = line_chart(
        "t", (0, 400), [Series("a", [0, 100, 200, 300], [1, 1, 1, 1], 100, [0] * 4, [2] * 4, immature=200)]
    )
    assert max(x for piece in paths(markup, "f-band") for x, _ in piece) == 500
    assert [(piece[0][0], piece[-1][0]) for piece in paths(markup, "dotted")] == [(500, 1000)]
    assert "immature" in texts(markup)


def test_a_bar_that_is_not_known_is_not_drawn_and_zero_has_no_height() -> None:
    markup = bar_chart("t", (0, 400), [0, 100, 200, 300], [Stack("a", [5, NAN, 0, 5])], 100)
    assert [round(piece[0][0], -1) for piece in paths(markup, "f-reference")] == [20, 770]


def test_stacked_bars_stand_on_each_other() -> None:
    markup = bar_chart("t", (0, 100), [0], [Stack("a", [30], "f-now"), Stack("b", [50], "c2")], 100)
    (first,), (second,) = paths(markup, "f-now"), paths(markup, "c2")
    assert min(y for _, y in first) == max(y for _, y in second)


def test_neighbouring_cells_of_one_class_are_one_box_and_missing_cells_none() -> None:
    markup = heatmap("t", (0, 400), [HeatRow("a", ["ha", "ha", None, "ha"])], step=100)
    assert [(piece[0][0], piece[1][0]) for piece in paths(markup, "ha")] == [(0, 500), (750, 1000)]


def test_a_heat_map_has_its_values_for_a_script_and_none_without_any() -> None:
    rows = [HeatRow("a <b>", ["h0", None], values=[0.012345, math.nan], n=[120, 0]), HeatRow("b", ["h0", "h0"])]
    svg = root_of(heatmap("t", (0, 7_200), rows, step=3_600))
    found = json.loads(svg.get("data-cells", ""))
    assert (found["start"], found["step"]) == (0, 3_600)
    assert found["rows"][0] | {"top": 0} == {"name": "a <b>", "top": 0, "values": [0.0123, None], "n": [120, 0]}
    assert found["rows"][1]["top"] - found["rows"][0]["top"] == 15
    assert root_of(heatmap("t", (0, 7_200), rows[1:], step=3_600)).get("data-cells") is None


def test_times_in_a_chart_have_their_moment_for_a_script() -> None:
    event = Event(5_400, "began Thu 01:30, found Thu 02:00", "since", (("Thu 01:30", 5_400), ("Thu 02:00", 7_200)))
    svg = root_of(line_chart("t", (0, 86_400), [Series("a", [0], [1.0])], events=[event]))
    moments = {float(each.get("data-at", "")): each.text for each in svg.iter() if each.get("data-at")}
    assert moments.items() >= {(5_400, "Thu 01:30"), (7_200, "Thu 02:00"), (43_200, "12:00")}
    assert "began Thu 01:30, found Thu 02:00" in texts(ET.tostring(svg, encoding="unicode"))
    assert [each.text for each in svg.iter("text") if "zone" in each.get("class", "").split()] == ["UTC"]


def test_a_threshold_is_on_the_scale_even_when_no_value_comes_near() -> None:
    assert "alert from 0.25" in texts(
        line_chart("t", (0, 1), [Series("a", [0], [0.001])], levels=[Level(0.25, "alert from 0.25", "alert")])
    )


@pytest.mark.parametrize("values", [[], [NAN], [NAN] * 5])
def test_nothing_known_is_said(values: list[float]) -> None:
    at = [float(index) for index in range(len(values))]
    assert "no values in this range" in texts(line_chart("t", (0, 10), [Series("a", at, values)]))
    unjudged = line_chart("t", (0, 10), [Series("a", at, values)], spans=[Span(0, 10, "unknown")])
    assert "not judged in this range" in texts(unjudged)
    assert "no values in this range" in texts(bar_chart("t", (0, 10), at, [Stack("a", values)], 1))
    assert "f-unknown" in sparkline("t", values)
    assert "f-unknown" in spark_bars("t", values)


@pytest.mark.parametrize("values", [[1e308, -1e308], [5e-324, 0.0], [3.0], [7.0, 7.0], [math.inf, -math.inf, NAN, 1.0]])
def test_huge_tiny_constant_and_lone_values_are_drawn(values: list[float]) -> None:
    at = [float(index) for index in range(len(values))]
    markup = line_chart("t", (0, 4), [Series("a", at, values)])
    assert paths(markup, "s-now")
    assert "nan" not in markup.lower().replace("nano", "")
    assert "inf" not in markup


def test_inputs_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="values of series 'a' has 1 values, 2 are expected"):
        Series("a", [0, 1], [1])
    with pytest.raises(ValueError, match="times of series 'a' must be ascending"):
        Series("a", [1, 0], [1, 1])
    with pytest.raises(ValueError, match="current has 2 cells, 3 are expected"):
        histogram("t", [1, 2], [0.1] * 3, [0.1] * 2)
    with pytest.raises(ValueError, match="edges must be finite and ascending"):
        histogram("t", [2, 2], [0.1] * 3, [0.1] * 3)
    with pytest.raises(ValueError, match="unknown classes of cells: 'red'"):
        heatmap("t", (0, 1), [HeatRow("a", ["red"])], step=1)
    with pytest.raises(ValueError, match="counts must have 2 rows of 2 numbers"):
        confusion_matrix("t", ["a", "b"], [[1, 2]])
    with pytest.raises(ValueError, match="five quantiles"):
        quantile_fan("t", (0, 1), [0], [[1]])


def test_one_rare_confusion_does_not_hide_the_numbers_of_a_matrix() -> None:
    counts = [[100_000 if row == column else 0 for column in range(8)] for row in range(8)]
    rare = [
        [1 if (row, column) == (0, 1) else count for column, count in enumerate(of)] for row, of in enumerate(counts)
    ]
    markup = confusion_matrix("t", [f"class_{index}" for index in range(8)], rare)
    assert [each.of for each in drawing(markup, 480).texts if each.of == "12.5"] == ["12.5"] * 8
    assert "1, &lt;\u00a00.01\u00a0% of its row" in markup


@pytest.mark.parametrize("number", [16, 18])
def test_heads_of_narrow_columns_tell_classes_apart_and_have_the_whole_name(number: int) -> None:
    names = [f"class_{index}" for index in range(number)]
    markup = confusion_matrix("t", names, np.eye(number).tolist())
    heads = [each for each in root_of(markup).iter() if each.tag.endswith("text") and each.get("y") == "-7"]
    titles = {"".join(each.itertext())[len(title.text) :]: title.text for each in heads for title in each if title.text}
    assert [titles[text] for text in shortened_apart(names, 640 / number - 8)] == names


@pytest.mark.parametrize("room", [13, 14, 18.7, 20, 24, 32])
def test_no_name_is_empty_where_an_ellipsis_has_room(room: float) -> None:
    for names in ([f"class_{index}" for index in range(24)], ["alpha", "alpine"], ["a漢字", "b漢字"]):
        found = shortened_apart(names, room)
        assert all(text and not text.startswith(" (") and width(text) <= room for text in found), found


def test_names_that_are_the_same_without_what_no_chart_can_have_are_numbered() -> None:
    assert shortened_apart(["ab", "a\u200eb", "ab"], 100) == ["ab", "ab (2)", "ab"]


def test_a_name_that_is_cut_beside_its_line_has_the_whole_as_a_title() -> None:
    name = "amount_of_the_last_30_days"
    assert width(name, bold=True) > LONGEST_NAME
    at = [0, 100, 200, 300, 400]
    markup = line_chart("t", (0, 400), [Series(name, at, [1, 2, 2, 2, 1]), Series("b", at, [8, 9, 9, 9, 8])])
    assert f"<title>{name}</title>" in markup


def test_the_table_has_a_row_a_time_newest_first() -> None:
    markup = series_table("t", [Series("a", [0, HOUR], [0.5, 0.842], low=[0.4, 0.8], high=[0.6, 0.9])], "percent")
    assert markup.index("01:00:00Z") < markup.index("00:00:00Z")
    assert "84.2\u00a0% (80.0\u00a0% to 90.0\u00a0%)" in markup
