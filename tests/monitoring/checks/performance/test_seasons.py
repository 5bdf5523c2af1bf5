"""A labelled reference with time stamps knows how its metrics vary, and what does not stand out of that is no loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.judge import Judgement, LabelledWindow
from modelwatch.monitoring.checks.performance.labels.shift import judge_labels
from modelwatch.monitoring.checks.performance.report import MetricReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.outcomes.natural_variation import NaturalVariation, natural_variation
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import RegressionLayout
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.outcome_references import outcomes_in_force
from tests.proofs.lock import Proofs
from tests.support.background import new_id
from tests.support.data.labelled import later, send_labelled
from tests.support.data.streams import HOUR
from tests.support.events import NOON

DRIFT = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600)
STREAM = StreamKey("m", "1", "production")
LAYOUT = OutcomeLayout("binary", ("no", "yes"), "yes")


def rows(n: int, accuracy: float, rng: np.random.Generator) -> list[Outcome]:
    right, yes = rng.random(n) < accuracy, rng.random(n) < 0.5
    return [
        Outcome("yes" if a == b else "no", None, "yes" if a else "no")
        for a, b in zip(yes.tolist(), right.tolist(), strict=True)
    ]


def set_seasonal_reference(store: Store, *, times: bool) -> None:
    """40 days of 100 rows whose accuracy swings between 0.78 and 0.98."""
    rng = np.random.default_rng(0)
    found = [row for day in range(40) for row in rows(100, 0.88 + 0.1 * math.sin(day / 2.0), rng)]
    frame = ReferenceFrame(
        "m",
        None,
        [ReferenceSample("prediction", "", "categorical", [row.prediction for row in found])],
        truths=[row.truth for row in found],
        timestamps=[NOON - 40 * 24 * HOUR + index * 24 * HOUR // 100 for index in range(4_000)] if times else None,
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


def rated(n: int, rate: float, rng: np.random.Generator) -> list[Outcome]:
    return [Outcome("no", None, "yes" if yes else "no") for yes in (rng.random(n) < rate).tolist()]


def day_of(rng: np.random.Generator, day: int) -> list[Outcome]:
    """A rate that swings between 4 % and 20 % with a period of 30 days."""
    return rated(400, 0.12 + 0.08 * math.sin(2.0 * math.pi * day / 30.0), rng)


def judged(
    reference: OutcomeCounts,
    now: list[Outcome],
    natural: NaturalVariation | None,
    *,
    days: int = 1,
    alpha: float = 1e-4,
) -> Judgement:
    rules = PerformanceRules.of(DRIFT, 0.02)
    window = LabelledWindow(OutcomeCounts.of(LAYOUT, now), {}, None)
    return judge_labels(reference, window, rules, alpha, natural=natural, length=days * 86_400)


def test_seasons_in_the_rate_of_a_class_are_no_label_drift_and_what_stands_out_of_them_is() -> None:
    rng = np.random.default_rng(7)
    known = [row for day in range(120) for row in day_of(rng, day)]
    times = [index * 86_400 // 400 for index in range(len(known))]
    reference = OutcomeCounts.of(LAYOUT, known)
    natural = natural_variation(LAYOUT, known, times, np.random.default_rng(0))
    later_days = [day_of(rng, day) for day in range(365)]
    unaware = sum(judged(reference, day, None).severity != "stable" for day in later_days)
    aware = [judged(reference, day, natural).severity for day in later_days]
    assert unaware > 50
    assert set(aware) == {"stable"}
    low = judged(reference, later_days[22], natural)
    assert low.natural == pytest.approx(0.6, abs=0.15)
    assert "the reference's own variation" in (low.reason or "")
    gone, most = judged(reference, rated(400, 0.0, rng), natural), judged(reference, rated(400, 0.8, rng), natural)
    assert (gone.severity, most.severity) == ("alert", "alert")


def counted(yes: int, n: int) -> OutcomeCounts:
    """Rows that were all predicted to be "no"."""
    vector = np.zeros(LAYOUT.size, dtype=np.int64)
    confusion = LAYOUT.parts["confusion"].place.start
    vector[[LAYOUT.parts["delays"].place.start, confusion, confusion + 3]] = n, n - yes, yes
    return OutcomeCounts(LAYOUT, vector)


def alarms_by_rates_of_days(spread: float) -> float:
    """The share of looks that alarm, at a level of one per cent, over references each of which has its own days."""
    rng = np.random.default_rng(6)
    rules = PerformanceRules.of(DRIFT, 0.02)
    alarms = looks = 0
    for _ in range(5):
        rates = 1.0 / (1.0 + np.exp(-rng.normal(-2.0, spread, 240)))
        known = [row for rate in rates[:40] for row in rated(400, rate, rng)]
        times = [index * 86_400 // 400 for index in range(len(known))]
        natural = natural_variation(LAYOUT, known, times, np.random.default_rng(0))
        reference = OutcomeCounts.of(LAYOUT, known)
        for yes in rng.binomial(400, rates[40:]).tolist():
            window = LabelledWindow(counted(yes, 400), {}, None)
            found = judge_labels(reference, window, rules, 1e-2, natural=natural, length=86_400)
            alarms += found.severity != "stable"
            looks += 1
    return alarms / looks


@pytest.mark.parametrize("spread", [0.15, 0.5])
def test_rates_that_differ_from_day_to_day_at_random_alarm_no_more_than_they_may(proofs: Proofs, spread: float) -> None:
    assert proofs.figures(alarms_by_rates_of_days, spread) <= 1e-2


def test_of_stretches_that_are_too_few_the_longest_known_ones_serve() -> None:
    """40 days have no ten stretches of a week, yet a low season lasts longer than one."""
    rng = np.random.default_rng(8)
    known = [row for day in range(40) for row in day_of(rng, day)]
    natural = natural_variation(
        LAYOUT, known, [index * 86_400 // 400 for index in range(len(known))], np.random.default_rng(0)
    )
    reference = OutcomeCounts.of(LAYOUT, known)
    low = [row for day in range(19, 26) for row in day_of(rng, day)]
    assert judged(reference, low, None, days=7).severity == "warning"
    assert judged(reference, low, natural, days=7).severity == "stable"


def test_seasons_of_the_mean_target_are_no_label_drift() -> None:
    rng = np.random.default_rng(9)
    level = np.repeat(rng.normal(0.0, 2.0, 60), 100)
    known = [Outcome(0.0, None, value) for value in (level + rng.normal(size=6_000)).tolist()]
    layout = OutcomeLayout("regression", regression=RegressionLayout(1.0, 0.0))
    reference = OutcomeCounts.of(layout, known)
    natural = natural_variation(layout, known, [index * 864 for index in range(6_000)], np.random.default_rng(0))

    def severity(mean: float, known: NaturalVariation | None) -> str:
        now = [Outcome(0.0, None, value) for value in rng.normal(mean, 1.0, 500).tolist()]
        window = LabelledWindow.of(OutcomeCounts.of(layout, now), None)
        rules = PerformanceRules.of(DRIFT, 0.02)
        return judge_labels(reference, window, rules, 1e-4, natural=known, length=86_400).severity

    assert (severity(3.0, None), severity(3.0, natural)) == ("alert", "stable")
    assert severity(20.0, natural) == "alert"


def test_label_drift_knows_the_seasons_of_the_stored_reference(store: Store) -> None:
    rng = np.random.default_rng(3)
    known = [row for day in range(40) for row in day_of(rng, day)]
    frame = ReferenceFrame(
        "m",
        None,
        [ReferenceSample("prediction", "", "categorical", [row.prediction for row in known])],
        truths=[row.truth for row in known],
        timestamps=[NOON - 40 * 24 * HOUR + index * 24 * HOUR // 400 for index in range(len(known))],
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)
    send_labelled(store, later(100), rated(600, 0.04, rng), at=NOON)

    def severity(rules: PerformanceRules) -> str | None:
        report = check_performance(store, rules, STREAM, later(100)())
        [window] = [each for each in report.windows if each.matured and each.lookback == "24h"]
        assert window.label_drift is not None
        return window.label_drift.severity

    rules = PerformanceRules.of(DRIFT, 0.02)
    assert severity(rules) == "stable"
    assert severity(rules.with_monitor(parse_monitor({"drift": {"tolerance": "fixed"}}))) == "alert"


def accuracy_now(store: Store, rules: PerformanceRules) -> MetricReport:
    report = check_performance(store, rules, STREAM, later(100)())
    [window] = [each for each in report.windows if each.matured and each.lookback == "24h"]
    return window.metrics["accuracy"]


def test_a_low_season_is_no_loss_where_the_reference_knows_the_seasons(store: Store) -> None:
    rules = PerformanceRules.of(DRIFT, 0.02)
    send_labelled(store, later(100), rows(600, 0.78, np.random.default_rng(5)), at=NOON)
    set_seasonal_reference(store, times=False)
    unaware = accuracy_now(store, rules)
    assert (unaware.severity, unaware.natural) == ("alert", None)
    set_seasonal_reference(store, times=True)
    aware = accuracy_now(store, rules)
    assert aware.severity == "stable"
    assert aware.natural is not None
    assert 0.05 < aware.natural < 0.1
    assert "the reference's own variation" in (aware.reason or "")
    fixed = PerformanceRules.of(DRIFT, 0.02).with_monitor(parse_monitor({"drift": {"tolerance": "fixed"}}))
    assert accuracy_now(store, fixed).severity == "alert"


def test_where_alpha_comes_from_is_said(store: Store) -> None:
    send_labelled(store, later(100), rows(600, 0.88, np.random.default_rng(5)), at=NOON)
    set_seasonal_reference(store, times=False)
    report = check_performance(store, PerformanceRules.of(DRIFT, 0.02), STREAM, later(100)())
    origin = report.alpha_from
    assert origin is not None
    looks = origin.subjects * origin.streams * origin.lookbacks * 30 * 86_400 / origin.seconds
    assert not origin.capped
    assert report.alpha == pytest.approx(origin.false_alarm_budget * origin.share / looks)


def test_a_loss_that_stands_out_of_the_seasons_is_found(store: Store) -> None:
    set_seasonal_reference(store, times=True)
    send_labelled(store, later(100), rows(600, 0.3, np.random.default_rng(5)), at=NOON)
    assert accuracy_now(store, PerformanceRules.of(DRIFT, 0.02)).severity == "alert"


def test_the_seasons_are_still_known_when_another_class_becomes_the_positive_one(store: Store) -> None:
    set_seasonal_reference(store, times=True)

    def known() -> tuple[str | None, float, bool]:
        with store.read() as connection:
            [found] = outcomes_in_force(connection, "m")
        assert found.natural is not None
        accuracy = found.natural.of("accuracy", 86_400)
        assert accuracy is not None
        return found.layout.positive, accuracy.deviation, found.natural.of("recall", 86_400) is not None

    before = known()
    config = parse_monitor({"positive_class": "no"})
    put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)
    assert OutcomeLayouts(store, new_id=new_id).settle("m", NOON)
    after = known()
    assert (before[0], after[0]) == ("yes", "no")
    assert (after[1], after[2]) == (before[1], True)
