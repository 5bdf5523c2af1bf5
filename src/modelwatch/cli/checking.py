"""`modelwatch check`: asks a service for drift now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.cli.ending import FOUND, OK, Stop
from modelwatch.cli.output import give_json, say, screen
from modelwatch.cli.service import Service

DRIFT_PATH = "/api/v1/drift/check"
# Which severities fail a check that fails on this one.
FAILING = {"warning": {"warning", "alert"}, "alert": {"alert"}}
COLOURS = {"alert": "bold red", "warning": "yellow", "stable": "green"}


def check(url: str, body: Mapping[str, Any], fail_on: str | None, as_json: bool) -> int:
    """Asks, prints the answer, and returns the exit code. Raises Stop."""
    if fail_on is not None and fail_on not in FAILING:
        raise Stop(f"--fail-on {fail_on!r}: expected warning or alert")
    with Service(url, patience=10.0) as service:
        service.check_reachable()
        report = service.post_json(DRIFT_PATH, {name: value for name, value in body.items() if value})
    if as_json:
        give_json(report)
    else:
        _show(report)
    severities = {result["severity"] for result in report["drift_results"]}
    return FOUND if fail_on is not None and severities & FAILING[fail_on] else OK


def _show(report: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    summary = report["summary"]
    say(f"{summary['model_name']} in {summary['environment']}: {summary['severity'].replace('_', ' ')}")
    if summary["reason"]:
        say(summary["reason"])
    table = Table("what", "verdict", "PSI", "p", "values", "window", "why", box=None, header_style="bold")
    for result in report["drift_results"]:
        severity = result["severity"]
        table.add_row(
            Text(result["feature_name"]),
            Text(severity.replace("_", " "), COLOURS.get(severity, "")),
            f"{result['psi']['score']:.3f}" if result["psi"] else "",
            f"{result['evidence']['p_value']:.2g}" if result["evidence"] else "",
            f"{result['sample_size']:,}",
            Text(_window(result)),
            Text(why(result)),
        )
    screen().print(table)
    provisional = " The reference is provisional: the model's first predictions." if summary["provisional"] else ""
    say(
        f"{len(summary['drifted'])} of {summary['checked']} drifted. A verdict needs p below {summary['alpha']:.2g}:"
        f" {summary['false_alarm_budget']:g} false alarms a model in 30 days.{provisional}"
    )


def _window(result: Mapping[str, Any]) -> str:
    if result["window"] is None:
        return ""
    start, end = result["window"]["start"], result["window"]["end"]
    text = f"{start[:16].replace('T', ' ')} to {end[11:16] if start[:10] == end[:10] else end[:16].replace('T', ' ')}"
    return f"{text} ({result['lookback']})" if result["lookback"] else text


def why(result: Mapping[str, Any]) -> str:
    """The cell that moved most, if something drifted; else the service's own reason."""
    if result["severity"] in FAILING["warning"] and result["top_cells"]:
        top = result["top_cells"][0]
        return f"{top['cell']}: {top['reference']:.1%} -> {top['current']:.1%}"
    return str(result["reason"] or "")
