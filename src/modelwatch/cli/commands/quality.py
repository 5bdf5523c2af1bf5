"""`modelwatch quality`: whether the data of a model are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    FAILING,
    AsJson,
    Url,
    connected,
    exit_code,
    fail_on_of,
    print_json,
    print_out,
)
from modelwatch.cli.tables import coloured, print_notes, print_table, print_text

FOUND = FAILING["warning"]


def quality(
    model: Annotated[str, typer.Argument(help="Model.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Version. Default: all.")] = None,
    environment: Annotated[str | None, typer.Option(help="Environment. Default: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rules, not only those that are broken.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="warning|alert|no-verdict",
            help="Exit code 1 on a warning (or worse) or an alert, 4 if anything is not judged. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service for a model's data quality now: unsound values, schema, repeats, volume, freshness."""
    fail_on = fail_on_of(fail_on)
    params = {"version": version, "environment": environment}
    with connected(url, patience=10.0) as service:
        given = {name: value for name, value in params.items() if value is not None}
        answer = service.get(f"/api/v1/models/{quote(model, safe='')}/quality", given)
    if as_json:
        print_json(answer)
    else:
        if not answer["current"]:
            print_out("No predictions of this version and environment.")
        for report in answer["current"]:
            _show(report, every)
    raise typer.Exit(exit_code({report["severity"] for report in answer["current"]}, fail_on))


def _show(report: Mapping[str, Any], every: bool) -> None:
    stream = f"{report['model_name']} {report['model_version']} in {report['environment']}"
    sound = "" if report["score"] is None else f", {report['score']:.1%} of the values are sound"
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
                f"{each['value']} may stand for missing values ({each['share']:.1%} of the values)",
            )
            for each in feature["sentinels"]
            if each["severity"] in FOUND
        ]
        notes += [
            (
                feature["feature_name"],
                f"{each['value']:g} is {each['times']:.3g} times as far out as the reference's end",
            )
            for each in feature["extremes"]
        ]
    notes += [
        (each["feature_name"], f"has {each['change']} ({each['severity']})")
        for each in report["schema"]
        if each["severity"] in FOUND
    ]
    notes += [
        (f"volume, {each['span']}", f"{each['predictions']:,} predictions, {each['expected']:,.0f} are usual")
        for each in report["volume"]
        if each["severity"] in FOUND
    ]
    if report["duplicates"]["severity"] in FOUND:
        changed, n = report["duplicates"]["changed"], report["duplicates"]["n"]
        notes.append(("repeats", f"{changed:,} of {n:,} predictions came again with another content"))
    return notes


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
