"""Labels that stop coming are told of, once and until they are back; gaps that are usual are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.performance.evidence import PerformanceEvidence
from modelwatch.monitoring.checks.performance.labels.coverage import judge_coverage
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.times import SECONDS_PER_DAY
from tests.support.background import Taken, background, run_out
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE, SECOND
from tests.support.events import NOON

RULES = PerformanceRules(1.0, SECONDS_PER_DAY, lookbacks=("24h",), min_samples=20)
DRIFT = DriftRules(0.1, 0.25, 0.05, 20, 1.0, ("24h",), SECONDS_PER_DAY, on_new_data=False)
DAY = 24 * HOUR
FIRST = NOON // (SECONDS_PER_DAY * SECOND)


def evidence_of(days: list[tuple[int, int]], predictions: int) -> tuple[PerformanceEvidence, WindowCounts]:
    """Evidence of days, each with predictions and labels, and the window of the day after them."""
    start = (FIRST + len(days)) * SECONDS_PER_DAY
    arrivals = LabelArrivals(1_000, 60.0, 60.0, 60.0, 300, 0.98, ((0.0, 0.5), (300.0, 1.0)))
    found = WindowCounts(Window(start, start + SECONDS_PER_DAY, "24h"), True, 300, predictions, b"", b"")
    evidence = PerformanceEvidence(
        StreamKey("m", "1", "production"),
        RULES,
        1,
        start + SECONDS_PER_DAY + 300,
        start + SECONDS_PER_DAY,
        None,
        1,
        None,
        arrivals,
        0,
        0,
        (found,),
        days=tuple(((FIRST + index) * SECONDS_PER_DAY, *day) for index, day in enumerate(days)),
    )
    return evidence, found


def severity(days: list[tuple[int, int]], predictions: int, labelled: int, alpha: float = 1e-5) -> str:
    return judge_coverage(*evidence_of(days, predictions), labelled, alpha).severity


def test_a_lack_of_labels_is_judged_by_its_size_and_by_chance() -> None:
    usual = [(500, 490)] * 28
    assert severity(usual, 500, 485) == severity(usual, 500, 300) == "stable"
    assert (severity(usual, 500, 200), severity(usual, 500, 25), severity(usual, 500, 0)) == (
        "warning",
        "alert",
        "alert",
    )
    assert severity(usual, 2, 0) == "stable"
    assert severity(usual, 0, 0) == "no_data"
    assert severity([], 500, 0) == severity([(500, 0)] * 20, 500, 0) == "insufficient_data"


def test_a_lack_that_lasts_for_weeks_does_not_become_usual() -> None:
    assert severity([(500, 490)] * 28 + [(500, 25)] * 50, 500, 25) == "alert"


def test_days_that_are_usually_without_labels_are_none() -> None:
    week = [(500, 490)] * 5 + [(500, 0)] * 2
    assert severity(week * 6, 500, 0) == "stable"


def test_chance_alone_is_no_lack_of_labels() -> None:
    rng = np.random.default_rng(4)
    for share in (0.02, 0.1, 0.5):
        for _ in range(100):
            days = [(200, int(labelled)) for labelled in rng.binomial(200, share, 40)]
            assert severity(days, 200, int(rng.binomial(200, share)), 1e-3) in ("stable", "insufficient_data")


def subjects(found: Assessment) -> set[str]:
    return {finding.subject for finding in found.findings}


def test_labels_that_stop_coming_are_told_of_until_they_are_back(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(1_000, 99))
    clock = later(100 * 24)
    for day in range(30):
        at = NOON + day * DAY
        stopped = 16 <= day < 26
        send_labelled(store, clock, outcomes(6 if stopped else 94, day), at=at, label_after=10 * MINUTE, apart=MINUTE)
        if stopped:
            send_labelled(store, clock, outcomes(88, day + 100), at=at + HOUR, label_after=None, apart=MINUTE)
    clock.advance(60)
    taken = Taken()
    run_out(background(store, DRIFT, clock, sink=taken, performance=RULES, provisional_size=10**6))
    found = [each for each in taken.assessments if "performance" in each.kinds]
    told = [
        (each.window_end - NOON // SECOND) / SECONDS_PER_DAY for each in found if "label_coverage" in subjects(each)
    ]
    assert 16 < min(told) <= 18.5
    assert 26 < max(told) <= 29
    # One stretch, without a break.
    assert len(told) == sum(
        min(told) <= (each.window_end - NOON // SECOND) / SECONDS_PER_DAY <= max(told) for each in found
    )
    finding = next(each for assessment in found for each in assessment.findings if each.subject == "label_coverage")
    assert (finding.kind, finding.sample_size) == ("performance", 94)
    assert "have a label (usual at that age: " in finding.detail
    assert "label_coverage" not in subjects(found[-1])
    off = Taken()
    run_out(background(store, DRIFT, clock, sink=off, performance=replace(RULES, label_coverage=False), holder="other"))
    assert all("label_coverage" not in subjects(each) for each in off.assessments)
