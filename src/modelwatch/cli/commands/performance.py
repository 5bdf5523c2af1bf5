"""`modelwatch performance`: how well a model does, by its labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.cli.base import DEFAULT_URL, AsJson, FailOn, OfEnvironment, OfVersion, Url, print_out, show_current
from modelwatch.cli.output import coloured, print_notes, print_table, print_text
from modelwatch.measures import metric_name, metric_value, plain

if TYPE_CHECKING:
    from rich.text import Text

LABELS, COVERAGE = "ground_truth", "label_coverage"


def performance(
    model: Annotated[str, typer.Argument(help="Model.")],
    url: Url = DEFAULT_URL,
    version: OfVersion = None,
    environment: OfEnvironment = None,
    every: Annotated[bool, typer.Option("--all", help="All metrics, not only those that are watched.")] = False,
    fail_on: FailOn = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service for a model's performance now: metrics with 95 % intervals, beside the reference."""
    show_current(
        url,
        model,
        "performance",
        version,
        environment,
        fail_on=fail_on,
        as_json=as_json,
        show=partial(_show, every=every),
    )


def _show(report: Mapping[str, Any], *, every: bool) -> None:
    stream = f"{report['model_name']} {report['model_version']} in {report['environment']}"
    print_out(f"{stream}: {report['severity'].replace('_', ' ')}")
    if report["reason"]:
        print_text(report["reason"])
    rows: list[tuple[str | Text, ...]] = []
    # By what is said of them: most reasons are those of several metrics.
    notes: dict[str, list[str]] = {}
    # Those whose labels have come; of a new model there are none yet.
    matured = [window for window in report["windows"] if window["matured"]]
    for window in matured or report["windows"]:
        lookback = window["lookback"] or "window"
        if window["immature"]:
            notes.setdefault(window["immature"], []).append(lookback)
        # Labels that shift or stay away make the verdict, too.
        of_labels = {LABELS: window.get("label_drift"), COVERAGE: window.get("label_coverage")}
        for name, metric in (*window["metrics"].items(), *of_labels.items()):
            if metric is None or (not every and metric["severity"] is None):
                continue
            low, high = metric["low"], metric["high"]
            rows.append(
                (
                    metric_name(name),
                    lookback,
                    coloured(metric["severity"]) if metric["severity"] and window["matured"] else "",
                    _of(name, metric["value"]),
                    "" if low is None or high is None else f"{_of(name, low)} to {_of(name, high)}",
                    "" if metric["reference"] is None else _of(name, metric["reference"]),
                    f"{metric['n']:,}",
                )
            )
            said = metric["reason"] or _loss_of_labels(name, metric)
            if said and window["matured"]:
                notes.setdefault(said, []).append(f"{metric_name(name)} {lookback}")
    early = report.get("early")
    if early and early["decides"]:
        rows += _early_rows(early["window"])
        share = plain(percent(early["labelled_share"]))
        notes[f"judged on {share} of the usual labels; the others are still to come."] = ["early"]
    if rows:
        titles = ("metric", "span", "verdict", "value", "95 % interval", "reference", "labels")
        print_table(titles, rows, numbers=("value", "reference", "labels"))
    print_notes((", ".join(names), reason) for reason, names in notes.items())
    # An earlier release sends none.
    for warning in report.get("warnings", []):
        print_text(warning)
    print_out()


def _early_rows(window: Mapping[str, Any]) -> list[tuple[str | Text, ...]]:
    """The metrics that are worse in a window that is judged before most of its labels have come."""
    return [
        (
            metric_name(name),
            f"{window['lookback'] or 'window'} early",
            coloured(metric["severity"]),
            _of(name, metric["value"]),
            "" if metric["low"] is None else f"{_of(name, metric['low'])} to {_of(name, metric['high'])}",
            "" if metric["reference"] is None else _of(name, metric["reference"]),
            f"{metric['n']:,}",
        )
        for name, metric in window["metrics"].items()
        if metric["severity"] in ("warning", "alert")
    ]


def _loss_of_labels(name: str, found: Mapping[str, Any]) -> str:
    """How far the labels are from usual, where that is a finding; empty for metrics, whose values tell it."""
    loss, severity = found["loss"], found["severity"]
    if name not in (LABELS, COVERAGE) or loss is None or severity not in ("warning", "alert"):
        return ""
    limit = f"{severity} from {plain(number(found['threshold']))}"
    if name == COVERAGE:
        return f"{plain(percent(loss))} of the usual labels are missing."
    if found["by_odds"]:
        # A service of an earlier release does not say of which.
        of_class = found.get("odds_class", "a class")
        return f"The odds of {of_class} have changed by a factor of {plain(number(loss))} ({limit})."
    if found["reference"] is None:
        return f"PSI {plain(number(loss))} ({limit})."
    return f"The mean has moved by {plain(number(loss))} standard deviations ({limit})."


def _of(metric: str, value: float | None) -> str:
    """The value as it is written; of labels the mean, where they are numbers."""
    if metric == LABELS:
        return "–" if value is None else plain(number(value))
    return plain(metric_value(metric, value))
