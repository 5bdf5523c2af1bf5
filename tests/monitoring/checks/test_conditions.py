"""Persistence and hysteresis: what it takes to become a finding, and to be none any more."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from modelwatch.monitoring.checks.conditions import Condition, before_again, findings_of
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, SubjectResult, WindowResult
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence
from modelwatch.monitoring.checks.drift.judge import judge
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.drift.tolerance import tolerance
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.references.subjects import StoredReference, Subject

RULES = DriftRules(0.1, 0.25, 0.05, 50, 1.0, ("1h",), 3_600)
SAMPLE = np.random.default_rng(0).normal(size=20_000)
BINNING = numeric_binning(SAMPLE)
REFERENCE = StoredReference(
    "r1", "m", None, Subject("feature", "x"), Profile.of(BINNING, SAMPLE.tolist()), None, 0, "test", "active"
)
CALM, BAND, WARNING, NEARLY, ALERT, NOTHING = 0.0, 0.305, 0.4, 0.49, 0.8, None


def current(shift: float | None, n: int = 1_000) -> Profile:
    """A window of exact quantiles of the reference, shifted; its PSI grows with the shift. None: no predictions."""
    if shift is None:
        return Profile.empty(BINNING)
    return Profile.of(BINNING, (np.quantile(SAMPLE, (np.arange(n) + 0.5) / n) + shift).tolist())


def evaluation(
    shift: float | None, end: int, rules: DriftRules, reference: StoredReference = REFERENCE, n: int = 1_000
) -> DriftEvaluation:
    thresholds = rules.thresholds("feature", "x")
    allowed = tolerance(thresholds, None)
    window = Window(end - 3_600, end, "1h")
    alpha = rules.alpha(1)
    judgement = judge(reference.profile, current(shift, n), allowed, alpha, rules.min_samples)
    judged = WindowResult(window, current(shift, n), allowed, judgement)
    evidence = Evidence(
        DriftQuery("m", "production"), rules, 1, end, 1, (), None, (window,), (), ((reference.id, reference.state),)
    )
    result = SubjectResult(reference.subject, reference, thresholds, rules.ks_alpha, (judged,))
    return DriftEvaluation(evidence, alpha, 1, (result,), (reference.subject,), ())


def run(
    shifts: list[float | None], rules: DriftRules = RULES, sizes: Sequence[int] = (), before: Sequence[Condition] = ()
) -> list[list[Condition]]:
    """The conditions after each of these evaluations. sizes: of their windows; 1,000 values if not given."""
    after: list[list[Condition]] = []
    for index, shift in enumerate(shifts):
        n = sizes[index] if sizes else 1_000
        seen = evaluation(shift, 3_600 * (index + 1), rules, n=n)
        after.append(advance_drift(after[-1] if after else before, seen))
    return after


def in_force(shifts: list[float | None], rules: DriftRules = RULES) -> str:
    """For each evaluation `a` or `w` when there is a finding, else a dot."""
    found = [findings_of(conditions) for conditions in run(shifts, rules)]
    return "".join(findings[0].severity[0] if findings else "." for findings in found)


def test_the_shifts_of_these_tests_are_what_their_names_say() -> None:
    def judged_at(shift: float) -> tuple[str, float]:
        [result] = evaluation(shift, 3_600, RULES).subjects
        judgement = result.windows[0].judgement
        assert judgement.psi is not None
        return judgement.severity, judgement.psi

    assert judged_at(CALM)[1] < 0.01
    assert judged_at(BAND)[0] == "shifted"
    assert 0.08 <= judged_at(BAND)[1] < 0.1
    assert judged_at(WARNING)[0] == "warning"
    assert judged_at(NEARLY)[0] == "warning"
    assert judged_at(NEARLY)[1] >= 0.2
    assert judged_at(ALERT)[0] == "alert"


def test_one_evaluation_is_enough_by_default_and_two_calm_ones_end_it() -> None:
    assert in_force([CALM, ALERT, CALM, CALM, CALM]) == ".aa.."
    assert in_force([WARNING, CALM, WARNING, CALM, CALM]) == "wwww."


def test_what_is_small_but_real_is_a_finding_where_the_monitor_asks_for_it() -> None:
    asked = dataclasses.replace(RULES, alert_on="shifted")
    shifts: list[float | None] = [BAND, BAND, WARNING, BAND, CALM, CALM, CALM]
    assert in_force(shifts) == "..www.."
    assert in_force(shifts, asked) == "wwwww.."
    first, _, warned, *_ = (findings_of(conditions)[0] for conditions in run(shifts[:4], asked))
    assert (first.small, first.severity, first.holding) == (True, "warning", False)
    assert first.warning_threshold is not None
    assert first.score < first.warning_threshold
    assert not warned.small


def test_what_is_small_but_real_keeps_no_alert_open() -> None:
    """Once it is shown to be below half of its worst, and below what still counts as found."""
    tiny = 0.2
    assert in_force([ALERT, tiny, tiny, tiny]) == "aa.."
    assert in_force([ALERT, tiny, tiny, tiny], dataclasses.replace(RULES, alert_on="shifted")) == "awww"


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


def test_what_chance_could_explain_is_no_end() -> None:
    """Windows of 60 values are calm, because chance could explain their PSI; so could a lasting shift."""
    few = run([ALERT, WARNING, WARNING, WARNING, CALM, CALM], sizes=[1_000, 60, 60, 60, 1_000, 1_000])
    states = [(len(each), [found.doubt for found in findings_of(each)]) for each in few]
    assert states[:4] == [(1, [None]), (1, ["not_found"]), (1, ["not_found"]), (1, ["not_found"])]
    assert [len(findings_of(each)) for each in few] == [1, 1, 1, 1, 0, 0]


def test_what_is_not_certain_any_more_says_since_when_and_is_certain_once_it_is_found_again() -> None:
    after = run([ALERT, CALM, NOTHING, ALERT, NOTHING, CALM], sizes=[1_000, 60, 60, 1_000, 60, 60])
    found = [findings_of(each)[0] for each in after]
    assert [(each.uncertain_since, each.doubt, each.holding) for each in found] == [
        (None, None, False),
        (7_200, "not_found", True),
        (7_200, "too_little_data", True),
        (None, None, False),
        (18_000, "too_little_data", True),
        (18_000, "not_found", True),
    ]


def test_half_of_the_worst_is_an_end_and_the_worst_is_remembered() -> None:
    """A window of 120 values with a slight shift is plausibly below half of an alert's PSI, but not of a warning's."""
    slight = [0.2, 0.2, 0.2]
    after_warning = run([WARNING, *slight], sizes=[1_000, 120, 120, 120])
    assert [found.doubt for found in findings_of(after_warning[-1])] == ["not_found"]
    after_alert = run([ALERT, WARNING, *slight], sizes=[1_000, 1_000, 120, 120, 120])
    assert findings_of(after_alert[1])[0].worst == findings_of(after_alert[0])[0].score
    assert findings_of(after_alert[-1]) == ()


def test_what_an_earlier_release_stored_ends_by_its_last_score() -> None:
    [[condition]] = run([WARNING])
    assert condition.finding is not None
    stored = msgspec.json.decode(msgspec.json.encode(condition))
    for added in ("worst", "detected_at", "bad_from", "bad_until", "judged_until", "uncertain_since", "doubt"):
        del stored["finding"][added]
    earlier = msgspec.convert(stored, Condition)
    assert earlier.finding is not None
    assert earlier.finding.times == condition.finding.times
    [kept, over] = run([CALM, CALM], before=[earlier])
    assert (len(findings_of(kept)), len(findings_of(over))) == (1, 0)


def test_a_finding_says_which_data_are_bad_when_it_was_detected_and_what_was_judged() -> None:
    after = run([ALERT, ALERT, CALM, NOTHING], sizes=[1_000, 1_000, 60, 60])
    times = [findings_of(each)[0].times for each in after]
    assert times == [
        (0, 3_600, 3_600, 3_600),
        (0, 7_200, 3_600, 7_200),
        (0, 7_200, 3_600, 10_800),
        (0, 7_200, 3_600, 10_800),
    ]


def test_with_persistence_it_is_detected_later_than_it_was_first_seen() -> None:
    rules = dataclasses.replace(RULES, alarms_needed=2, alarms_among=2)
    [_, [condition]] = run([ALERT, ALERT], rules)
    assert condition.finding is not None
    assert (condition.finding.since, condition.finding.times.detected_at) == (3_600, 7_200)


def test_both_thresholds_are_said_and_the_one_that_decided() -> None:
    def thresholds(*shifts: float | None) -> tuple[float, float | None, float | None]:
        finding = findings_of(run(list(shifts))[-1])[0]
        return finding.threshold, finding.warning_threshold, finding.alert_threshold

    assert thresholds(WARNING) == (0.1, 0.1, 0.25)
    assert thresholds(ALERT) == (0.25, 0.1, 0.25)
    assert thresholds(ALERT, NEARLY) == (0.25, 0.1, 0.25)
    assert thresholds(ALERT, BAND) == (0.25, 0.1, 0.25)


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
    assert advance_drift(before, evaluation(CALM, 7_200, RULES, other)) == []


def test_a_subject_that_is_not_watched_any_more_is_forgotten() -> None:
    [before] = run([ALERT])
    nothing = dataclasses.replace(evaluation(CALM, 7_200, RULES), subjects=())
    assert advance_drift(before, nothing) == []


def test_an_evaluation_that_is_made_again_goes_on_with_the_findings_and_with_the_counts_before() -> None:
    """Of 3 evaluations 2 must drift. Made again, each gives what it gave."""
    rules = dataclasses.replace(RULES, alarms_needed=2, alarms_among=3)
    shifts = [ALERT, CALM, ALERT, CALM, ALERT, CALM, NOTHING, CALM, CALM, ALERT]
    after = run(shifts, rules)
    for index, (shift, before, last) in enumerate(zip(shifts[1:], after, after[1:], strict=False), start=2):
        start = before_again(before, last)
        assert findings_of(start) == findings_of(last)
        again = advance_drift(start, evaluation(shift, index * 3_600, rules))
        counts = [[(each.recent, each.calm, each.since) for each in conditions] for conditions in (again, last)]
        assert counts[0] == counts[1]
        assert len(findings_of(again)) == len(findings_of(last))


def test_an_evaluation_that_is_made_again_counts_no_calm_over_drift() -> None:
    before, last = run([ALERT, CALM, ALERT])[1:]
    assert before[0].calm == 1
    (again,) = before_again(before, last)
    assert again.calm == 0
