"""Durations as counts in buckets."""

from __future__ import annotations

import pytest

from modelwatch.views.durations import bucket_of, duration_report, quantile


@pytest.mark.parametrize("seconds", [0.0002, 0.0031, 0.05, 1.7, 60.0])
def test_a_quantile_is_right_within_6_per_cent(seconds: float) -> None:
    assert quantile({bucket_of(seconds): 3}, 0.5) == pytest.approx(seconds, rel=0.06)


def test_durations_of_several_processes_are_one() -> None:
    fast, slow = {bucket_of(0.001): 60}, {bucket_of(0.1): 40}
    report = duration_report("prediction", [fast, slow, {}])
    assert report is not None
    assert report.count == 100
    assert report.p50_seconds == pytest.approx(0.001, rel=0.06)
    assert report.p99_seconds == pytest.approx(0.1, rel=0.06)
    assert duration_report("prediction", [{}]) is None


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no durations"):
        quantile({}, 0.5)
