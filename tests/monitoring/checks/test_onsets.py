"""When findings began: estimated when they are found, from the stored windows, and kept as they go on."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from modelwatch.alerting.policy import AlertPolicy
from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.quality.check import quality_onsets
from modelwatch.monitoring.checks.quality.evaluation import evaluate_quality
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence, Sample, Volumes, WindowQuality
from modelwatch.monitoring.checks.quality.observations import quality_observations
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY, verdicts_of
from tests.support.alerts.assessments import Desk
from tests.support.background import background, run_out
from tests.support.data.labelled import outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE, SECOND, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import HOURLY_RULES

NOON_S = NOON // SECOND


def found(store: Store, check: str) -> list[list[Finding]]:
    """The findings in force after each evaluation, oldest first."""
    with store.read() as connection:
        verdicts = verdicts_of(connection, "m", check=check, limit=1_000)[::-1]
    conditions = [msgspec.json.decode(each.conditions, type=list[Condition]) for each in verdicts]
    return [[each.finding for each in of_one if each.finding is not None] for of_one in conditions]


def began(store: Store, check: str, subject: str) -> list[int | None]:
    """In minutes after noon, by evaluation that has it."""
    times = [each.began for of_one in found(store, check) for each in of_one if each.subject == subject]
    return [None if time is None else (time - NOON_S) // 60 for time in times]


@pytest.mark.both_engines
def test_a_drift_began_with_the_first_window_of_what_is_different(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    send_hours(store, clock, 30, shift_from=20)
    # Half of the hour in which it begins is as before, and it is found at its end.
    send(store, clock, normal(400, seed=5), at=NOON + 19 * HOUR + 10 * MINUTE)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    known = began(store, DRIFT, "x")
    assert known == [20 * 60] * len(known)
    assert len(known) >= 9


def test_a_small_drift_that_is_found_late_began_before_it_was_found(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(20_000, seed=99))
    for hour in range(40):
        send(store, clock, normal(100, 0.45 if hour >= 25 else 0.0, seed=hour), at=NOON + hour * HOUR)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    [first, *_] = [each for of_one in found(store, DRIFT) for each in of_one]
    assert first.detected_at is not None
    assert first.began is not None
    assert first.began < first.detected_at
    assert abs(first.began - (NOON_S + 25 * 3_600)) <= 2 * 3_600


@pytest.mark.parametrize(("hours", "minutes"), [(30, 0), (60, None)])
def test_where_everything_known_is_different_it_began_with_the_stream_or_nobody_knows(
    store: Store, hours: int, minutes: int | None
) -> None:
    clock = Clock(NOON + 300 * HOUR)
    loop = background(store, HOURLY_RULES, clock, provisional_size=1_000_000)
    send_hours(store, clock, hours)
    finish(clock)
    run_out(loop)
    set_reference(store, normal(5_000, 1.5, seed=99))
    run_out(loop)
    assert began(store, DRIFT, "x") == [minutes]


@pytest.mark.both_engines
def test_missing_values_began_with_the_first_of_them(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    for hour in range(12):
        values = normal(200, seed=hour)
        gaps = values if hour < 8 else [value if index % 3 else None for index, value in enumerate(values)]
        send(store, clock, gaps, at=NOON + hour * HOUR)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock, quality=QualityRules.of(HOURLY_RULES)))
    known = began(store, QUALITY, "x: missing")
    assert known
    assert set(known) == {8 * 60}


@pytest.mark.both_engines
def test_a_loss_of_accuracy_began_when_predictions_began_to_be_wrong(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    watch_yes(store)
    set_labelled_reference(store, outcomes(20_000, seed=9))
    for hour in range(20):
        rows = outcomes(150, seed=hour, flipped=0.35 if hour >= 14 else 0.0)
        send_labelled(store, clock, rows, at=NOON + hour * HOUR, label_after=10 * MINUTE)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    known = began(store, PERFORMANCE, "accuracy")
    assert known
    assert set(known) == {14 * 60}


def test_errors_of_a_regression_began_with_the_window_in_which_they_grew(store: Store) -> None:
    def rows(n: int, seed: int, off: float) -> list[Outcome]:
        rng = np.random.default_rng(seed)
        truth = rng.normal(100.0, 20.0, n)
        said = truth + rng.normal(0.0, off, n)
        return [Outcome(p, None, y) for p, y in zip(said.tolist(), truth.tolist(), strict=True)]

    clock = Clock(NOON + 200 * HOUR)
    set_labelled_reference(store, rows(10_000, 99, 5.0), "continuous")
    for hour in range(20):
        found_off = 8.0 if hour >= 14 else 5.0
        send_labelled(store, clock, rows(150, hour, found_off), at=NOON + hour * HOUR, label_after=10 * MINUTE)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    for metric in ("mae", "rmse"):
        known = began(store, PERFORMANCE, metric)
        assert known, metric
        assert set(known) == {14 * 60}


@pytest.mark.both_engines
def test_repeats_that_differ_began_with_the_window_of_the_first_of_many(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    ledger = open_ledger(store, clock)
    for hour in range(12):
        for again in range(2 if hour >= 8 else 1):
            ledger.commit(
                [
                    event(f"{hour}-{index}", {"x": value + again}, timestamp=NOON + hour * HOUR + index * SECOND)
                    for index, value in enumerate(normal(200, seed=hour))
                ]
            )
    ledger.close()
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock, quality=QualityRules.of(HOURLY_RULES)))
    known = began(store, QUALITY, "duplicates")
    assert known
    assert set(known) == {8 * 60}


@pytest.mark.both_engines
def test_an_extreme_value_began_with_the_first_one(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    for hour in range(12):
        values = normal(200, seed=hour)
        # Far outside at 6:10, and farther at 9:10.
        far = {6: 900.0, 9: 9_000.0}.get(hour)
        send(store, clock, values, at=NOON + hour * HOUR)
        if far is not None:
            send(store, clock, [far], at=NOON + hour * HOUR + 10 * MINUTE)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock, quality=QualityRules.of(HOURLY_RULES)))
    known = began(store, QUALITY, "x: extreme")
    assert known
    assert set(known) == {6 * 60 + 10}


def test_a_volume_began_to_be_unusual_with_the_hour_in_which_it_fell(store: Store) -> None:
    rng = np.random.default_rng(3)
    usual = 60 + 50 * np.sin(np.arange(168) / 24 * 2 * np.pi)
    earlier = tuple(tuple(rng.poisson(usual).tolist()) for _ in range(6))
    week = rng.poisson(usual)
    # Half as much in the last twenty hours.
    week[-20:] //= 2
    last = NOON_S // 3_600 * 3_600
    evidence = QualityEvidence(
        stream=("m", "1", "production"),
        rules=QualityRules.of(HOURLY_RULES),
        generation=0,
        watermark=last + 1_200,
        streams=1,
        elapsed=None,
        reference={},
        reference_ids={},
        complete=True,
        windows=(WindowQuality("24h", last - 86_400, last, 0, 0, {}),),
        volumes=Volumes(earlier, tuple(week.tolist())),
        sample=Sample(0, {}, {}),
    )
    [volume] = [each for each in quality_observations(evaluate_quality(evidence)) if each.name == "volume of 24h"]
    assert volume.finding is not None
    condition = Condition("volume", volume.name, "", "1", finding=volume.finding)
    with store.read() as connection:
        known = quality_onsets(connection, StreamKey("m", "1", "production"), evidence, [condition], last)
    assert known == {("volume", "volume of 24h"): last - 20 * 3_600}


def test_what_is_told_of_a_drift_has_the_largest_psi_that_led_to_it(store: Store) -> None:
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    send_hours(store, clock, 12, shift_from=8)
    finish(clock)
    desk = Desk(store, AlertPolicy(channels=("hook",)))
    run_out(background(store, HOURLY_RULES, clock, sink=desk.book))
    [first, *_] = desk.sent()
    trend = first.notice.trend
    assert trend is not None
    assert (trend.name, trend.warning, trend.alert, len(trend.values)) == ("Largest PSI", 0.1, 0.25, 9)
    assert max(trend.values[:-1]) < 0.1 < 0.25 < trend.values[-1]
