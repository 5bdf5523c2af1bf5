"""Metrics of segments."""

import pytest

from modelwatch.monitoring.segments.metric import estimate
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import performance

BINARY = OutcomeLayout("binary", ("no", "yes"), "yes", "positive")


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc", "pr_auc"])
def test_a_segment_has_the_metric_and_the_interval_that_performance_has(metric: str) -> None:
    """Intervals of losses in few rows went below 0 in segments."""
    rows = [Outcome("yes", 0.9, "yes"), Outcome("yes", 0.8, "no"), Outcome("no", 0.1, "no"), Outcome("no", 0.2, "yes")]
    counts = OutcomeCounts.of(BINARY, rows)
    assert counts.scores is not None
    found, expected = estimate(metric, counts), performance(counts.scores)[metric]
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    if metric in ("log_loss", "brier"):
        assert found.low == 0.0
