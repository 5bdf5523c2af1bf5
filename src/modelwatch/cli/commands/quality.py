"""`modelwatch quality`: whether the data of a model are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.cli.base import (
    DEFAULT_URL,
    FAILING,
    AsJson,
    FailOn,
    OfEnvironment,
    OfVersion,
    Url,
    print_out,
    show_current,
)
from modelwatch.cli.output import coloured, print_notes, print_table, print_text
from modelwatch.measures import plain

FOUND = FAILING["warning"]


def quality(
    model: Annotated[str, typer.Argument(help="Model.")],
    url: Url = DEFAULT_URL,
    version: OfVersion = None,
    environment: OfEnvironment = None,
    every: Annotated[bool, typer.Option("--all", help="All rules, not only those that are broken.")] = False,
    fail_on: FailOn = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service for a model's data quality now: values with issues, schema, repeats, volume, freshness."""
    show_current(
        url, model, "quality", version, environment, fail_on=fail_on, as_json=as_json, show=partial(_show, every=every)
    )


def _show(report: Mapping[str, Any], *, every: bool) -> None:
    stream = f"{report['model_name']} {report['model_version']} in {report['environment']}"
    sound = "" if report["score"] is None else f", {_percent(report['score'])} of values have no issue"
    print_out(f"{stream}: {report['severity'].replace('_', ' ')}{sound}")
    if report["reason"]:
        print_text(report["reason"])
    rows = [
        (
            feature["feature_name"],
            rule["rule"].replace("_", " "),
            coloured(rule["severity"]),
            _percent(rule["rate"]),
            _percent(rule["reference_rate"]),
            f"{rule['n']:,}",
            rule["lookback"] or "",
        )
        for feature in report["features"]
        for rule in feature["rules"]
        if every or rule["severity"] in FOUND
    ]
    if rows:
        titles = ("feature", "rule", "verdict", "now", "reference", "values", "span")
        print_table(titles, rows, numbers=("now", "reference", "values"), texts=2)
    print_notes(_other(report))
    if not rows and report["severity"] == "stable":
        print_out("No rule is broken more often than in the reference.")
    print_out()


def _other(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What has been found beside the rates, as name and text."""
    notes = []
    for feature in report["features"]:
        notes += [
            (
                feature["feature_name"],
                f"{each['value']} may stand for missing values ({_percent(each['share'])} of the values)",
            )
            for each in feature["sentinels"]
            if each["severity"] in FOUND
        ]
        notes += [
            (
                feature["feature_name"],
                plain(
                    f"{number(each['value'])} is {number(each['times'])} times as far from the median as the"
                    " reference reaches"
                ),
            )
            for each in feature["extremes"]
        ]
    notes += [
        (each["feature_name"], f"has {each['change']} ({each['severity']})")
        for each in report["schema"]
        if each["severity"] in FOUND
    ]
    notes += [
        (f"volume, {each['span']}", f"{each['predictions']:,} predictions, {plain(number(each['expected']))} are usual")
        for each in report["volume"]
        if each["severity"] in FOUND
    ]
    if report["duplicates"]["severity"] in FOUND:
        changed, n = report["duplicates"]["changed"], report["duplicates"]["n"]
        notes.append(("repeats", f"{changed:,} of {n:,} predictions were sent again with different content"))
    return notes


def _percent(share: float | None) -> str:
    return "" if share is None else plain(percent(share))
