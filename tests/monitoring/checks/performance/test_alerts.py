"""From labels to the people who are told: the evaluations on a store, with the book of alerts that they write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from modelwatch.alerting.alert import Alert
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.evaluation import PERFORMANCE_KINDS
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import Desk
from tests.support.background import background, run_out
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE
from tests.support.events import NOON

DRIFT = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600, on_new_data=False)
RULES = replace(PerformanceRules.of(DRIFT, 0.02), lookbacks=("1h", "6h"))


def alerts_of(store: Store, hours: Sequence[Sequence[Outcome]], rules: PerformanceRules = RULES) -> dict[str, Alert]:
    """By kind, the alerts about performance and truth after these hours, whose labels come ten minutes later."""
    clock = later(100)
    for hour, rows in enumerate(hours):
        send_labelled(store, clock, rows, at=NOON + hour * HOUR, label_after=10 * MINUTE)
    desk = Desk(store, clock=clock)
    run_out(background(store, DRIFT, clock, sink=desk.book, performance=rules))
    found = [alert for alert in desk.alerts() if alert.kind in PERFORMANCE_KINDS]
    assert len({alert.kind for alert in found}) == len(found), "one incident of each kind"
    return {alert.kind: alert for alert in found}


def subjects(alert: Alert) -> set[str]:
    return {member.finding.subject for member in alert.members}


def calibrated(n: int, seed: int) -> list[Outcome]:
    """Scores that are as often right as they say."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.05, 0.95, n)
    truths = rng.random(n) < scores
    return [
        Outcome("yes" if score > 0.5 else "no", score, "yes" if truth else "no")
        for score, truth in zip(scores.tolist(), truths.tolist(), strict=True)
    ]


def far_too_sure(rows: Sequence[Outcome]) -> list[Outcome]:
    """The same predictions in the same order of scores, which now claim to be nearly certain."""
    found = []
    for row in rows:
        assert isinstance(row.probability, float)
        found.append(row._replace(probability=1.0 / (1.0 + (1.0 / row.probability - 1.0) ** 22)))
    return found


def test_a_log_loss_that_grows_fivefold_while_the_area_holds_is_told(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, calibrated(5_000, 99))
    sound = [calibrated(200, hour) for hour in range(6)]
    told = alerts_of(store, [*sound, *(far_too_sure(calibrated(200, hour)) for hour in range(6, 12))])
    assert told.keys() == {"performance"}
    assert subjects(told["performance"]) == {"log_loss"}
    assert (told["performance"].state, told["performance"].severity) == ("firing", "alert")
    report = check_performance(store, RULES, StreamKey("m", "1", "production"), later(100)())
    [window] = [each for each in report.windows if each.matured and each.lookback == "1h"]
    loss, area = window.metrics["log_loss"], window.metrics["roc_auc"]
    assert loss.value is not None
    assert loss.reference is not None
    assert loss.value > 5.0 * loss.reference
    assert area.severity == "stable"


def mixed(n: int, seed: int, share: float) -> list[Outcome]:
    """Rows of a model that is nearly always right, of which this share is truly `yes`."""
    rows = outcomes(20 * n, seed, spread=0.05)
    yes, no = ([row for row in rows if row.truth == truth] for truth in ("yes", "no"))
    return [*yes[: round(share * n)], *no[: n - round(share * n)]]


def test_a_base_rate_that_moves_while_the_model_stays_right_is_label_drift(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(4_000, 99, spread=0.05))
    even, rare = ([mixed(200, hour, share) for hour in range(6)] for share in (0.5, 0.1))
    told = alerts_of(store, [*even, *rare])
    assert subjects(told["label_drift"]) == {"ground_truth"}
    assert "of labels are" in told["label_drift"].members[0].finding.detail
    assert "accuracy" not in (subjects(told["performance"]) if "performance" in told else set())


def test_a_floor_is_told_of_without_a_reference_and_is_over_when_it_is_kept_again(store: Store) -> None:
    watch_yes(store)
    rules = RULES.with_monitor(parse_monitor({"performance": {"limits": {"accuracy": 0.85}, "lookbacks": ["1h"]}}))
    broken = range(6, 9)
    hours = [outcomes(200, hour, spread=0.1, flipped=0.5 if hour in broken else 0.0) for hour in range(14)]
    told = alerts_of(store, hours, rules)
    assert told.keys() == {"performance"}
    alert = told["performance"]
    assert (alert.state, alert.severity, subjects(alert)) == ("resolved", "alert", {"accuracy"})
    assert "the limit is 85.0 %" in alert.members[0].finding.detail
