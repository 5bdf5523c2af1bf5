"""Quiet hours by the clocks of a time zone, also where these are put forward and back."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.alerting.policy import DAYS, LONGEST_WAIT, QuietHours, quiet_until

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")


def micros(text: str, zone: ZoneInfo = BERLIN) -> int:
    """2026-03-28 23:00 by the clocks there; with a + at the end, the second time that they show it."""
    moment = datetime.fromisoformat(text.rstrip("+")).replace(tzinfo=zone, fold=int(text.endswith("+")))
    return round(moment.timestamp()) * 1_000_000


def until(hours: QuietHours | list[QuietHours], text: str) -> int | None:
    return quiet_until(hours if isinstance(hours, list) else [hours], "warning", micros(text))


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-06-10 21:59:59", None),
        ("2026-06-10 22:00", "2026-06-11 07:00"),
        ("2026-06-11 00:00", "2026-06-11 07:00"),
        ("2026-06-11 06:59:59", "2026-06-11 07:00"),
        ("2026-06-11 07:00", None),
    ],
)
def test_a_night_ends_on_the_next_day(now: str, end: str | None) -> None:
    assert until(NIGHT, now) == (None if end is None else micros(end))


def test_only_the_severities_that_are_named_wait() -> None:
    assert quiet_until([NIGHT], "alert", micros("2026-06-10 23:00")) is None


def test_the_day_is_the_one_on_which_it_starts() -> None:
    friday_night = QuietHours(time(22), time(7), "Europe/Berlin", days=("fri",))
    assert until(friday_night, "2026-06-12 23:00") == micros("2026-06-13 07:00")
    assert until(friday_night, "2026-06-13 03:00") == micros("2026-06-13 07:00")
    assert until(friday_night, "2026-06-13 23:00") is None


def test_what_touches_is_one_stretch() -> None:
    weekend = QuietHours(time(0), time(0), "Europe/Berlin", days=("sat", "sun"))
    assert until([weekend, NIGHT], "2026-06-12 23:00") == micros("2026-06-15 07:00")
    assert until(weekend, "2026-06-13 12:00") == micros("2026-06-15 00:00")


def test_where_every_hour_is_quiet_a_notification_still_goes_out() -> None:
    always = QuietHours(time(0), time(0), "Europe/Berlin")
    now = micros("2026-06-12 23:00")
    assert quiet_until([always], "warning", now) == now + LONGEST_WAIT // timedelta(microseconds=1)


def test_the_night_in_which_the_clocks_are_put_forward_is_an_hour_shorter() -> None:
    end = until(NIGHT, "2026-03-28 22:00")
    assert end == micros("2026-03-29 07:00")
    assert end is not None
    assert end - micros("2026-03-28 22:00") == 8 * 3_600 * 1_000_000


def test_the_night_in_which_the_clocks_are_put_back_is_an_hour_longer() -> None:
    end = until(NIGHT, "2026-10-24 22:00")
    assert end == micros("2026-10-25 07:00")
    assert end is not None
    assert end - micros("2026-10-24 22:00") == 10 * 3_600 * 1_000_000


def test_an_end_that_the_clocks_show_twice_is_the_second() -> None:
    hours = QuietHours(time(22), time(2, 30), "Europe/Berlin")
    assert until(hours, "2026-10-25 02:45") == micros("2026-10-25 02:30+")
    assert until(hours, "2026-10-25 02:15+") == micros("2026-10-25 02:30+")
    assert until(hours, "2026-10-25 02:30+") is None


def test_a_start_that_the_clocks_show_twice_is_the_first() -> None:
    hours = QuietHours(time(2, 30), time(7), "Europe/Berlin")
    assert until(hours, "2026-10-25 02:15") is None
    assert until(hours, "2026-10-25 02:30") == micros("2026-10-25 07:00")
    assert until(hours, "2026-10-25 02:15+") == micros("2026-10-25 07:00")


def test_times_that_the_clocks_jump_over_are_as_much_later() -> None:
    ends = QuietHours(time(22), time(2, 30), "Europe/Berlin")
    assert until(ends, "2026-03-29 01:59") == micros("2026-03-29 03:30")
    assert until(ends, "2026-03-29 03:30") is None
    starts = QuietHours(time(2, 30), time(7), "Europe/Berlin")
    assert until(starts, "2026-03-29 01:59") is None
    assert until(starts, "2026-03-29 03:29") is None
    assert until(starts, "2026-03-29 03:30") == micros("2026-03-29 07:00")


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
)
CLOCKS = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
HOURS = st.builds(QuietHours, CLOCKS, CLOCKS, ZONES, st.sets(st.sampled_from(DAYS), max_size=7).map(tuple))


@given(st.lists(HOURS, max_size=3), st.integers(0, 4_000_000_000))
def test_what_waits_goes_out_when_it_is_quiet_no_more(hours: list[QuietHours], seconds: int) -> None:
    now = seconds * 1_000_000
    end = quiet_until(hours, "warning", now)
    if end is None:
        return
    longest = LONGEST_WAIT // timedelta(microseconds=1)
    assert now < end <= now + longest
    assert quiet_until(hours, "warning", end - 1) is not None
    assert end == now + longest or quiet_until(hours, "warning", end) is None


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="IANA name"):
        QuietHours(time(22), time(7), zone)


def test_an_unknown_day_is_refused() -> None:
    with pytest.raises(ValueError, match="someday"):
        QuietHours(time(22), time(7), "UTC", days=("someday",))
