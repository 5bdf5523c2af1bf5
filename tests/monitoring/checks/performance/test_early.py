"""A loss is found on half of the labels, marked early, where these say the same as the later ones; only there."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from modelwatch.findings import Assessment, Finding
from modelwatch.monitoring.checks.performance.early.check import EarlyResult, evaluate_early, judge_early
from modelwatch.monitoring.checks.performance.early.evidence import EarlyCounts
from modelwatch.monitoring.checks.performance.evaluation import evaluate_performance
from modelwatch.monitoring.checks.performance.evidence import (
    PerformanceInputs,
    decode_performance,
    encode_performance,
    gather_performance,
)
from modelwatch.monitoring.checks.performance.judge import LabelledWindow
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.observations import performance_observations
from modelwatch.monitoring.checks.performance.report import PerformanceReport
from modelwatch.monitoring.checks.performance.report_building import performance_report
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, verdicts_of
from tests.support.background import Taken, background, run_out
from tests.support.data.labelled import outcomes, set_labelled_reference, watch_yes
from tests.support.data.late_labels import DAY, DAY_SECONDS, like_any_other, send_days
from tests.support.data.streams import SECOND
from tests.support.events import NOON, Clock, open_ledger

STREAM = StreamKey("m", "1", "production")
DRIFT = DriftRules(0.1, 0.25, 0.05, 60, 1.0, ("7d",), DAY_SECONDS, on_new_data=False)
RULES = replace(PerformanceRules.of(DRIFT, 0.05), lookbacks=("24h", "7d"))
ARRIVALS = LabelArrivals(1_000, 1.0, 2.0, 3.0, 300, 1.0, ((0.0, 0.5), (300.0, 0.9)))


def numbers(n: int, seed: int, *, error: float = 1.0, bias: float = 0.0) -> list[Outcome]:
    """A regression: targets around 100, and predictions with an error of this deviation."""
    rng = np.random.default_rng(seed)
    truths = rng.normal(100.0, 10.0, n)
    return [
        Outcome(truth + off, None, truth)
        for truth, off in zip(truths.tolist(), rng.normal(bias, error, n).tolist(), strict=True)
    ]


def look(
    reference: list[Outcome],
    early: list[Outcome],
    late: list[Outcome],
    now: list[Outcome],
    *,
    names: tuple[str, ...],
    arrivals: LabelArrivals = ARRIVALS,
    layout: OutcomeLayout | None = None,
) -> tuple[EarlyResult, dict[str, str]]:
    """The look at a window with these labels, and the severity of each metric."""
    if layout is None:
        layout = outcome_layout([row.prediction for row in reference], [row.truth for row in reference], (), "yes")
    whole, *sides = (OutcomeCounts.of(layout, rows) for rows in (reference, early, late, now))
    found = WindowCounts(Window(0, DAY_SECONDS, "24h"), False, 0, int(len(now) / 0.6), b"", b"")
    counts = EarlyCounts(found, 0, DAY_SECONDS, *(encode_sparse(side.vector) for side in sides[:2]))
    seen = evaluate_early(counts, LabelledWindow.of(sides[2], "young"), whole, RULES, names, arrivals)
    return seen, {name: judge_early(name, seen, whole, RULES, 1e-4, None).severity for name in names}


SHARES = ("accuracy", "precision", "recall", "f1")


def test_a_loss_is_found_and_no_loss_is_never_called_stable() -> None:
    older = outcomes(5_000, 1), outcomes(3_000, 2)
    seen, found = look(outcomes(5_000, 0), *older, outcomes(1_000, 3, flipped=0.3), names=SHARES)
    assert (seen.reason, seen.severity) == (None, None)
    assert seen.independence.bounded == set(SHARES)
    assert set(found.values()) == {"alert"}
    assert set(look(outcomes(5_000, 0), *older, outcomes(1_000, 3), names=SHARES)[1].values()) == {"immature"}


def test_the_thresholds_that_are_shown_are_those_that_decide() -> None:
    layout = outcome_layout(["yes", "no"], ["yes", "no"], (), "yes")
    whole = OutcomeCounts.of(layout, outcomes(20_000, 0))
    older = [encode_sparse(OutcomeCounts.of(layout, outcomes(10_000, seed)).vector) for seed in (1, 2)]
    found = WindowCounts(Window(0, DAY_SECONDS, "24h"), False, 0, 16_000, b"", b"")
    severities = set()
    for flipped in (0.05, 0.09, 0.12, 0.15, 0.2):
        now = LabelledWindow.of(OutcomeCounts.of(layout, outcomes(10_000, 3, flipped=flipped)), "young")
        seen = evaluate_early(EarlyCounts(found, 0, 1, *older), now, whole, RULES, SHARES, ARRIVALS)
        judged = judge_early("accuracy", seen, whole, RULES, 1e-4, None)
        assert (judged.warning_threshold, judged.alert_threshold) == pytest.approx((0.075, 0.125))
        assert judged.loss is not None
        expected = "alert" if judged.loss >= 0.125 else "warning" if judged.loss >= 0.075 else "immature"
        assert judged.severity == expected
        severities.add(judged.severity)
    assert severities == {"immature", "warning", "alert"}


def test_nothing_is_judged_early_where_the_delay_depends_on_the_labels() -> None:
    rows = outcomes(9_000, 1)
    worse = outcomes(1_000, 3, flipped=0.3)
    sooner = [row for index, row in enumerate(rows) if row.truth == "yes" or index % 2]
    later = [row for index, row in enumerate(rows) if row.truth == "no" and not index % 2]
    for early, late in ((sooner, later), (later, sooner)):
        seen, found = look(outcomes(5_000, 0), early, late, worse, names=SHARES)
        assert "depends on the label" in (seen.reason or "")
        assert set(found.values()) == {"immature"}
    wrong = [row for index, row in enumerate(rows) if row.truth != row.prediction or index % 5]
    right = [row for index, row in enumerate(rows) if row.truth == row.prediction and not index % 5]
    assert look(outcomes(5_000, 0), wrong, right, worse, names=SHARES)[0].reason is not None


def test_nothing_is_judged_early_by_too_few_older_labels_or_too_few_of_its_own() -> None:
    reference, worse = outcomes(5_000, 0), outcomes(1_000, 3, flipped=0.3)
    seen, found = look(reference, outcomes(300, 1), outcomes(200, 2), worse, names=SHARES)
    assert seen.reason == "Too few older labels to bound the bias of early ones."
    assert set(found.values()) == {"immature"}
    assert "too few to test" in (look(reference, outcomes(300, 1), [], worse, names=SHARES)[0].reason or "")
    older = outcomes(5_000, 1), outcomes(3_000, 2)
    few = look(reference, *older, worse[:50], names=SHARES)[0]
    assert few.reason == "50 of at least 60 labelled predictions."
    slow = replace_arrivals(((0.0, 0.3), (300.0, 0.9)))
    assert "about 30.0 % of the eventual labels" in (
        look(reference, *older, worse, names=SHARES, arrivals=slow)[0].reason or ""
    )
    new = replace_arrivals(ARRIVALS.shares, history=600)
    assert "the typical delay is known after" in (
        look(reference, *older, worse, names=SHARES, arrivals=new)[0].reason or ""
    )


def replace_arrivals(shares: tuple[tuple[float, float], ...], history: int = 0) -> LabelArrivals:
    return LabelArrivals(1_000, 1.0, 2.0, 3.0, 300, 1.0, shares, history=history)


def test_the_errors_of_a_regression_are_judged_early_by_the_same_rule() -> None:
    names = ("mae", "rmse", "mean_error")
    reference, older = numbers(5_000, 0), (numbers(6_000, 11), numbers(4_000, 12))
    seen, found = look(reference, *older, numbers(1_000, 3, error=2.0), names=names)
    assert seen.reason is None
    assert (found["mae"], found["rmse"], found["mean_error"]) == ("alert", "alert", "immature")
    assert look(reference, *older, numbers(1_000, 3, bias=1.0), names=names)[1]["mean_error"] == "alert"
    assert set(look(reference, *older, numbers(1_000, 3), names=names)[1].values()) == {"immature"}
    for early, late in (
        (numbers(6_000, 1, error=1.2), numbers(4_000, 2)),
        (numbers(6_000, 1, bias=0.2), numbers(4_000, 2, bias=-0.3)),
    ):
        seen, found = look(reference, early, late, numbers(1_000, 3, error=2.0), names=names)
        assert "depends on the label" in (seen.reason or "")
        assert set(found.values()) == {"immature"}


def report_of(inputs: PerformanceInputs) -> PerformanceReport:
    return performance_report(evaluate_performance(inputs))


def as_of(store: Store, day: int, rules: PerformanceRules = RULES) -> PerformanceInputs:
    return gather_performance(store, rules, STREAM, NOON // SECOND + day * DAY_SECONDS, as_known_then=True)


def test_a_loss_is_found_weeks_sooner_where_labels_take_a_month(store: Store) -> None:
    """On day 17 after the change; all of the labels show it on day 41."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(4_000, 99))
    changed = 180
    send_days(
        store, like_any_other(15.0), days=230, a_day=60, flipped=lambda day: 0.25 if day >= changed else 0.0, seed=1
    )
    before = report_of(as_of(store, changed + 8))
    assert before.early
    assert (before.severity, before.early.reason, before.early.window.severity) == ("stable", None, None)
    assert {metric.severity for metric in before.early.window.metrics.values()} <= {None, "immature"}

    inputs = as_of(store, changed + 17)
    report = report_of(inputs)
    assert report.early
    assert report.early.decides
    assert report.severity == report.early.window.severity == "warning"
    assert report.worst == ["f1", "roc_auc"]
    assert _waits(report)
    assert 0.5 < report.early.labelled_share < 0.75
    assert report.early.compared_early > report.early.compared_late > 1_000
    found = {each.name: each for each in performance_observations(evaluate_performance(inputs))}["f1"]
    assert found.state == "drifted"
    assert found.finding is not None
    assert found.finding.early == report.early.labelled_share
    assert found.finding.detail.endswith(f"early: on {100 * found.finding.early:.1f} % of the usual labels")

    assert [_waits(report_of(as_of(store, changed + day))) for day in (34, 40, 41)] == [True, True, False]
    # A label that comes from now on changes nothing of it, and the evidence is all that it is made of.
    again = decode_performance(encode_performance(inputs.evidence))
    assert again == inputs.evidence
    assert report_of(replace(inputs, evidence=again)) == report
    assert as_of(store, changed + 17, replace(RULES, early=False)).evidence.early is None


