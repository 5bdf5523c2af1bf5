"""Judgements on metrics: worse by enough to matter, and not by chance; limits; the truth itself; never a NaN."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.monitoring.checks.performance.judge import Judgement, LabelledWindow, judge_metric
from modelwatch.monitoring.checks.performance.labels.shift import LABELS, judge_labels
from modelwatch.monitoring.checks.performance.report_building import metric_report
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate, RegressionLayout, performance
from tests.support.data.labelled import outcomes

RULES = PerformanceRules(budget=1.0, check_interval=3_600)
NAMING = PerformanceRules(budget=1.0, check_interval=3_600, names_shifted=True)
ALPHA = 1e-4
BINARY = OutcomeLayout("binary", ("no", "yes"), "yes", "positive")
CLASSES = OutcomeLayout("multiclass", ("a", "b", "c"), class_scores=True)
NUMBERS = OutcomeLayout("regression", regression=RegressionLayout.of(np.arange(100.0)))


def binary(rows: list[Outcome]) -> OutcomeCounts:
    return OutcomeCounts.of(BINARY, rows)


def right(hits: int, of: int) -> OutcomeCounts:
    """So many right ones of so many, half of each class, with no scores."""
    rows = []
    for index in range(of):
        truth, other = ("yes", "no") if index % 2 else ("no", "yes")
        rows.append(Outcome(truth if index < hits else other, None, truth))
    return binary(rows)


def numbers(errors: list[float], targets: list[float]) -> OutcomeCounts:
    rows = [Outcome(target + error, None, target) for error, target in zip(errors, targets, strict=True)]
    return OutcomeCounts.of(NUMBERS, rows)


def judge(
    name: str,
    reference: OutcomeCounts | None,
    current: OutcomeCounts,
    *,
    rules: PerformanceRules = RULES,
    immature: str | None = None,
) -> Judgement:
    return judge_metric(name, reference, LabelledWindow.of(current, immature), rules, ALPHA)


REFERENCE = right(9_000, 10_000)


@pytest.mark.parametrize(
    ("hits", "severity"), [(9_000, "stable"), (8_810, "stable"), (8_790, "warning"), (8_590, "alert"), (0, "alert")]
)
def test_a_loss_is_a_warning_from_the_tolerance_on_and_an_alert_from_twice_as_much(hits: int, severity: str) -> None:
    found = judge("accuracy", REFERENCE, right(hits, 10_000))
    assert (found.severity, found.threshold) == (severity, 0.04 if severity == "alert" else 0.02)
    assert (found.warning_threshold, found.alert_threshold) == (0.02, 0.04)
    assert found.loss == pytest.approx(0.9 - hits / 10_000)
    assert found.estimate.value == hits / 10_000


def test_a_loss_that_chance_explains_is_none_and_says_so() -> None:
    found = judge("accuracy", REFERENCE, right(102, 120))
    assert found.severity == "stable"
    assert found.reason is not None
    assert found.reason.startswith("Worse by 5 points, but explained by chance")


def test_a_real_loss_below_the_tolerance_is_none_and_says_so() -> None:
    def a_hundred_times(counts: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(counts.layout, counts.vector * 100)

    found = judge("accuracy", a_hundred_times(right(9_000, 10_000)), a_hundred_times(right(8_900, 10_000)))
    assert (found.severity, found.p_value is not None and found.p_value < 1e-9) == ("stable", True)
    assert found.reason is not None
    assert "smaller than the tolerance of 2 points" in found.reason


def test_getting_better_is_stable() -> None:
    found = judge("accuracy", REFERENCE, right(10_000, 10_000))
    assert (found.severity, found.change) == ("stable", pytest.approx(0.1))


def test_what_can_not_be_judged_says_why() -> None:
    assert judge("accuracy", REFERENCE, right(0, 0)).severity == "no_data"
    few = judge("accuracy", REFERENCE, right(36, 40))
    assert few.severity == "insufficient_data"
    assert few.reason == "40 of at least 100 labelled predictions: 60 more are needed."
    young = judge("accuracy", REFERENCE, right(0, 1_000), immature="the labels have not come")
    assert (young.severity, young.reason) == ("immature", "the labels have not come")
    for nothing in (None, OutcomeCounts.empty(BINARY)):
        assert judge("accuracy", nothing, right(0, 1_000)).severity == "no_reference"


def test_an_undefined_metric_is_undecided_with_its_reason() -> None:
    negatives = binary([Outcome("no", None, "no")] * 200)
    found = judge("precision", REFERENCE, negatives)
    assert (found.severity, found.estimate.value, found.reason) == (
        "insufficient_data",
        None,
        "class yes was never predicted",
    )
    assert judge("mae", REFERENCE, negatives).reason == "the task has no such metric"


def test_metrics_that_are_refused_in_a_window_are_not_judged_by_its_counts() -> None:
    reference, current = binary(outcomes(2_000)), binary(outcomes(2_000, 1, flipped=0.5))
    window = LabelledWindow.of(current, None)
    refused = LabelledWindow(current, {**window.metrics, "log_loss": Estimate(None, reason="of which class?")}, None)
    assert judge_metric("log_loss", reference, window, RULES, ALPHA).severity == "alert"
    found = judge_metric("log_loss", reference, refused, RULES, ALPHA)
    assert (found.severity, found.loss, found.reason) == ("insufficient_data", None, "of which class?")


def test_a_log_loss_that_grows_fivefold_while_the_ranking_holds_is_an_alert() -> None:
    rng = np.random.default_rng(3)
    score = rng.uniform(0.05, 0.95, 5_000)
    truth = np.where(rng.random(5_000) < score, "yes", "no").tolist()
    said = np.where(score > 0.5, "yes", "no").tolist()
    # The same order, and far too sure of it.
    sure = 1.0 / (1.0 + (1.0 / score - 1.0) ** 12)
    reference, current = (
        binary([Outcome(a, float(b), c) for a, b, c in zip(said, scores, truth, strict=True)])
        for scores in (score, sure)
    )
    assert judge("roc_auc", reference, current).severity == "stable"
    found = judge("log_loss", reference, current)
    assert found.severity == "alert"
    assert found.estimate.value is not None
    assert found.reference is not None
    assert found.estimate.value > 3 * found.reference


def test_the_tolerance_of_a_loss_is_a_share_of_the_reference_and_of_a_bias_one_of_the_error() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(50, 10, 2_000).tolist()
    reference = numbers(rng.normal(0, 4, 2_000).tolist(), targets)
    same = numbers(rng.normal(0, 4, 2_000).tolist(), targets)
    wider = numbers(rng.normal(0, 6, 2_000).tolist(), targets)
    biased = numbers(rng.normal(-2, 4, 2_000).tolist(), targets)
    for name in ("mae", "rmse", "mean_error"):
        assert judge(name, reference, same).severity == "stable"
    assert judge("mae", reference, wider).warning_threshold == pytest.approx(0.1 * 4 * math.sqrt(2 / math.pi), rel=0.05)
    assert judge("mae", reference, wider).severity == judge("rmse", reference, wider).severity == "alert"
    assert judge("mean_error", reference, wider).severity == "stable"
    bias = judge("mean_error", reference, biased)
    assert bias.threshold == judge("mae", reference, wider).threshold
    assert bias.severity == "alert"
    assert bias.estimate.value == pytest.approx(-2, abs=0.3)


@pytest.mark.parametrize("reference", [None, REFERENCE, right(800, 1_000)])
def test_beyond_a_limit_with_its_whole_interval_is_an_alert_whatever_the_reference(
    reference: OutcomeCounts | None,
) -> None:
    rules = PerformanceRules(1.0, 3_600, limits={"accuracy": 0.85})
    found = judge("accuracy", reference, right(800, 1_000), rules=rules)
    assert (found.severity, found.by_limit, found.threshold) == ("alert", True, 0.0)
    assert found.loss == pytest.approx(0.05)
    # 0.84 (0.79 to 0.88) may well be 0.85.
    near = judge("accuracy", None, right(210, 250), rules=rules)
    assert (near.severity, near.by_limit) == ("stable", False)


@pytest.mark.parametrize(
    ("name", "limit", "severity"),
    [("mae", 3.0, "alert"), ("mae", 9.0, "stable"), ("mean_error", 1.0, "alert"), ("mean_error", 3.0, "stable")],
)
def test_of_an_error_the_limit_is_a_ceiling_on_its_size(name: str, limit: float, severity: str) -> None:
    rng = np.random.default_rng(0)
    current = numbers(rng.normal(-2, 5, 1_000).tolist(), rng.normal(50, 10, 1_000).tolist())
    rules = PerformanceRules(1.0, 3_600, limits={name: limit})
    found = judge(name, None, current, rules=rules)
    assert (found.severity, found.by_limit) == (severity, severity == "alert")


def test_a_limit_that_is_kept_is_stable_where_the_reference_can_not_be_compared_with() -> None:
    """What the limit raised could never end otherwise."""
    rules = PerformanceRules(1.0, 3_600, limits={"roc_auc": 0.8})
    current = binary(outcomes(1_000))
    assert judge("roc_auc", REFERENCE, current, rules=rules).severity == "stable"
    assert judge("roc_auc", REFERENCE, current).severity == "insufficient_data"


def labels(reference: OutcomeCounts | None, current: OutcomeCounts) -> Judgement:
    return judge_labels(reference, LabelledWindow.of(current, None), RULES, ALPHA)


def base_rate(positives: int, of: int) -> OutcomeCounts:
    return binary([Outcome("no", None, "yes" if index < positives else "no") for index in range(of)])


@pytest.mark.parametrize(
    ("positives", "severity"), [(300, "stable"), (330, "stable"), (460, "warning"), (600, "alert")]
)
def test_the_base_rate_is_judged_as_drift_is(positives: int, severity: str) -> None:
    found = labels(base_rate(3_000, 10_000), base_rate(positives, 1_000))
    assert found.severity == severity
    share = positives / 1_000
    psi = (share - 0.3) * math.log(share / 0.3) + (0.3 - share) * math.log((1 - share) / 0.7)
    assert found.loss == pytest.approx(psi)


@pytest.mark.parametrize(
    ("now", "of", "severity", "by_odds"),
    [(500, 10_000, "stable", False), (1_100, 10_000, "warning", True), (2_200, 10_000, "alert", False)],
)
def test_a_rare_class_is_judged_by_its_odds_as_well(now: int, of: int, severity: str, by_odds: bool) -> None:
    """From 5 % to 11 % is a PSI of 0.05 only."""
    found = labels(base_rate(1_000, 20_000), base_rate(now, of))
    assert (found.severity, found.by_odds) == (severity, by_odds)
    assert found.odds_ratio is not None
    if by_odds:
        assert found.loss == found.odds_ratio == pytest.approx(2.35, abs=0.01)
        assert found.threshold == 2.0
        assert metric_report(found.estimate, found).odds_ratio == found.odds_ratio
    assert metric_report(found.estimate, found).odds_class == ("yes" if by_odds else msgspec.UNSET)


def test_a_rare_class_that_moved_by_chance_alone_is_no_drift() -> None:
    found = labels(base_rate(1_000, 20_000), base_rate(11, 100))
    assert (found.severity, found.by_odds) == ("stable", False)
    assert found.odds_ratio is not None
    assert found.odds_ratio > 2.0
    assert found.p_value is not None
    assert found.p_value > ALPHA


def test_a_class_that_moves_further_is_never_taken_for_less_serious() -> None:
    """From 1 % to 5 % the odds tell of an alert while the PSI is small; at 8 % the PSI alone is a warning."""
    order = ["stable", "warning", "alert"]
    reference = base_rate(1_000, 100_000)
    found = [labels(reference, base_rate(100 * percent, 10_000)) for percent in range(1, 31)]
    severities = [order.index(each.severity) for each in found]
    assert severities == sorted(severities)
    assert (found[1].severity, found[4].severity, found[7].severity) == ("warning", "alert", "alert")
    assert (found[7].by_odds, found[7].threshold) == (True, 4.0)
    # All that may still hold it is kept beside what decided.
    assert [each.name for each in found[7].measures] == ["PSI", "odds ratio"]
    assert [each.loss for each in found[7].readings] == [each.size for each in found[7].measures]


def test_the_odds_that_matter_are_configured() -> None:
    rules = PerformanceRules(1.0, 3_600, odds_ratio=3.0)
    window = LabelledWindow.of(base_rate(1_100, 10_000), None)
    assert judge_labels(base_rate(1_000, 20_000), window, rules, ALPHA).severity == "stable"


@pytest.mark.parametrize(
    ("drift", "severity"),
    [({}, "warning"), ({"psi_warning": 0.2}, "stable"), ({"psi_warning": 0.05, "psi_alert": 0.1}, "alert")],
)
def test_a_base_rate_is_judged_by_the_thresholds_of_the_monitor(drift: dict[str, float], severity: str) -> None:
    """From 30 % to 46 %: a PSI of 0.11."""
    rules = RULES.with_monitor(parse_monitor({"drift": drift}))
    found = judge_labels(base_rate(3_000, 10_000), LabelledWindow.of(base_rate(460, 1_000), None), rules, ALPHA)
    assert found.severity == severity
    assert [each.warning for each in found.measures if each.name == "PSI"] == [rules.psi_warning]


def test_labels_whose_shift_is_real_and_small_are_shifted() -> None:
    reference, current = base_rate(3_000, 10_000), base_rate(3_400, 10_000)
    now = judge_labels(reference, LabelledWindow.of(current, None), NAMING, ALPHA)
    assert now.severity == "shifted"
    assert now.reason is not None
    assert now.reason.startswith("A real difference (p = ")
    assert judge_labels(reference, LabelledWindow.of(current, None), RULES, ALPHA).severity == "stable"
    assert (
        judge_labels(reference, LabelledWindow.of(base_rate(3_010, 10_000), None), NAMING, ALPHA).severity == "stable"
    )


def test_a_mean_target_that_has_shifted_a_little_is_shifted() -> None:
    targets = [float(index % 100) for index in range(20_000)]
    reference = numbers([0.0] * 20_000, targets)
    higher = LabelledWindow.of(numbers([0.0] * 20_000, [target + 3.0 for target in targets]), None)
    now, before = (judge_labels(reference, higher, rules, ALPHA) for rules in (NAMING, RULES))
    assert (now.severity, before.severity, before.reason) == ("shifted", "stable", None)
    assert now.reason is not None
    assert now.reason.endswith("but smaller than 0.25 standard deviations.")
    same = judge_labels(reference, LabelledWindow.of(reference, None), NAMING, ALPHA)
    assert (same.severity, same.reason) == ("stable", None)


@pytest.mark.parametrize("n", [24, 64, 71])
def test_a_loss_that_few_labels_do_show_is_found_and_without_one_nothing_is_said(n: int) -> None:
    found = judge("accuracy", REFERENCE, right(n // 3, n))
    assert (found.severity, found.estimate.n) == ("alert", n)
    assert found.p_value is not None
    assert found.p_value < ALPHA
    fine = judge("accuracy", REFERENCE, right(int(0.9 * n), n))
    assert fine.severity == "insufficient_data"
    assert fine.reason == f"{n} of at least 100 labelled predictions: {100 - n} more are needed."
    assert labels(base_rate(1_000, 20_000), base_rate(n // 2, n)).severity == "alert"
    assert labels(base_rate(1_000, 20_000), base_rate(n // 20, n)).severity == "insufficient_data"


def test_few_labels_are_no_evidence_where_the_test_is_not_exact() -> None:
    sure_and_wrong = binary([Outcome("yes", 0.99, "no")] * 30)
    assert judge("log_loss", binary(outcomes(2_000)), sure_and_wrong).severity == "insufficient_data"


def test_a_class_that_is_gone_and_a_class_that_is_new_are_label_drift() -> None:
    reference = OutcomeCounts.of(CLASSES, [Outcome("a", None, "abc"[index % 3]) for index in range(3_000)])
    gone = OutcomeCounts.of(CLASSES, [Outcome("a", None, "ab"[index % 2]) for index in range(600)])
    new = OutcomeCounts.of(CLASSES, [Outcome("a", None, "abcd"[index % 4]) for index in range(600)])
    assert labels(reference, gone).severity == labels(reference, new).severity == "alert"


@pytest.mark.parametrize(("shift", "severity"), [(0, "stable"), (2, "stable"), (3.5, "warning"), (-6, "alert")])
def test_of_numbers_the_mean_target_is_judged_in_standard_deviations(shift: float, severity: str) -> None:
    rng = np.random.default_rng(0)
    reference = numbers([0.0] * 5_000, rng.normal(50, 10, 5_000).tolist())
    found = labels(reference, numbers([0.0] * 1_000, rng.normal(50 + shift, 10, 1_000).tolist()))
    assert found.severity == severity
    assert found.loss == pytest.approx(abs(shift) / 10, abs=0.08)
    assert found.change == pytest.approx(shift, abs=0.8)


def test_targets_that_never_varied() -> None:
    reference = numbers([0.0] * 500, [5.0] * 500)
    assert labels(reference, numbers([0.0] * 500, [5.0] * 500)).severity == "stable"
    found = labels(reference, numbers([0.0] * 500, [6.0] * 500))
    assert (found.severity, math.isfinite(found.loss or 0.0)) == ("alert", True)


def test_label_drift_needs_a_labelled_reference_and_known_classes() -> None:
    assert labels(None, right(100, 200)).severity == "no_reference"
    assert labels(OutcomeCounts.empty(BINARY), right(100, 200)).severity == "no_reference"
    unknown = OutcomeCounts.of(OutcomeLayout(), [Outcome("a", None, "a")] * 200)
    assert labels(unknown, unknown).severity == "no_reference"
    assert labels(REFERENCE, right(0, 0)).severity == "no_data"


SCORES = st.none() | st.floats(0, 1)
VALUES = st.sampled_from(["no", "yes", "maybe"])
ROWS = st.lists(st.builds(Outcome, VALUES, SCORES, VALUES), max_size=30)
NUMBER = st.floats(-1e12, 1e12)
NUMBER_ROWS = st.lists(st.builds(Outcome, NUMBER, st.none(), NUMBER), max_size=30)


@given(
    st.sampled_from([BINARY, CLASSES]).flatmap(lambda layout: st.tuples(st.just(layout), ROWS, ROWS))
    | st.tuples(st.just(NUMBERS), NUMBER_ROWS, NUMBER_ROWS)
)
def test_whatever_was_counted_the_report_has_no_nan_and_what_fires_has_its_numbers(
    drawn: tuple[OutcomeLayout, list[Outcome], list[Outcome]],
) -> None:
    layout, before, now = drawn
    rules = PerformanceRules(1.0, 3_600, min_samples=1)
    reference, window = OutcomeCounts.of(layout, before), LabelledWindow.of(OutcomeCounts.of(layout, now), None)
    assert layout.task is not None
    judgements = [judge_metric(name, reference, window, rules, 0.05) for name in window.metrics]
    judgements.append(judge_labels(reference, window, rules, 0.05))
    for judgement in judgements:
        report = metric_report(judgement.estimate, judgement)
        assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
        for name in ("value", "low", "high", "loss", "change", "reference", "threshold", "p_value"):
            number = getattr(report, name)
            assert number is None or math.isfinite(number)
        if judgement.severity in ("warning", "alert"):
            assert judgement.loss is not None
            assert judgement.threshold is not None
            assert judgement.loss >= judgement.threshold
        assert report.value is not None or report.reason is not None or judgement.name == LABELS


def test_what_few_rows_of_a_class_do_to_a_macro_mean_is_no_loss_and_said() -> None:
    """40 classes of which a window has one row or two: F1 is 0 or 1 there, and lower on average than of many rows."""
    names = tuple(f"c{index}" for index in range(40))
    layout = OutcomeLayout("multiclass", names)
    rng = np.random.default_rng(1)

    def drawn(rows: int) -> OutcomeCounts:
        truth, other = rng.integers(40, size=(2, rows))
        said = np.where(rng.random(rows) < 0.7, truth, other)
        return OutcomeCounts.of(layout, [Outcome(names[a], None, names[b]) for a, b in zip(said, truth, strict=True)])

    reference, window = drawn(10_000), drawn(100)
    found = judge("f1_macro", reference, window)
    assert found.severity == "stable"
    assert found.estimate.value == metric_of(window, "f1_macro")
    # That of the classes which the window has, too.
    assert found.reference == pytest.approx(metric_of(reference, "f1_macro"), abs=0.01)
    assert found.change is not None
    assert found.change < -0.02
    assert found.loss is not None
    assert found.loss < -found.change - 0.04
    assert "lower the mean of an unchanged model by" in (found.reason or "")


def metric_of(counts: OutcomeCounts, name: str) -> float | None:
    assert counts.confusion is not None
    return performance(counts.confusion)[name].value
