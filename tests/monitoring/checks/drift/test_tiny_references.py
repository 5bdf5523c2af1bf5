"""References of a few values: nothing is judged beside them, and the reason says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelwatch.monitoring.checks.drift.evaluation import results_of
from modelwatch.monitoring.checks.drift.screening import screened
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.rules import LEAST_REFERENCE, DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import Binning, Scalar, categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.references.subjects import StoredReference, Subject
from tests.support.rules import RULES

SUBJECT, WINDOW = Subject("feature", "x"), Window(0, 3_600)
NOW = replace(RULES, least_reference=LEAST_REFERENCE)


def judged(binning: Binning, sample: list[Scalar], window: list[Scalar], rules: DriftRules) -> tuple[str, str | None]:
    reference = StoredReference("a", "m", None, SUBJECT, Profile.of(binning, sample), None, 0, "test", "active")
    now = Profile.of(binning, window)
    counts = SubjectCounts((now,), (now.total,))
    [result] = results_of([WINDOW], {SUBJECT: reference}, {SUBJECT: counts}, rules, 1e-5)
    judgement = result.windows[0].judgement
    [screen] = screened({SUBJECT: reference}, [WINDOW], [now.counts[None]], [[now.total]], rules, 1e-5)
    assert screen.severity == [judgement.severity]
    return judgement.severity, judgement.reason


@pytest.mark.parametrize("size", [1, 2, 9, 10])
def test_nothing_is_judged_beside_fewer_values_than_the_tests_need(size: int) -> None:
    """A window far from all of them: of ten it is drift, of fewer nothing is said. By earlier rules it is judged."""
    rng = np.random.default_rng(size)
    sample, window = rng.normal(size=size).tolist(), rng.normal(50.0, 1.0, 2_000).tolist()
    severity, reason = judged(numeric_binning(np.array(sample)), sample, window, NOW)
    if size < LEAST_REFERENCE:
        assert severity == "insufficient_data"
        assert reason == f"Not judged: the reference holds {size} of at least 10 values that the tests need."
        assert judged(numeric_binning(np.array(sample)), sample, window, RULES)[1] != reason
    else:
        assert severity == "alert"


def test_categories_are_refused_as_numbers_are() -> None:
    severity, reason = judged(categorical_binning(["a", "b"]), ["a", "b"] * 4, ["c"] * 500, NOW)
    assert (severity, reason is not None and "8 of at least 10" in reason) == ("insufficient_data", True)


def test_no_data_and_no_reference_come_first() -> None:
    cells = categorical_binning(["a", "b"])
    assert judged(cells, ["a", "b"], [], NOW)[0] == "no_data"
    assert judged(cells, [], ["a"] * 200, NOW)[0] == "no_reference"
