"""Persistence and hysteresis: what it takes to become a finding, and to be none any more."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelwatch.monitoring.checks import Examination, Examined, Look
from modelwatch.monitoring.conditions import Condition, findings_of
from modelwatch.monitoring.drift_observations import advance_drift
from modelwatch.monitoring.evidence import DriftQuery, Evidence
from modelwatch.monitoring.rules import DriftRules
from modelwatch.monitoring.verdicts import judge, tolerance
from modelwatch.monitoring.windows import Window
from modelwatch.stats import Profile, numeric_binning
from modelwatch.storage import StoredReference, Subject

RULES = DriftRules(0.1, 0.25, 0.05, 50, 1.0, ("1h",), 3_600)
SAMPLE = np.random.default_rng(0).normal(size=20_000)
BINNING = numeric_binning(SAMPLE)
REFERENCE = StoredReference(
    "r1", "m", None, Subject("feature", "x"), Profile.of(BINNING, SAMPLE.tolist()), None, 0, "test", "active"
)
CALM, BAND, WARNING, NEARLY, ALERT, NOTHING = 0.0, 0.305, 0.4, 0.49, 0.8, None


def current(shift: float | None) -> Profile:
    """A window of exact quantiles of the reference, shifted; its PSI grows with the shift. None: no predictions."""
    if shift is None:
        return Profile.empty(BINNING)
    return Profile.of(BINNING, (np.quantile(SAMPLE, np.linspace(0.0005, 0.9995, 1_000)) + shift).tolist())


def examination(
    shift: float | None, end: int, rules: DriftRules, reference: StoredReference = REFERENCE
) -> Examination:
    thresholds = rules.thresholds("feature", "x")
    allowed = tolerance(thresholds, None)
    window = Window(end - 3_600, end, "1h")
    alpha = rules.alpha(1)
    judgement = judge(reference.profile, current(shift), allowed, alpha, rules.min_samples)
    look = Look(window, current(shift), allowed, judgement)
    evidence = Evidence(
        DriftQuery("m", "production"), rules, 1, end, 1, (), None, (window,), (), ((reference.id, reference.state),)
    )
    examined = Examined(reference.subject, reference, thresholds, rules.ks_alpha, (look,))
    return Examination(evidence, alpha, 1, (examined,), (reference.subject,), ())


def run(shifts: list[float | None], rules: DriftRules = RULES) -> list[list[Condition]]:
    """The conditions after each of these evaluations."""
    after: list[list[Condition]] = []
    for index, shift in enumerate(shifts):
        after.append(advance_drift(after[-1] if after else [], examination(shift, 3_600 * (index + 1), rules)))
    return after


def in_force(shifts: list[float | None], rules: DriftRules = RULES) -> str:
    """For each evaluation `a` or `w` when there is a finding, else a dot."""
    found = [findings_of(conditions) for conditions in run(shifts, rules)]
    return "".join(findings[0].severity[0] if findings else "." for findings in found)


def test_the_shifts_of_these_tests_are_what_their_names_say() -> None:
    def looked_at(shift: float) -> tuple[str, float]:
        [examined] = examination(shift, 3_600, RULES).subjects
        judgement = examined.looks[0].judgement
        assert judgement.psi is not None
        return judgement.severity, judgement.psi

    assert looked_at(CALM)[1] < 0.01
    assert looked_at(BAND)[0] == "stable"
    assert 0.08 <= looked_at(BAND)[1] < 0.1
    assert looked_at(WARNING)[0] == "warning"
    assert looked_at(NEARLY)[0] == "warning"
    assert looked_at(NEARLY)[1] >= 0.2
    assert looked_at(ALERT)[0] == "alert"


def test_one_evaluation_is_enough_by_default_and_two_calm_ones_end_it() -> None:
    assert in_force([CALM, ALERT, CALM, CALM, CALM]) == ".aa.."
    assert in_force([WARNING, CALM, WARNING, CALM, CALM]) == "wwww."


@pytest.mark.parametrize(
    ("shifts", "said"),
    [
        ([ALERT, CALM, ALERT, CALM, CALM, CALM], "..aa.."),
        ([ALERT, CALM, CALM, ALERT, CALM, CALM], "......"),
        ([CALM, ALERT, ALERT, CALM, CALM], "..aa."),
    ],
)
def test_two_of_the_last_three(shifts: list[float | None], said: str) -> None:
    rules = dataclasses.replace(RULES, alarms_needed=2, alarms_among=3)
    assert in_force(shifts, rules) == said


def test_between_eight_tenths_of_the_threshold_and_the_threshold_it_holds_but_does_not_begin() -> None:
    assert in_force([BAND, BAND, WARNING, BAND, BAND, BAND, BAND, CALM, CALM]) == "..wwwwww."


def test_calm_must_last_without_interruption() -> None:
    rules = dataclasses.replace(RULES, resolve_after=3)
    assert in_force([WARNING, CALM, CALM, BAND, CALM, CALM, CALM], rules) == "wwwwww."


def test_windows_without_enough_data_say_nothing() -> None:
    assert in_force([ALERT, NOTHING, NOTHING, NOTHING, CALM, NOTHING, CALM]) == "aaaaaa."
    rules = dataclasses.replace(RULES, alarms_needed=2, alarms_among=2)
    assert in_force([ALERT, NOTHING, ALERT], rules) == "..a"


def test_a_finding_remembers_when_it_began_and_says_that_it_only_holds() -> None:
    [_, first, second, third] = [findings_of(each) for each in run([CALM, ALERT, WARNING, CALM])]
    assert [finding.since for finding in (*first, *second, *third)] == [7_200, 7_200, 7_200]
    assert [finding.holding for finding in (*first, *second, *third)] == [False, False, True]
    assert third[0].score == second[0].score


def test_severity_falls_only_when_it_is_clearly_below() -> None:
    assert in_force([NEARLY]) == "w"
    assert in_force([ALERT, NEARLY, NEARLY, WARNING, NEARLY]) == "aaaww"


def test_another_reference_starts_afresh() -> None:
    [before] = run([ALERT])
    other = dataclasses.replace(REFERENCE, id="r2")
    assert advance_drift(before, examination(CALM, 7_200, RULES, other)) == []


def test_a_subject_that_is_not_watched_any_more_is_forgotten() -> None:
    [before] = run([ALERT])
    nothing = dataclasses.replace(examination(CALM, 7_200, RULES), subjects=())
    assert advance_drift(before, nothing) == []
