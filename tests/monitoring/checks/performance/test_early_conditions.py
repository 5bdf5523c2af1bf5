"""What is found early is kept until all labels decide about it: they confirm it, or end it."""

from __future__ import annotations

import msgspec

from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.observations import Observation, SizeNow
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.stats.drift.recovery import RateSize

DAY = 86_400
RULES = PerformanceRules(1.0, DAY)
LAG, AHEAD = 30 * DAY, 20 * DAY
SOUND, BAD, FEW = RateSize(100, 1_000, 0.1, 5_000), RateSize(250, 1_000, 0.1, 5_000), RateSize(2, 20, 0.1, 5_000)


def finding(start: int, end: int, early: float | None) -> Finding:
    return Finding(
        "performance",
        "accuracy",
        "alert",
        0,
        "loss of accuracy",
        0.15,
        0.1,
        1e-9,
        1e-5,
        1_000,
        5_000,
        start,
        end,
        "7d",
        "",
        bad_from=start,
        early=early,
    )


def drifted(end: int, early: float | None) -> Observation:
    return Observation("performance", "accuracy", "r", "drifted", finding=finding(end - 7 * DAY, end, early))


def calm(end: int, size: RateSize = SOUND) -> Observation:
    now = SizeNow("loss of accuracy", 0.05, size, end - 7 * DAY)
    return Observation("performance", "accuracy", "r", "calm", sizes=(now,), judged_until=end)


def after(*steps: tuple[int, Observation], before: list[Condition] | None = None) -> list[Condition]:
    found = before or []
    for at, seen in steps:
        found = advance(found, [seen], RULES, at)
    return found


def test_matured_windows_from_before_it_end_nothing_that_was_found_early() -> None:
    found = after((100 * DAY, drifted(90 * DAY, 0.6)))
    for day in range(101, 119):
        found = after((day * DAY, calm((day - 30) * DAY)), before=found)
        [condition] = found
        assert condition.finding is not None
        assert (condition.finding.early, condition.finding.doubt) == (0.6, "not_found")


def test_it_ends_when_all_labels_of_its_window_say_that_it_is_not_so() -> None:
    found = after((100 * DAY, drifted(90 * DAY, 0.6)), (119 * DAY, calm(89 * DAY)))
    assert found[0].finding is not None
    assert after((120 * DAY, calm(90 * DAY)), before=found) == []
    # Too few of them, or a loss that may still be there, end nothing.
    for size in (FEW, BAD):
        assert after((120 * DAY, calm(90 * DAY, size)), before=found)[0].finding is not None


def test_later_labels_confirm_it_and_then_it_ends_as_any_other() -> None:
    found = after((100 * DAY, drifted(90 * DAY, 0.6)), (120 * DAY, drifted(90 * DAY, None)))
    [condition] = found
    assert condition.finding is not None
    assert (condition.finding.early, condition.finding.since) == (None, 100 * DAY)
    assert condition.found_until == 90 * DAY
    # A sound week that reaches back before it does not hide it.
    assert after(*((day * DAY, calm((day - 30) * DAY)) for day in (121, 122, 123)), before=found)[0].finding is not None
    assert after((128 * DAY, calm(97 * DAY)), (129 * DAY, calm(98 * DAY)), before=found) == []


def test_what_earlier_releases_stored_is_no_early_finding() -> None:
    stored = msgspec.to_builtins(finding(0, 7 * DAY, None))
    del stored["early"]
    assert msgspec.convert(stored, Finding).early is None
