"""The step to take first: the one that is about what was found, of each kind and each rule."""

from __future__ import annotations

from typing import get_args

import pytest

from modelwatch.alerting.views.runbook import runbook_for
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.monitoring.checks.quality.classes import RULE as UNKNOWN_CLASS
from modelwatch.stats.quality.rates import Rule
from modelwatch.web.frame.verdict import first_step

# Of missing data all steps are for one rule, so that the first is the one to begin with.
UNSOUND = {
    "invalid_type": "<b>Wrong type",
    "below_range": "<b>Below or above the range",
    "above_range": "<b>Below or above the range",
    "extreme": "<b>Below or above the range",
    "sentinel": "<b>Below or above the range",
    "unseen_category": "<b>Unseen",
    "appeared": "<b>Appeared",
    UNKNOWN_CLASS: "<b>Unknown class",
}


def step_for(kind: Kind, severity: FindingSeverity, *subjects: str) -> str:
    """The first step of an alert with these subjects, the worst first."""
    book = runbook_for(kind, severity, subjects[0])
    return str(first_step(kind, set(subjects), subjects[0], book.steps))


@pytest.mark.parametrize("severity", get_args(FindingSeverity))
@pytest.mark.parametrize(
    ("kind", "subjects", "begins"),
    [
        ("feature_drift", ["amount"], "<b>One feature:</b> find out"),
        ("feature_drift", ["amount", "age"], "<b>Many features at once:</b> look upstream"),
        ("prediction_drift", ["prediction"], "<b>The prediction or its score:</b> do features drift"),
        ("prediction_drift", ["score", "prediction"], "<b>The prediction or its score:</b> do features drift"),
        ("latency_drift", ["latency"], "<b>Latency:</b> compare it with the version before"),
        ("label_drift", ["ground_truth"], "<b>The world has changed"),
        ("performance", ["accuracy"], "Are the labels correct?"),
        ("performance", ["label_coverage"], "<b>Labels are missing"),
    ],
)
def test_the_first_step_is_about_what_was_found(
    kind: Kind, severity: FindingSeverity, subjects: list[str], begins: str
) -> None:
    assert step_for(kind, severity, *subjects).startswith(begins)


@pytest.mark.parametrize("rule", sorted({*get_args(Rule), *UNSOUND} - {"missing"}))
def test_every_rule_of_data_quality_has_its_step(rule: str) -> None:
    assert step_for("data_quality", "warning", f"amount: {rule}").startswith(UNSOUND[rule])


def test_changed_repeats_have_their_step() -> None:
    assert step_for("data_quality", "warning", "duplicates").startswith("<b>Duplicates:</b> ids")


@pytest.mark.parametrize("rule", ["missing", "disappeared"])
def test_missing_data_begin_with_the_page_on_quality(rule: str) -> None:
    assert step_for("data_quality", "alert", f"amount: {rule}").startswith("The page on quality shows since when")


def test_a_feature_named_as_a_word_of_a_step_does_not_choose_it() -> None:
    assert step_for("data_quality", "warning", "latency: appeared").startswith("<b>Appeared")
    assert step_for("feature_drift", "alert", "latency").startswith("<b>One feature")
