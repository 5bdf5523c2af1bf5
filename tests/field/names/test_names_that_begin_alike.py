"""Names of columns that begin alike and differ in their end or middle, as feature stores and SQL make them: wherever
one has too little room, two features never look the same, and the whole name is told with it."""

from __future__ import annotations

import re
import unicodedata

import pytest

from modelwatch.charts.drawing.text import clipped, isolated, shortened_apart, width
from modelwatch.charts.drawing.text import shortened as shortened_to_width
from modelwatch.charts.heatmap import HeatRow, heatmap
from modelwatch.charts.rows import Category, categories
from modelwatch.text import clipped as clipped_to_length
from modelwatch.text import shortened as shortened_to_length
from modelwatch.web.frame.rendering import name

WINDOWS = [f"customer_transactions_amount_sum_last_{days}_days" for days in (1, 7, 30, 90)]
MIDDLES = [f"feature_store__payments__{month}__amount_in_euro_at_the_end_of_day" for month in ("april", "march", "may")]
NESTED = ["payload.customer.address.city", "payload.customer.address.city.code", "payload.customer.address.city_code"]
CHINESE = ["客户最近三十天交易金额合计第一类", "客户最近三十天交易金额合计第二类"]
CROSSED = [f"payments_of_{month}_in_euro_{how}" for month in ("march", "april") for how in ("mean", "summ")]
THRICE = [
    f"customer_transaction_amount_{days}_days_in_{currency}_{how}"
    for days in ("007", "030", "090")
    for currency in ("euros", "pound")
    for how in ("mean_value", "maximum_val")
]
HEBREW = ["סכום העסקאות של הלקוח בשלושים הימים האחרונים", "סכום העסקאות של הלקוח בתשעים הימים האחרונים"]
ALL = [*WINDOWS, *MIDDLES, *NESTED, *CROSSED, *THRICE]


@pytest.mark.parametrize("names", [WINDOWS, MIDDLES, NESTED, CHINESE, HEBREW, CROSSED, THRICE, ALL])
@pytest.mark.parametrize("room", [70, 100, 128, 150])
def test_no_two_look_the_same_and_all_fit(names: list[str], room: float) -> None:
    shown = shortened_apart(names, room)
    assert len(set(shown)) == len(names)
    assert all(width(each) <= room for each in shown)


def test_names_that_differ_in_several_places_are_told_by_all_of_these() -> None:
    assert shortened_apart(CROSSED, 100) == ["p…mar…mean", "p…mar…sum…", "p…april…mea…", "p…april…sum…"]


def test_names_without_room_for_their_difference_are_numbered() -> None:
    names = ["x" + "\u200b" * times for times in (300, 400, 500)]
    shown = shortened_apart(names, 60)
    assert len(set(shown)) == 3
    assert shown[1:] == [f"{shown[0]} (2)", f"{shown[0]} (3)"]


def test_names_from_right_to_left_are_cut_and_isolated() -> None:
    for room in (70, 100, 128):
        for each in (*shortened_apart(HEBREW, room), *shortened_apart(list(map(isolated, HEBREW)), room)):
            assert (each[0], each[-1]) == ("\u2068", "\u2069")
            assert "\ufffd" not in each


@pytest.mark.parametrize("name", ["a" + "\u0301" * 200, "e\u0301" * 100, "a\u200b" * 100, "क्षि" * 60])
@pytest.mark.parametrize("room", [90, 10])
def test_marks_make_no_name_endless_and_stay_with_their_letter(name: str, room: float) -> None:
    others = [f"{name}{last}" for last in "xy"]
    shown = [shortened_to_width(name, room), clipped(name, room), *shortened_apart(others, room)]
    shown += [shortened_to_length(name, 80), clipped_to_length(name, 80)]
    assert all(len(each) <= 32 * 18 for each in shown)
    assert all(width(each) <= room for each in shown[:4])
    for part in (part for each in shown for part in each.split("…")):
        assert not part or unicodedata.category(part[0]) not in ("Mn", "Mc", "Me"), part
    assert max(map(len, shown[-2:])) <= 80


def test_a_name_that_occurs_twice_is_the_same_twice() -> None:
    assert shortened_apart(["x" * 90, "x" * 90], 80)[0] == shortened_apart(["x" * 90], 80)[0]


@pytest.mark.parametrize("room", [0, 1, 5, 12])
def test_hardly_any_room_ends_in_texts_that_fit(room: float) -> None:
    assert all(width(each) <= room for each in shortened_apart(MIDDLES, room))


@pytest.mark.parametrize("names", [WINDOWS, MIDDLES])
def test_rows_of_charts_are_told_apart_and_have_the_whole_name(names: list[str]) -> None:
    rows = [HeatRow(each, ["h0", "ha"], "0.1") for each in names]
    drawn = (
        heatmap("Drift", (0, 7_200), rows, step=3_600, names=136),
        categories("Shares", [Category(each, 0.5, 0.5) for each in names]),
    )
    for markup in drawn:
        labels = re.findall(r"<title>([^<]*)</title>([^<]*…[^<]*)</text>", markup)
        assert [whole for whole, _ in labels] == names
        assert len({short for _, short in labels}) == len(names)


def test_names_of_pages_and_notifications_keep_their_ends() -> None:
    long = ["x" * 200 + each for each in ("_mean", "_median")]
    assert {name(each)[-6:] for each in long} == {"x_mean", "median"}
    assert all(len(name(each)) == 120 for each in long)
    assert len({shortened_to_length(each, 80) for each in long}) == 2