def _waits(report: PerformanceReport) -> bool:
    """Whether no matured window shows a loss."""
    return all(window.severity not in ("warning", "alert") for window in report.windows)


def test_quick_labels_have_no_early_verdict(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    send_days(store, like_any_other(0.05), days=12, a_day=100)
    report = report_of(as_of(store, 11))
    assert report.early is not None
    assert not report.early


def test_a_label_that_is_corrected_is_as_late_as_its_correction(store: Store) -> None:
    """All are said to be `no` soon, and the others are corrected later: what the first labels say would mislead."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    _, labels = send_days(store, like_any_other(2.0), days=60, a_day=80)
    assert report_of(as_of(store, 55)).early.reason is None  # type: ignore[union-attr]
    first = [msgspec.structs.replace(label, value="no", timestamp=label.timestamp - DAY // 24) for label in labels]
    late = [
        msgspec.structs.replace(label, timestamp=label.timestamp + 5 * DAY) for label in labels if label.value == "yes"
    ]
    ledger = open_ledger(store, Clock(NOON + 200 * DAY), prefix="again")
    ledger.commit([], [*first, *late])
    ledger.close()
    report = report_of(as_of(store, 55))
    assert report.early
    assert "depends on the label" in (report.early.reason or "")
    assert not report.early.decides


def test_the_verdict_on_all_labels_ends_what_was_found_early(store: Store) -> None:
    """For four days the wrong ones come at once and most others late, which never was so before: that misleads, until
    the others are in."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(4_000, 99))
    strange = range(30, 34)

    def known(rng: np.random.Generator, row: Outcome, day: int) -> float:
        if day not in strange:
            return float(rng.exponential(2.0))
        if row.prediction != row.truth:
            return 0.0
        return float(rng.uniform(0.0, 1.0) if rng.random() < 0.4 else rng.uniform(4.0, 5.0))

    send_days(store, known, days=42, a_day=200, seed=3)
    taken, every = Taken(), 2 * DAY_SECONDS
    drift = replace(DRIFT, check_interval=every)
    rules = replace(
        RULES, check_interval=every, metrics=("accuracy",), lookbacks=("2d",), label_drift=False, label_coverage=False
    )
    run_out(background(store, drift, Clock(NOON + 300 * DAY), sink=taken, performance=rules, provisional_size=10**6))
    told = [each for each in taken.assessments if "performance" in each.kinds]
    found = {days_of(each.window_end): early_of(each) for each in told if each.findings}
    assert strange.start < min(found) < strange.stop + 3
    assert all(found.values())
    # It stays until all labels of its last window count, and not much longer.
    last = max(days_of(early.window_end) for findings in found.values() for early in findings)
    ended = min(end for end in (days_of(each.window_end) for each in told) if end > max(found))
    assert last + 4 < ended < last + 10
    assert not told[-1].findings
    with store.read() as connection:
        verdicts = verdicts_of(connection, "m", check=PERFORMANCE, limit=1_000)
    early = [verdict for verdict in verdicts if b'"decides":true' in bytes(verdict.result)]
    assert {verdict.severity for verdict in early} <= {"warning", "alert"}
    assert {verify_verdict(store, verdict.id).outcome for verdict in early} == {"reproduced"}


def days_of(seconds: int) -> float:
    return (seconds - NOON // SECOND) / DAY_SECONDS


def early_of(found: Assessment) -> list[Finding]:
    return [each for each in found.findings if each.early is not None]
