"""Verdicts on windows that vary as much as their reference does by itself."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.monitoring.checks.drift.evaluation import SubjectResult, results_of
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.natural_variation import variation_of
from modelwatch.storage.references.stored_reference import StoredReference
from modelwatch.storage.references.subjects import Subject

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


def test_rules_that_were_kept_before_say_what_they_said() -> None:
    kept = msgspec.to_builtins(RULES)
    del kept["dispersed"]
    assert msgspec.convert(kept, DriftRules) == replace(RULES, dispersed=False)
