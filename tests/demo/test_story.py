"""The demo believes nothing: every way to be wrong is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelwatch.demo.report import as_data, drift_lines, performance_lines, seen_line, stable_lines, window_lines
from modelwatch.demo.story import EXPECTED, STREAM_SIZE, Findings, Plan, Sent, WindowCheck, problems_of_answers

PLAN = Plan.ending(1_767_225_755.0, "2.1.0")
SUBJECTS = (*sorted(EXPECTED), "country")


def report(drifted: frozenset[str] | set[str], predictions: int) -> dict[str, Any]:
    results = [
        {
            "feature_name": name,
            "feature_type": "categorical",
            "severity": "alert" if name in drifted else "stable",
            "psi": {"score": 0.5 if name in drifted else 0.01},
            "evidence": {"p_value": 0.0 if name in drifted else 0.3},
            "tolerance": {"psi_warning": 0.1, "psi_alert": 0.25},
            "top_cells": [{"cell": "travel", "reference": 0.1, "current": 0.28}],
            "reason": None,
        }
        for name in SUBJECTS
    ]
    summary = {"predictions": predictions, "alpha": 4e-5, "false_alarm_budget": 1.0, "checked": 5, "lookbacks": ["1h"]}
    return {"drift_results": results, "summary": summary}


def good() -> Findings:
    windows = [
        WindowCheck(
            start, end, start >= PLAN.shift, report(EXPECTED if start >= PLAN.shift else set(), STREAM_SIZE // 8)
        )
        for start, end in PLAN.windows()
    ]
    seen = WindowCheck(PLAN.shift - 1_800, PLAN.shift + 1_800, False, report(EXPECTED, 900))
    final = WindowCheck(PLAN.shift, PLAN.end, True, report(EXPECTED, 15_000))
    performance = [labelled(start, end, 0.9 if start < PLAN.shift else 0.8) for start, end in PLAN.windows()]
    performance[-1] |= {"labelled": LABELS - 7 * 3_000, "coverage": 0.4, "immature": "labels are still to come"}
    performance[-1]["metrics"] = {"accuracy": {"value": None, "reason": "unknown"}}
    return Findings(windows, [seen], seen, final, performance)


def labelled(start: int, end: int, accuracy: float) -> dict[str, Any]:
    rate = {"value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01}
    return {
        "start": datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "labelled": 3_000,
        "coverage": 0.8,
        "immature": None,
        "metrics": {"accuracy": rate, "precision": rate},
    }


LABELS = 7 * 3_000 + 1_500
SENT = Sent(STREAM_SIZE, 1.0, LABELS, LABELS)


def test_the_plan_is_on_base_windows_and_has_the_shift_half_way() -> None:
    assert (PLAN.end - PLAN.start, PLAN.shift - PLAN.start) == (48 * 3_600, 24 * 3_600)
    assert all(border % 300 == 0 for window in PLAN.windows() for border in window)
    assert len(PLAN.windows()) == 8
    assert PLAN.shift in [start for start, _ in PLAN.windows()]


def test_exactly_the_known_shift_is_right() -> None:
    assert problems_of_answers(SENT, good()) == []


def test_a_lost_prediction_is_told() -> None:
    assert any("30,000" in problem for problem in problems_of_answers(replace(SENT, accepted=STREAM_SIZE - 1), good()))


def test_a_lost_label_is_told() -> None:
    [problem] = problems_of_answers(replace(SENT, labelled=LABELS - 1), good())
    assert problem == "22,500 labels were sent, but 22,499 counted"
    findings = good()
    findings.performance[0]["labelled"] -= 1
    [problem] = problems_of_answers(SENT, findings)
    assert "the windows hold 22,499 labels" in problem


@pytest.mark.parametrize("place", ["windows", "sliding", "final"])
def test_drift_in_something_else_is_told(place: str) -> None:
    findings = good()
    check = findings.final if place == "final" else getattr(findings, place)[0]
    check.report["drift_results"][-1]["severity"] = "warning"
    [problem] = problems_of_answers(SENT, findings)
    assert "country, which is noise" in problem


def test_drift_that_was_not_found_is_told() -> None:
    findings = good()
    findings.windows[-1].report["drift_results"][0]["severity"] = "stable"
    [problem] = problems_of_answers(SENT, findings)
    assert "no drift was found in merchant_category" in problem


def test_no_verdict_is_not_the_same_as_stable() -> None:
    findings = good()
    findings.windows[0].report["drift_results"][-1]["severity"] = "insufficient_data"
    [problem] = problems_of_answers(SENT, findings)
    assert "country is insufficient_data" in problem


def test_a_shift_that_nobody_saw_in_an_hour_is_told() -> None:
    findings = good()
    blind = replace(findings, seen=None)
    assert any("had not seen it" in problem for problem in problems_of_answers(SENT, blind))


def test_the_report_says_what_moved_and_what_did_not() -> None:
    findings = good()
    text = "\n".join(
        [*window_lines(findings), seen_line(PLAN, findings), *drift_lines(findings), *stable_lines(findings)]
    )
    assert "no drift" in text
    assert "30 minutes after" in text
    assert "transaction_amount: alert. PSI 0.500 against a threshold of 0.25, p < 10⁻¹²;" in text
    assert "the share of travel went from 10.0 % to 28.0 %" in text
    assert "country" in text
    assert as_data(PLAN, SENT, findings)["windows"][-1]["drifted"] == sorted(EXPECTED)


def test_the_report_says_what_became_of_accuracy_by_the_labels_that_should_have_come() -> None:
    findings = good()
    *_, mostly, last, why = lines = list(performance_lines(PLAN, findings))
    assert len(lines) == 11
    assert "80.0 % labelled   accuracy 90.0 % (89.0 % to 91.0 %), precision 90.0 %" in lines[0]
    assert "40.0 % labelled   accuracy unknown, precision unknown" in lines[7]
    assert "the first labels are mostly frauds" in mostly
    assert "right in 90.0 % of the cases before the shift, in 80.0 % after it" in last
    assert why.endswith("takes them for fraud.")
    data = as_data(PLAN, SENT, findings)
    assert (data["labels"], data["performance"][0]["accuracy"]["value"]) == (LABELS, 0.9)


def test_without_labels_the_report_claims_nothing() -> None:
    findings = good()
    for window in findings.performance:
        window.update(labelled=0, coverage=0.0, metrics={})
    assert not any("right" in line for line in performance_lines(PLAN, findings))
