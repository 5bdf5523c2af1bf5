"""The demo's findings in plain words, and as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.config import Settings
from modelwatch.demo.generator import MODEL
from modelwatch.demo.story import DRIFTED, EXPECTED, Findings, Plan, Sent, WindowCheck
from modelwatch.measures import chance, chance_limit, p_text, plain, psi_text
from modelwatch.times import iso_of_seconds

_RANGE = re.compile(r"\((.+), (.+)\]")


def window_lines(findings: Findings) -> Iterator[str]:
    """One line for each window: when, how many predictions, and what drifted."""
    for check in findings.windows:
        by_severity = {severity: _names(check, severity) for severity in DRIFTED}
        found = "; ".join(f"{severity.upper()} {', '.join(names)}" for severity, names in by_severity.items() if names)
        yield f"  {clock_time(check.start)} to {clock_time(check.end)}  {check.predictions:>6,}   {found or 'no drift'}"


def seen_line(plan: Plan, findings: Findings) -> str:
    """The time from the beginning of the shift to its detection."""
    seen = findings.seen
    if seen is None:
        return "  A look-back of one hour did not detect it within the hour."
    minutes = (seen.end - plan.shift) // 60
    return (
        f"  {minutes} minutes after it began, by a look-back of one hour that held {seen.predictions:,} predictions,\n"
        f"  those of the {60 - minutes} minutes before the shift among them."
    )


def drift_lines(findings: Findings) -> Iterator[str]:
    """One paragraph for each subject that drifted in the last 24 hours."""
    for result in findings.final.report["drift_results"]:
        severity = result["severity"]
        if severity in DRIFTED:
            psi, p_value = result["psi"]["score"], plain(p_text(result["evidence"]["p_value"]))
            threshold = result["tolerance"][f"psi_{severity}"]
            found = f"PSI {plain(psi_text(psi))} against a threshold of {plain(number(threshold))}, {p_value}"
            yield f"  {result['feature_name']}: {severity}. {found};"
            top = result["top_cells"][0]
            share = share_of(top["cell"], result["feature_type"])
            yield f"      {share} went from {_percent(top['reference'])} to {_percent(top['current'])}"


def stable_lines(findings: Findings) -> Iterator[str]:
    """Lines about subjects without drift: their largest score, and the bounds that a verdict needs."""
    summary = findings.final.report["summary"]
    stable = stable_subjects(findings)
    for name, (psi, p_value, checks) in stable.items():
        yield f"  {name:<22} {checks} checks: largest PSI {plain(psi_text(psi))}, smallest p {plain(chance(p_value))}"
    threshold, alpha = Settings().psi_warning_threshold, summary["alpha"]
    subjects, lookbacks = summary["checked"], len(summary["lookbacks"])
    budget = f"{summary['false_alarm_budget']:g} false alarm a model in 30 days"
    yield f"  Drift needs a PSI of at least {threshold:g}, or more where the reference itself varies more, and a p"
    yield f"  below {plain(chance_limit(alpha))}: that is what a budget of {budget} leaves for each of"
    yield f"  {subjects} subjects, {lookbacks} look-backs and an evaluation every hour."


def stable_subjects(findings: Findings) -> dict[str, tuple[float, float, int]]:
    """Largest PSI, smallest p-value and number of checks, of each subject that must not drift."""
    stable: dict[str, tuple[float, float, int]] = {}
    for check in (*findings.windows, *findings.sliding, findings.final):
        for result in check.report["drift_results"]:
            name = result["feature_name"]
            if name not in EXPECTED and result["psi"] is not None and result["evidence"] is not None:
                psi, p_value, checks = stable.get(name, (0.0, 1.0, 0))
                p_value = min(p_value, result["evidence"]["p_value"])
                stable[name] = (max(psi, result["psi"]["score"]), p_value, checks + 1)
    return stable


def performance_lines(plan: Plan, findings: Findings) -> Iterator[str]:
    """One line for each window: what share of its payments is labelled, and how right the model was; then what became
    of that with the shift, by the windows whose labels should have come."""
    for window in findings.performance:
        start, end = (datetime.fromisoformat(window[name]).timestamp() for name in ("start", "end"))
        rates = ", ".join(f"{name} {rate_text(window['metrics'].get(name))}" for name in ("accuracy", "precision"))
        labelled = f"{_percent(window['coverage']):>6} labelled"
        yield f"  {clock_time(int(start))} to {clock_time(int(end))}  {labelled}   {rates}"
    if any(window["immature"] for window in findings.performance):
        yield "  Windows with few labels so far are not judged: the first labels are mostly frauds."
    before, after = (
        [
            each
            for each in findings.performance
            if (each["start"] >= iso_of_seconds(plan.shift)) == shifted and each["labelled"] and not each["immature"]
        ]
        for shifted in (False, True)
    )
    if before and after:
        was, became = mean_rate(before), mean_rate(after)
        yield f"  The model was right in {_percent(was)} of the cases before the shift, in {_percent(became)} after it:"
        yield "  payments are larger, but not more often fraud, and the model takes them for fraud."


def rate_text(metric: Mapping[str, Any] | None) -> str:
    """A rate with its 95 % interval.

    >>> rate_text({"value": 0.9, "low": 0.88, "high": 0.92}), rate_text({"value": None, "reason": "no labels"})
    ('90.0 % (88.0 % to 92.0 %)', 'unknown')
    """
    if metric is None or metric["value"] is None:
        return "unknown"
    return f"{_percent(metric['value'])} ({_percent(metric['low'])} to {_percent(metric['high'])})"


def mean_rate(windows: Sequence[Mapping[str, Any]]) -> float:
    """The accuracy over all labelled payments of windows that have some.

    >>> mean_rate([{"labelled": 3, "metrics": {"accuracy": {"value": 1.0}}},
    ...            {"labelled": 1, "metrics": {"accuracy": {"value": 0.0}}}])
    0.75
    """
    right = sum(each["labelled"] * each["metrics"]["accuracy"]["value"] for each in windows)
    return float(right / sum(each["labelled"] for each in windows))


def where_lines(url: str) -> Iterator[str]:
    """Addresses of pages and routes of the service."""
    yield f"  Pages      {url}/"
    yield f"  Docs       {url}/docs"
    yield f"  Metrics    {url}/metrics"
    yield f"  Models     {url}/api/v1/models"
    yield f"  The check  curl -s {url}/api/v1/drift/check -H 'content-type: application/json' \\"
    yield f'                  -d \'{{"model_name": "{MODEL}"}}\''
    yield f"        or   modelwatch check {MODEL} --url {url}"


def as_data(plan: Plan, sent: Sent, findings: Findings) -> dict[str, Any]:
    """The same for programs."""
    return {
        "model_name": MODEL,
        "model_version": plan.version,
        "accepted": sent.accepted,
        "send_seconds": round(sent.seconds, 3),
        "shift_at": iso_of_seconds(plan.shift),
        "seen_at": None if findings.seen is None else iso_of_seconds(findings.seen.end),
        "windows": [
            {
                "start": iso_of_seconds(check.start),
                "end": iso_of_seconds(check.end),
                "predictions": check.predictions,
                "drifted": sorted(check.drifted),
            }
            for check in findings.windows
        ],
        "expected": sorted(EXPECTED),
        "labels": sent.labels,
        "performance": [
            {
                "start": window["start"],
                "end": window["end"],
                "labelled": window["labelled"],
                "coverage": window["coverage"],
                "accuracy": window["metrics"].get("accuracy"),
            }
            for window in findings.performance
        ],
        "final": findings.final.report,
    }


def share_of(cell: str, feature_type: str) -> str:
    """A cell's name in words.

    >>> share_of("> 310.5", "continuous"), share_of("(31.2, 44]", "continuous"), share_of("travel", "categorical")
    ('the share above 310.5', 'the share between 31.2 and 44', 'the share of travel')
    """
    if feature_type == "continuous":
        if cell.startswith("> "):
            return f"the share above {cell[2:]}"
        if cell.startswith("<= "):
            return f"the share up to {cell[3:]}"
        if match := _RANGE.fullmatch(cell):
            return f"the share between {match[1]} and {match[2]}"
    return f"the share of {cell.removeprefix('= ')}"


def clock_time(seconds: int) -> str:
    """A time of these days, UTC.

    >>> clock_time(0)
    'Thu 01 Jan 00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%a %d %b %H:%M")


def _names(check: WindowCheck, severity: str) -> list[str]:
    return [result["feature_name"] for result in check.report["drift_results"] if result["severity"] == severity]


def _percent(share: float) -> str:
    return plain(percent(share))
