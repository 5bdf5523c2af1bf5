"""Subjects that are not judged, apart by their own reasons."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from modelwatch.monitoring.checks.not_judged import NotJudged, by_reason
from modelwatch.monitoring.checks.performance.report import PerformanceReport, unjudged_metrics


def test_one_reason_is_one_group() -> None:
    group = NotJudged("no_data", 30, ["a", "b"], "Gone.")
    assert by_reason([group], {"a": "Gone.", "b": "Gone."}) == [group]
    # What the report has no reason of beside is as the first one, which has none there either.
    assert by_reason([group], {}) == [group]


def test_several_reasons_are_apart_and_those_without_a_name_have_none() -> None:
    group = NotJudged("no_data", 30, ["a", "b", "c", "d: extreme"], "Gone.")
    assert by_reason([group], {"a": "Gone.", "b": "Text.", "c": "Gone."}) == [
        NotJudged("no_data", 2, ["a", "c"], "Gone."),
        NotJudged("no_data", 1, ["b"], "Text."),
        NotJudged("no_data", 1, ["d: extreme"], None),
        NotJudged("no_data", 26, [], None),
    ]


def test_metrics_have_the_reason_of_the_longest_window_that_does_not_judge_them() -> None:
    def window(end: str, **reasons: str) -> SimpleNamespace:
        metrics = {name: SimpleNamespace(severity="insufficient_data", reason=why) for name, why in reasons.items()}
        drift = metrics.pop("ground_truth", None)
        return SimpleNamespace(start="2025-06-01T00:00:00Z", end=end, matured=True, metrics=metrics, label_drift=drift)

    hour = window("2025-06-01T01:00:00Z", accuracy="1 row.", f1="1 row.", ground_truth="1 label.")
    day = window("2025-06-02T00:00:00Z", accuracy="9 rows.", f1="9 rows.", ground_truth="9 labels.")
    group = NotJudged("insufficient_data", 3, ["accuracy", "f1", "ground_truth"], "9 rows.")
    report = cast(PerformanceReport, SimpleNamespace(windows=[hour, day], not_judged=[group]))
    assert unjudged_metrics(report) == [
        NotJudged("insufficient_data", 2, ["accuracy", "f1"], "9 rows."),
        NotJudged("insufficient_data", 1, ["ground_truth"], "9 labels."),
    ]
