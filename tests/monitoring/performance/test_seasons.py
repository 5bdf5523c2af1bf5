"""A labelled reference with time stamps knows how its metrics vary, and what does not stand out of that is no loss."""

from __future__ import annotations

import math

import numpy as np

from modelwatch.config.monitors import parse_monitor
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.reports import MetricReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.outcomes.outcomes import Outcome
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.outcome_references import outcomes_in_force
from tests.support.background import new_id
from tests.support.events import NOON
from tests.support.labelled import later, send_labelled
from tests.support.streams import HOUR

DRIFT = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600)
STREAM = StreamKey("m", "1", "production")


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
