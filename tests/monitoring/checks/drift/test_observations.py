"""What a drift evaluation saw of a prediction with a rare class: found, held and ended by its odds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition, findings_of
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, SubjectResult, WindowResult
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence
from modelwatch.monitoring.checks.drift.judge import judge
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.drift.report_building import report_of
from modelwatch.monitoring.checks.drift.tolerance import tolerance
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import categorical_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.references.subjects import StoredReference, Subject

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600, odds_ratio=2.0)
# The last class is so rare that no window here says anything of it.
SAMPLE = ["no"] * 18_990 + ["yes"] * 1_000 + ["maybe"] * 10
BINNING = categorical_binning(SAMPLE)
REFERENCE = StoredReference(
    "r1", "m", None, Subject("prediction", ""), Profile.of(BINNING, SAMPLE), None, 0, "test", "active"
)


def evaluation(share: float, n: int, end: int, rules: DriftRules = RULES) -> DriftEvaluation:
    """A window of n predictions of which this share is `yes`."""
    thresholds = rules.thresholds("prediction", "")
    rare = round(share * n)
    current = Profile.of(BINNING, ["yes"] * rare + ["no"] * (n - rare))
    allowed, alpha = tolerance(thresholds, None), rules.alpha(1)
    judgement = judge(REFERENCE.profile, current, allowed, alpha, thresholds.min_samples)
    window = Window(end - 3_600, end, "1h")
    evidence = Evidence(DriftQuery("m", "e"), rules, 1, end, 1, (), None, (window,), (), (("r1", "active"),))
    result = SubjectResult(
        REFERENCE.subject, REFERENCE, thresholds, rules.ks_alpha, (WindowResult(window, current, allowed, judgement),)
    )
    return DriftEvaluation(evidence, alpha, 1, (result,), (REFERENCE.subject,), ())


def run(*windows: tuple[float, int]) -> list[Finding | None]:
    """The finding after each of these evaluations; each of a share and a number of predictions."""
    conditions: Sequence[Condition] = ()
    found = []
    for index, (share, n) in enumerate(windows):
        conditions = advance_drift(conditions, evaluation(share, n, 3_600 * (index + 1)))
        found.append(next(iter(findings_of(conditions)), None))
    return found


def test_a_rare_class_that_doubles_is_found_and_named() -> None:
    [finding] = run((0.11, 2_000))
    assert finding is not None
    assert (finding.kind, finding.subject, finding.severity) == ("prediction_drift", "prediction", "warning")
    assert (finding.score_name, finding.category) == ("odds ratio", "yes")
    assert finding.score == pytest.approx(2.35, abs=0.01)
    assert (finding.threshold, finding.alert_threshold) == (pytest.approx(2.0), pytest.approx(4.0))
    assert finding.detail == "11.0 % of values are yes (reference: 5.0 %)"


def test_it_is_not_over_because_the_psi_is_small() -> None:
    """At 9 % the PSI is 0.024; the odds are still near to twice those of the reference."""
    found = run((0.11, 2_000), (0.09, 2_000), (0.09, 2_000), (0.09, 2_000))
    assert [each is not None and each.holding for each in found] == [False, True, True, True]
    assert {each.score_name for each in found if each is not None} == {"odds ratio"}


def test_it_is_over_once_windows_show_that_the_odds_are_as_before() -> None:
    """What nothing can be said of, the rarest class, does not keep it."""
    assert [each is None for each in run((0.11, 2_000), (0.05, 2_000), (0.05, 2_000))] == [False, False, True]


def test_few_predictions_show_no_end() -> None:
    found = run((0.11, 2_000), (0.05, 120), (0.05, 120), (0.05, 120))
    assert [each.doubt for each in found if each is not None] == [None, "not_found", "not_found", "not_found"]


def test_an_alert_falls_to_a_warning_only_when_it_is_clearly_below() -> None:
    found = run((0.2, 2_000), (0.16, 2_000), (0.11, 2_000))
    assert [each.severity for each in found if each is not None] == ["alert", "alert", "warning"]


def test_the_report_says_what_the_odds_were_and_whether_they_decided() -> None:
    rare = report_of(evaluation(0.11, 2_000, 3_600))
    [result] = rare.drift_results
    assert rare.summary.severity == result.severity == "warning"
    assert result.odds is not None
    assert (result.odds.category, result.odds.decides) == ("yes", True)
    assert result.psi is not None
    assert result.psi.score < 0.1
    [calm] = report_of(evaluation(0.05, 2_000, 3_600)).drift_results
    assert calm.odds is not None
    assert not calm.odds.decides
    [off] = report_of(evaluation(0.11, 2_000, 3_600, dataclasses.replace(RULES, odds_ratio=0.0))).drift_results
    assert (off.severity, off.odds) == ("shifted", None)
