"""Verdicts on windows that vary as much as their reference does by itself."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.monitoring.checks.drift.evaluation import SubjectResult, results_of
from modelwatch.monitoring.checks.drift.reasons import counts_as, why_stable
from modelwatch.monitoring.checks.drift.screening import screened
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.drift.tolerance import Measure, tolerance
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.variation.clusters import KeyedRows, clusters_of
from modelwatch.stats.drift.variation.natural_variation import variation_of
from modelwatch.stats.drift.variation.stretches import MOST_PLAUSIBLE
from modelwatch.storage.references.subjects import StoredReference, Subject

HOUR = 3_600
RULES = DriftRules.of(Settings())
ALPHA = 1e-6


@pytest.fixture(scope="module")
def reference() -> StoredReference:
    """Ten days of 60 values an hour, whose hours differ by 0.3 standard deviations."""
    rng = np.random.default_rng(1)
    hours = np.repeat(np.arange(240), 60)
    values = rng.normal(size=len(hours)) + 0.3 * rng.normal(size=240)[hours]
    binning = numeric_binning(values)
    variation = variation_of(binning, values.tolist(), (np.arange(len(hours)) * 60).tolist(), rng)
    profile = Profile.of(binning, values)
    return StoredReference("a", "m", None, Subject("feature", "x"), profile, variation, 0, "test", "active")


def judged(reference: StoredReference, rules: DriftRules, shift: float, n: int = 600) -> SubjectResult:
    values = np.random.default_rng(2).normal(size=n) + shift
    counts = SubjectCounts((Profile.of(reference.profile.binning, values),), (n,))
    [found] = results_of(
        [Window(0, HOUR, "1h")], {reference.subject: reference}, {reference.subject: counts}, rules, ALPHA
    )
    return found


def of_hours(hours: int, each: int, rhythm: float, seed: int) -> StoredReference:
    """So many values in each of so many hours, with a rhythm of a day of that amplitude."""
    rng = np.random.default_rng(seed)
    of_value = np.repeat(np.arange(hours), each)
    values = rng.normal(size=len(of_value)) + rhythm * np.sin(of_value / 24 * 2 * np.pi)
    binning = numeric_binning(values)
    times = (of_value * HOUR + np.tile(np.arange(each) * (HOUR // each), hours)).tolist()
    variation = variation_of(binning, values.tolist(), times, rng)
    profile = Profile.of(binning, values)
    return StoredReference("a", "m", None, Subject("feature", "x"), profile, variation, 0, "test", "active")


def test_what_few_values_may_hide_of_a_rhythm_is_shown_and_does_not_alarm() -> None:
    """Three days of ten values an hour do not show a rhythm of 0.3. An hour at its height, of 70 times the traffic, is
    no chance, and no larger than what the reference may hide. What is larger alarms."""
    thin = next(
        each
        for seed in range(20)
        if (each := of_hours(72, 10, 0.3, seed)).variation is not None
        and each.variation.dispersion(each.profile, HOUR, 700) is None
    )
    at_height = judged(thin, RULES, 0.4, 700).windows[0]
    assert at_height.judgement.severity == "shifted"
    assert at_height.judgement.psi is not None
    assert 0.1 < at_height.judgement.psi < at_height.allowed.psi_warning == at_height.allowed.psi_alert
    assert at_height.judgement.reason is not None
    assert "may hide" in at_height.judgement.reason
    before = judged(thin, replace(RULES, dispersed=False), 0.4, 700).windows[0]
    assert before.judgement.severity in ("warning", "alert")
    assert judged(thin, RULES, 1.0, 700).windows[0].judgement.severity == "alert"
    assert judged(thin, RULES, 0.4, 10).windows[0].allowed.psi_warning == RULES.psi_warning


def test_a_sparse_year_hides_no_shift_that_is_larger_than_rhythms_are() -> None:
    """A thousand values of a year say nothing about a day: that makes no threshold that nothing reaches."""
    rng = np.random.default_rng(1)
    values, times = rng.normal(size=1_000), np.sort(rng.integers(0, 365 * 24 * HOUR, 1_000))
    binning = numeric_binning(values)
    variation = variation_of(binning, values.tolist(), times.tolist(), rng)
    profile = Profile.of(binning, values)
    sparse = StoredReference("a", "m", None, Subject("feature", "x"), profile, variation, 0, "test", "active")
    [found] = judged(sparse, RULES, 1.0, 100).windows
    assert (found.judgement.severity, found.allowed.psi_warning) == ("alert", MOST_PLAUSIBLE)


def test_doubt_grows_with_the_traffic_and_ends_with_the_day() -> None:
    thin = of_hours(72, 10, 0.0, 2)
    assert thin.variation is not None
    of_hour = [thin.variation.plausible_psi(thin.profile, HOUR, n) for n in range(0, 41, 5)]
    assert of_hour[:3] == [0.0] * 3
    assert np.diff(of_hour[2:7]) == pytest.approx([of_hour[-1] / 4] * 4, rel=0.01)
    assert of_hour[7:] == [of_hour[-1]] * 2
    assert thin.variation.plausible_psi(thin.profile, 23 * HOUR, 10_000) > 0.0
    assert thin.variation.plausible_psi(thin.profile, 24 * HOUR, 10_000) == 0.0


def test_a_month_of_ten_thousand_values_hides_nothing_that_matters() -> None:
    """At any traffic: what it does not show is smaller than the threshold."""
    month = of_hours(720, 14, 0.0, 1)
    assert month.variation is not None
    for n in (100, 1_000, 100_000):
        assert 0.0 < month.variation.plausible_psi(month.profile, HOUR, n) < RULES.psi_warning
        assert not judged(month, RULES, 0.5, n).windows[0].allowed.by_doubt


def test_independent_values_raise_no_threshold() -> None:
    """The largest of a hundred hours of some 30 values is beyond its chance in every third reference."""
    beyond = 0
    for seed in range(20):
        steady = of_hours(100, 32, 0.0, seed)
        assert steady.variation is not None
        beyond += bool(steady.variation.tolerance(HOUR))
        [found] = judged(steady, RULES, 0.7, 400).windows
        assert (found.allowed.natural, found.allowed.natural_odds) == (0.0, None)
        assert found.judgement.severity in ("warning", "alert")
    assert beyond > 3


@pytest.mark.parametrize(("hours", "each"), [(72, 10), (48, 20)])
def test_a_rhythm_that_a_reference_does_not_show_is_within_what_is_plausible(hours: int, each: int) -> None:
    rng, hidden = np.random.default_rng(3), 0
    height = rng.normal(size=40_000) + 0.25
    for seed in range(25):
        found = of_hours(hours, each, 0.25, seed)
        assert found.variation is not None
        plausible = found.variation.plausible_psi(found.profile, HOUR, 100 * each)
        assert found.variation.plausible_psi(found.profile, HOUR, each) == 0.0
        if found.variation.dispersion(found.profile, HOUR, each) is not None:
            assert plausible == 0.0
            continue
        hidden += 1
        assert psi(found.profile.coarse, Profile.of(found.profile.binning, height).coarse) < plausible
    assert hidden > 3


def test_what_the_reference_does_by_itself_is_no_evidence(reference: StoredReference) -> None:
    now = judged(reference, RULES, 0.6).windows[0].judgement
    before = judged(reference, replace(RULES, dispersed=False), 0.6).windows[0].judgement
    assert now.test is not None
    assert before.test is not None
    assert before.test.p_value < ALPHA < 1e-3 < now.test.p_value
    # The deviation is as before, and what it may say is less: 600 values of one hour are alike.
    assert now.test.location is not None
    assert before.test.location is not None
    assert now.test.location.z == before.test.location.z
    assert now.test.effective_n == pytest.approx(600 / (1 + 0.0826 * 599), rel=0.3)
    assert now.min_detectable_psi > 10 * before.min_detectable_psi  # type: ignore[operator]
    assert now.severity == "stable"
    large = judged(reference, RULES, 1.0).windows[0].judgement
    assert large.severity == "stable"
    assert large.reason is not None
    assert large.reason.endswith(f"The 600 values count as about {now.test.effective_n:.0f} independent ones.")


def test_more_than_it_does_by_itself_is(reference: StoredReference) -> None:
    assert judged(reference, RULES, 2.5).windows[0].judgement.severity == "alert"


def test_a_fixed_tolerance_takes_all_values_for_independent(reference: StoredReference) -> None:
    fixed = judged(reference, replace(RULES, natural_variation=False), 0.6).windows[0].judgement
    assert fixed.severity == "alert"
    assert fixed.test is not None
    assert fixed.test.effective_n is None


@pytest.mark.parametrize(
    ("senders", "severity", "why"),
    [
        (1, "insufficient_data", "too little is known of what the reference varies by itself."),
        (3, "insufficient_data", " times as many."),
        (60, "alert", None),
    ],
)
def test_a_window_that_could_show_no_shift_is_not_called_stable(senders: int, severity: str, why: str | None) -> None:
    """2,400 values beyond all of the reference, of few of its clients, say next to nothing: 0.8 of the variance is
    between clients."""
    rng = np.random.default_rng(3)
    clients = np.repeat(np.arange(60), 80)
    values = rng.normal(size=60)[clients] + 0.5 * rng.normal(size=len(clients))
    keys = [f"client {place}" for place in clients]
    cells, binning = categorical_binning(keys), numeric_binning(values)
    profile = Profile.of(binning, values)
    clusters = clusters_of(profile, values.tolist(), KeyedRows("client", keys, cells))
    subject = Subject("feature", "x")
    reference = StoredReference("a", "m", None, subject, profile, None, 0, "test", "active", clusters=clusters)
    now = Profile.of(binning, rng.normal(size=2_400) + 8.0)
    of_keys = [Profile.of(cells, [f"client {place % senders}" for place in range(2_400)])]
    rules, window = replace(RULES, cluster_by="client"), [Window(0, HOUR, "1h")]
    counts = {subject: SubjectCounts((now,), (2_400,))}
    [found] = results_of(window, {subject: reference}, counts, rules, ALPHA, keys=of_keys)
    judgement = found.windows[0].judgement
    assert judgement.severity == severity
    assert judgement.test is not None
    if why is not None:
        assert judgement.reason is not None
        assert why in judgement.reason
        assert judgement.reason.endswith(counts_as(2_400, judgement.test.effective_n or 0.0))
    usual = Profile.of(binning, values[::2])
    for each in (now, usual):
        counts = {subject: SubjectCounts((each,), (2_400,))}
        [one] = results_of(window, {subject: reference}, counts, rules, ALPHA, keys=of_keys)
        [other] = screened({subject: reference}, window, [each.counts[None]], [[2_400]], rules, ALPHA, of_keys)
        assert other.severity == [one.windows[0].judgement.severity]
        assert other.severity == [severity if each is now or why is not None else "stable"]


def test_rules_that_were_kept_before_say_what_they_said() -> None:
    kept = msgspec.to_builtins(RULES)
    del kept["dispersed"]
    assert msgspec.convert(kept, DriftRules) == replace(RULES, dispersed=False)


def test_a_threshold_that_doubt_raises_says_what_it_would_be() -> None:
    thresholds = RULES.thresholds("feature", "x")
    allowed = tolerance(thresholds, None).doubted(0.3)
    assert (allowed.psi_warning, allowed.psi_alert, allowed.psi_configured) == (0.3, 0.3, thresholds.psi_warning)
    assert allowed.doubted(0.2) is allowed
    # Above what is configured, and chance: as without doubt.
    reason = why_stable((Measure("PSI", 0.15, 0.3, 0.3, 0.5),), allowed, ALPHA, 0.15)
    assert reason is not None
    assert reason.startswith("PSI is above the threshold, but explained by chance")
    # What the reference shows of itself is no doubt any more.
    natural = tolerance(thresholds, 0.2).doubted(0.5)
    assert (natural.by_reference, natural.by_doubt, natural.psi_configured) == (False, True, thresholds.psi_warning)
