"""Layout: nothing overlaps or leaves its box from 320 to 1,600 pixels, whatever the data and the names are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.charts.annotations import Event, Level, Note
from modelwatch.charts.bars import Stack, bar_chart, share_chart
from modelwatch.charts.curves import (
    AgreementPoint,
    CalibrationPoint,
    Curve,
    Driver,
    agreement_curve,
    calibration_curve,
    delay_curve,
    quadrant,
    roc_curve,
)
from modelwatch.charts.drawing.numbers import percent
from modelwatch.charts.heatmap import HeatRow, heatmap
from modelwatch.charts.histogram import histogram
from modelwatch.charts.lines import line_chart, quantile_fan
from modelwatch.charts.matrix import confusion_matrix
from modelwatch.charts.rows import Category, Contribution, categories, waterfall
from modelwatch.charts.series import Series
from modelwatch.charts.small import Metric, gauge, histogram_pair, spark_bars, sparkline
from modelwatch.charts.timeline import EventMark, Step, event_marks, timeline
from tests.charts.gallery import charts, small
from tests.charts.geometry import drawing, texts
from tests.support.examples import examples

WIDTHS = (320, 359, 360, 390, 479, 480, 559, 639, 719, 768, 800, 959, 1_119, 1_280, 1_439, 1_440, 1_600)
GALLERY = charts()

widths = st.sampled_from(WIDTHS)
numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
shares = st.floats(0, 1) | st.just(math.nan)
hard_names = ["x" * 1_000, "漢" * 60, "שם_של_מאפיין" * 9, "<script>", "", "\u202eabc", "👩‍👩‍👧" * 8, "é" * 50]
names = st.text(max_size=24) | st.sampled_from(hard_names)
times = st.floats(-1e10, 1e10)


def check(markup: str, *wides: int) -> None:
    for wide in wides or (320, 1_600):
        drawn = drawing(markup, wide)
        assert drawn.overlapping() == [], wide
        assert drawn.outside() == [], wide


@pytest.mark.parametrize("name", GALLERY)
@pytest.mark.parametrize("wide", WIDTHS)
def test_labels_of_every_chart_stand_apart_and_inside(name: str, wide: int) -> None:
    drawn = drawing(GALLERY[name], wide)
    assert drawn.overlapping() == []
    assert drawn.outside() == []
    assert drawn.texts


@pytest.mark.parametrize("name", GALLERY)
def test_more_room_never_shows_less(name: str) -> None:
    counts = [len(drawing(GALLERY[name], wide).texts) for wide in WIDTHS]
    assert counts == sorted(counts)


@pytest.mark.parametrize("name", small())
def test_small_charts_stay_in_their_box(name: str) -> None:
    for wide in (84, 150):
        drawn = drawing(small()[name], wide)
        assert drawn.outside() == []
        assert drawn.shapes or "<path" in small()[name]


@given(st.data())
@settings(max_examples=examples(60))
def test_lines_with_any_values_events_and_names(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 30))
    start = data.draw(times)
    span = data.draw(st.floats(0, 1e9))
    at = np.sort(start + span * np.array(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count))))
    values = st.lists(numbers, min_size=count, max_size=count)
    step = data.draw(st.sampled_from([0.0, span / 10]))
    series = [Series(data.draw(names), at, data.draw(values), step, role=role) for role in ("now", "second")]
    levels = [
        Level(value, data.draw(names), "alert") for value in data.draw(st.lists(st.floats(-1e3, 1e3), max_size=3))
    ]
    events = [
        Event(start + span * part, data.draw(names), "event")
        for part in data.draw(st.lists(st.floats(0, 1), max_size=6))
    ]
    notes = [Note(start + span / 2, 1.0, data.draw(names))]
    form = data.draw(st.sampled_from(["number", "percent"]))
    markup = line_chart("t", (start, start + span), series, levels=levels, events=events, notes=notes, form=form)  # type: ignore[arg-type]
    check(markup, data.draw(widths), data.draw(widths))


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=40), st.data())
@settings(max_examples=examples(40))
def test_histograms_of_any_cells(cells: list[tuple[float, float]], data: st.DataObject) -> None:
    edges = np.cumsum(data.draw(st.lists(st.floats(1e-3, 1e6), min_size=len(cells) - 1, max_size=len(cells) - 1)))
    reference, now = [a for a, _ in cells], [b for _, b in cells]
    extra = data.draw(st.lists(names, max_size=2))
    more = [0.1] * len(extra)
    parts = data.draw(st.sampled_from([None, [0.01] * (len(cells) + len(extra))]))
    markup = histogram(
        "t", edges, [*reference, *more], [*now, *more], extra=extra, parts=parts, to_scale=data.draw(st.booleans())
    )
    check(markup, data.draw(widths), data.draw(widths))


@given(st.lists(st.tuples(names, shares, shares), max_size=12), widths)
@settings(max_examples=examples(40))
def test_rows_of_any_names(rows: list[tuple[str, float, float]], wide: int) -> None:
    check(categories("t", [Category(*row) for row in rows]), wide)
    check(waterfall("t", [Contribution(name, a - b) for name, a, b in rows], form="percent"), wide)
    check(
        heatmap(
            "t",
            (0, 86_400),
            [HeatRow(name, ["h0", "ha", None, "hu"], name[:9], "alert", name) for name, _, _ in rows],
            step=21_600,
        ),
        wide,
    )
    check(quadrant("t", [Driver(name, a, b, "alert") for name, a, b in rows]), wide)
    at = [0.0, 43_200.0]
    check(
        share_chart(
            "t", (0, 86_400), at, [(name, [a / 99, b / 99]) for name, a, b in rows], 43_200, reference=[0.1] * len(rows)
        ),
        wide,
    )


def test_a_share_over_one_that_is_not_known_is_read_where_both_are() -> None:
    shares = [("below", [0.4, math.nan]), ("above", [0.6, 0.9])]
    drawn = share_chart("Shares", (0, 7_200), [0, 3_600], shares, 3_600, reference=[0.5, 0.5])
    assert "nan" not in drawn
    assert f"above {percent(0.6)}" in drawn


@given(st.lists(st.tuples(st.floats(0, 86_400), names), max_size=10), widths)
@settings(max_examples=examples(40))
def test_time_lines_of_any_steps(steps: list[tuple[float, str]], wide: int) -> None:
    check(timeline("t", (0, 86_400), [Step(at, name) for at, name in steps]), wide)


@given(st.lists(st.tuples(st.floats(0, 86_400), st.sampled_from("VRMA✓"), names), max_size=30), widths)
@settings(max_examples=examples(40))
def test_no_mark_of_an_event_covers_another(events: list[tuple[float, str, str]], wide: int) -> None:
    marks = [EventMark(*each, "alert") for each in events]
    markup = event_marks("t", (0, 86_400), marks, left=40)
    check(markup, wide)
    circles = [each for each in drawing(markup, wide).shapes if each.of == "circle"]
    assert [(a, b) for a, b in itertools.combinations(circles, 2) if a.overlaps(b)] == []
    told = sum(1 if text in "VRMA✓" else int(text) for text in texts(markup))
    assert told == len(events)


@given(st.lists(names, max_size=14), st.data(), widths)
@settings(max_examples=examples(30))
def test_matrices_of_any_classes(classes: list[str], data: st.DataObject, wide: int) -> None:
    k = len(classes)
    row = st.lists(st.floats(0, 1e12) | st.just(math.nan), min_size=k, max_size=k)
    counts = data.draw(st.lists(row, min_size=k, max_size=k))
    check(confusion_matrix("t", classes, counts, reference=data.draw(st.sampled_from([None, counts]))), wide)


@given(st.lists(st.tuples(shares, shares), max_size=30), names, widths)
@settings(max_examples=examples(40))
def test_curves_of_any_points(points: list[tuple[float, float]], name: str, wide: int) -> None:
    x, y = [a for a, _ in points], [b for _, b in points]
    check(roc_curve("t", [Curve(name, x, y), Curve("reference", y, x, role="reference")]), wide)
    check(calibration_curve("t", [CalibrationPoint(a, b, b, b) for a, b in points]), wide)
    check(agreement_curve("t", [AgreementPoint(a, b, b, b) for a, b in points]), wide)
    known = sorted(value for value in x if math.isfinite(value))
    check(delay_curve("t", [1e4 * value for value in known], known, marks=[(0.5, name[:20]), (0.9, "90 %")]), wide)


@given(st.lists(st.floats(0, 1e15) | st.just(math.nan), max_size=50), st.floats(1, 1e8), widths)
@settings(max_examples=examples(40))
def test_bars_of_any_counts(values: list[float], step: float, wide: int) -> None:
    at = [step * index for index in range(len(values))]
    check(bar_chart("t", (0, step * max(len(values), 1)), at, [Stack("a", values), Stack("b", values)], step), wide)
    check(
        quantile_fan("t", (0, step * max(len(values), 1)), at, [values] * 5, reference=[1, 2, 3, 4, 5], step=step), wide
    )


@given(st.lists(numbers, max_size=40), numbers)
def test_small_charts_of_any_values(values: list[float], level: float) -> None:
    known = level if math.isfinite(level) else None
    for markup in (
        sparkline("t", values, threshold=known),
        spark_bars("t", values, threshold=None if known is None else abs(known)),
        histogram_pair("t", np.abs(values), np.abs(values)[::-1]),
        gauge(Metric("t", level, *(values[:2] if len(values) > 1 else ()), reference=known)),
    ):
        assert drawing(markup, 84).outside() == []


def test_no_label_of_the_quadrant_covers_a_feature_that_drifts() -> None:
    for wide in WIDTHS:
        drawn = drawing(GALLERY["quadrant"], wide)
        dots = [each for each in drawn.shapes if each.of == "circle" and each.right - each.left == pytest.approx(8)]
        assert len(dots) == 3
        assert not [(text.of, dot) for text in drawn.texts for dot in dots if text.overlaps(dot)]


@pytest.mark.parametrize("size", [0.0, 1e-299, 1e-9, 1.0, 1e9, math.inf])
def test_the_quadrant_of_tiny_and_huge_features_keeps_its_corner(size: float) -> None:
    check(quadrant("t", [Driver("a", size, size, "alert"), Driver("b", 0.1, 0.2, "alert")]), 320, 1_600)
    check(quadrant("t", [Driver("a", size, size, "alert")]), 320, 1_600)


@pytest.mark.parametrize("name", ["income_monthly", "debt_ratio", "app_version"])
def test_the_quadrant_names_what_drifts_also_where_there_is_little_room(name: str) -> None:
    assert name in [text.of for text in drawing(GALLERY["quadrant"], 400).texts]
