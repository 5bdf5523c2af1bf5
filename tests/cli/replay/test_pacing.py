"""Playing event time back faster than it was lived."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelwatch.cli.replay.labels import label_of
from modelwatch.cli.replay.pacing import in_order, paced
from modelwatch.cli.replay.rows import LabelRows, LineRows
from tests.cli.test_client import Time

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def lines(*seconds: float | None) -> LineRows:
    """Rows at so many seconds after the beginning."""
    texts = [
        json.dumps({} if second is None else {"timestamp": (BEGIN + timedelta(seconds=second)).isoformat()}).encode()
        for second in seconds
    ]
    return LineRows(texts, range(1, len(texts) + 1))


def played(*stretches: LineRows, speed: float) -> list[tuple[float, int]]:
    """When each part was given, and how many rows it had."""
    time = Time()
    return [(round(time.now, 6), len(part)) for part in paced(stretches, speed, time.clock, time.sleep)]


def test_an_hour_at_speed_60_takes_a_minute() -> None:
    given = played(lines(*range(0, 3_601, 60)), speed=60)
    assert sum(rows for _, rows in given) == 61
    assert given[0][0] == 0
    assert 59 <= given[-1][0] <= 60


def test_rows_are_given_together_when_they_are_due_together() -> None:
    assert played(lines(0, 0.1, 0.2, 100, 100.1), speed=1) == [(0, 3), (100, 2)]


def test_stretches_follow_one_another_in_time() -> None:
    assert played(lines(0, 10), lines(20, 30), speed=10) == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_late_rows_and_those_without_a_time_do_not_wait() -> None:
    assert played(lines(None, 10), lines(5, None, 20), speed=10) == [(0, 2), (0, 2), (1, 1)]


def test_a_slow_service_is_not_waited_for_twice() -> None:
    time = Time()
    begun = []
    for _ in paced([lines(0, 10, 20)], 1, time.clock, time.sleep):
        begun.append(time.now)
        time.now += 15
    assert begun == [0, 15, 30]


def labelled(rows: LineRows, *arrivals: float | None) -> LineRows:
    """The rows with labels that arrive so many seconds after the beginning; None: at a time that can't be read."""
    moments = ["when?" if each is None else (BEGIN + timedelta(seconds=each)).isoformat() for each in arrivals]
    labels = [label_of(number, None, f"id {number}", 1, at) for number, at in zip(rows.numbers, moments, strict=True)]
    return replace(rows, labels=labels)


def ordered(*stretches: LineRows, longest: float = float("inf"), size: int = 100) -> list[tuple[str, list[int]]]:
    """What each part is, and the numbers of its rows."""
    return [
        ("labels" if isinstance(part, LabelRows) else "rows", [part.number(index) for index in range(len(part))])
        for part in in_order(stretches, longest, size)
    ]


def test_a_part_comes_after_all_labels_that_have_arrived_by_its_end() -> None:
    """Else the windows that it closes could be evaluated without them."""
    first, second = lines(0, 10, 20), replace(lines(30, 40), numbers=[4, 5])
    assert ordered(labelled(first, 20, 41, 39), labelled(second, 40, 30)) == [
        ("labels", [1]),
        ("rows", [1, 2, 3]),
        ("labels", [5, 3, 4]),
        ("rows", [4, 5]),
        ("labels", [2]),
    ]


def test_a_part_spans_no_longer_than_asked_and_labels_are_sent_so_many_at_once() -> None:
    assert ordered(labelled(lines(0, 5, 20, 25), 5, 5, 21, 26), longest=10_000_000, size=1) == [
        ("labels", [1]),
        ("labels", [2]),
        ("rows", [1, 2]),
        ("labels", [3]),
        ("rows", [3, 4]),
        ("labels", [4]),
    ]


def test_a_label_without_a_readable_arrival_comes_with_its_row() -> None:
    assert ordered(labelled(lines(0, 10), None, 5), longest=1_000_000) == [
        ("labels", [1]),
        ("rows", [1]),
        ("labels", [2]),
        ("rows", [2]),
    ]
