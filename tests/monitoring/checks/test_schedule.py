"""When streams are evaluated: by event time alone, so that a replay is looked at as live traffic was."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.monitoring.checks.schedule import (
    IDLE_SECONDS,
    Point,
    closed_until,
    due_points,
    label_points,
    labels_until,
)
from modelwatch.times import SECONDS_PER_DAY

SECOND = 1_000_000
NINE = 9 * 3_600

WINDOWS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 120)), max_size=60).map(
    lambda steps: [(300 * sum(step for step, _ in steps[: index + 1]), count) for index, (_, count) in enumerate(steps)]
)


@given(
    WINDOWS, st.integers(1, 50).map(lambda n: n * 300), st.none() | st.integers(1, 300), st.lists(st.integers(0, 60))
)
def test_a_replay_gives_the_evaluations_that_live_operation_gives(
    windows: list[tuple[int, int]], interval: int, enough: int | None, rounds: list[int]
) -> None:
    at_once = list(due_points(None, windows, interval=interval, enough=enough))
    live: list[Point] = []
    for known in [*sorted(rounds), len(windows)]:
        previous = live[-1].end if live else None
        closed = [window for window in windows[:known] if previous is None or window[0] > previous]
        live += due_points(previous, closed, interval=interval, enough=enough)
    assert live == at_once


@given(WINDOWS, st.integers(1, 50).map(lambda n: n * 300), st.none() | st.integers(1, 300))
def test_looks_never_spend_more_than_accrues(windows: list[tuple[int, int]], interval: int, enough: int | None) -> None:
    points = list(due_points(None, windows, interval=interval, enough=enough))
    assert all(0 < point.elapsed <= interval for point in points)
    assert [point.end for point in points] == sorted({point.end for point in points})
    if points:
        assert sum(point.elapsed for point in points) <= points[-1].end - windows[0][0] + 300
        assert points[0].end == windows[0][0]


def test_a_window_closes_when_the_watermark_has_passed_it_by_the_grace() -> None:
    def closed(seconds_past_nine: int) -> int:
        latest = (NINE + seconds_past_nine) * SECOND
        return closed_until(latest, arrived_at=latest, now=latest, grace=60)

    assert (closed(59), closed(60), closed(300 + 59), closed(300 + 60)) == (NINE - 300, NINE, NINE, NINE + 300)


def test_a_watermark_ahead_of_the_clock_closes_nothing_that_is_open_now() -> None:
    now = (NINE + 70) * SECOND
    assert closed_until((NINE + 7_200) * SECOND, arrived_at=now, now=now, grace=60) == NINE


def test_the_last_window_of_a_silent_stream_closes_by_the_clock() -> None:
    latest = (NINE + 10) * SECOND
    long_after = latest + 7_200 * SECOND
    assert closed_until(latest, arrived_at=long_after - IDLE_SECONDS * SECOND, now=long_after, grace=60) == NINE + 300
    just_after = (NINE + 300 + 59) * SECOND
    assert closed_until(latest, arrived_at=latest, now=just_after, grace=60) == NINE
    assert closed_until(latest, arrived_at=latest, now=just_after + SECOND, grace=60) == NINE + 300


def test_a_replay_in_progress_does_not_close_its_newest_window() -> None:
    latest, now = (NINE + 10) * SECOND, (NINE + 10_000_000) * SECOND
    assert closed_until(latest, arrived_at=now, now=now, grace=60) == NINE - 300


@given(
    st.lists(st.integers(0, 400), max_size=60).map(sorted),
    st.integers(1, 30).map(lambda n: n * 300),
    st.integers(1, 5),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_labels_are_evaluated_at_the_same_times_however_late(
    news: list[int], interval: int, number: int, rounds: list[int]
) -> None:
    """news: in which windows something became known."""

    def enough(start: int, end: int) -> bool:
        return sum(start < 300 * each <= end for each in news) >= number

    at_once = list(label_points(None, 300, 120_000, interval, enough))
    live: list[Point] = []
    for known in [*sorted(rounds), 400]:
        live += label_points(live[-1].end if live else None, 300, 300 * known, interval, enough)
    assert live == at_once
    gaps = [after.end - before.end for before, after in pairwise(at_once)]
    assert all(gap % interval == 0 and gap < SECONDS_PER_DAY + interval for gap in gaps)


def test_labels_are_looked_at_up_to_what_is_there_of_both() -> None:
    now = 10**9
    paused, fresh = (now - IDLE_SECONDS) * SECOND, (now - 1) * SECOND
    newest = NINE * SECOND

    def until(label_arrived: int, closed: int, prediction_arrived: int) -> int:
        return labels_until((newest, label_arrived), closed, prediction_arrived, now * SECOND)

    # Others may have the very time of the newest label.
    assert until(fresh, NINE + 3_600, fresh) == NINE - 300
    assert until(fresh, NINE - 3_600, fresh) == NINE - 3_600
    assert until(fresh, NINE - 3_600, paused) == NINE - 300
    assert until(paused, NINE + 3_600, fresh) == NINE + 3_600
    assert until(paused, NINE - 3_600, fresh) == NINE - 3_600
    assert until(paused, NINE - 3_600, paused) == NINE + 300
    assert until(paused, NINE + 3_600, paused) == NINE + 3_600


def test_labels_that_came_at_once_are_looked_at_once_their_window_is_over() -> None:
    # A batch of yesterday's predictions, and all of its labels in one request.
    label = (NINE + 7) * SECOND
    for now, until in ((NINE + 60, NINE), (NINE + 299, NINE), (NINE + 300, NINE + 300), (NINE + 9_000, NINE + 300)):
        assert labels_until((label, label), NINE - 3_600, (NINE - 60) * SECOND, now * SECOND) == until
    assert [each.end for each in label_points(None, NINE + 300, NINE + 300, 3_600, lambda *_: True)] == [NINE + 300]


def test_labels_after_the_last_look_are_looked_at_an_interval_later() -> None:
    # Some of a batch came just before the end of a window, which was looked at; nothing comes after it.
    label = (NINE + 307) * SECOND

    def until(now: int) -> int:
        return labels_until((label, label), NINE - 3_600, (NINE - 60) * SECOND, now * SECOND, 3_600)

    assert [until(now) for now in (NINE + 600, NINE + 3_600)] == [NINE + 600, NINE + 600]
    assert until(NINE + 3_907) == NINE + 3_900
    assert until(NINE + 10**6) == NINE + 4_200
    looks = label_points(NINE + 300, NINE + 300, until(NINE + 3_907), 3_600, lambda *_: True)
    assert [each.end for each in looks] == [NINE + 3_900]


def test_labels_that_keep_coming_are_asked_for_once_a_look() -> None:
    asked: list[tuple[int, int]] = []

    def enough(start: int, end: int) -> bool:
        asked.append((start, end))
        return True

    looks = [each.end for each in label_points(300, 300, 300 + 4 * 3_600, 3_600, enough)]
    assert looks == [300 + 3_600 * place for place in range(1, 5)]
    assert asked == [(end - 3_600, end) for end in looks]
