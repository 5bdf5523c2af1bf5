"""`modelwatch compare`: compares two data sets, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args
from xml.sax.saxutils import quoteattr

import typer

from modelwatch.cli.base import (
    COLOURS,
    FAILING,
    JUDGED,
    AsJson,
    CliError,
    exit_code,
    fail_on_of,
    print_err,
    print_out,
    screen,
)
from modelwatch.events import Task

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from modelwatch.library.performance import PerformanceComparison
    from modelwatch.library.report import Report

FAILED = ("warning", "alert")
# Kind, name, severity, what was found, why there is no verdict.
Case = tuple[str, str, str, str, str | None]


def compare(
    reference: Annotated[Path, typer.Argument(help="Parquet, Arrow or CSV file, folder, or saved reference.")],
    current: Annotated[Path, typer.Argument(help="Data set to compare with it.")],
    prediction: Annotated[str, typer.Option(help="Column of the predictions.")] = "prediction",
    score: Annotated[str, typer.Option(help="Column of their probabilities.")] = "prediction_probability",
    ground_truth: Annotated[str, typer.Option(help="Column of the labels.")] = "ground_truth",
    timestamp: Annotated[str, typer.Option(help="Column of the times.")] = "timestamp",
    task: Annotated[
        str | None, typer.Option(metavar="binary|multiclass|regression", help="Task of the model, if not inferred.")
    ] = None,
    positive_class: Annotated[str | None, typer.Option(help="The class that precision and recall are about.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A column that is not compared. Repeatable.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm in the whole report.")] = 0.01,
    html: Annotated[Path | None, typer.Option(help="Write the report as an HTML file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML, a test case a column.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="shifted|warning|alert|no-verdict",
            help="Exit code 1 on this or worse, 4 if anything is not judged (no-verdict). Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two data sets: drift and data quality of each column, and performance where there are labels.

    Needs no service. With --fail-on the exit code is 1 when that was found, and 4 when nothing could be judged.
    """
    from modelwatch.library.comparison import compare as compared
    from modelwatch.library.reference import SUFFIX, Reference

    fail_on = fail_on_of(fail_on)
    if task not in (None, *get_args(Task)):
        raise CliError(f"--task {task!r}: expected one of {', '.join(get_args(Task))}")
    try:
        if reference.suffix == SUFFIX:
            report = compared(Reference.load(reference), current, alpha=alpha)
        else:
            names = {"prediction": prediction, "score": score, "ground_truth": ground_truth, "timestamp": timestamp}
            ignored = ("prediction_id", *(ignore or ()))
            fitted = Reference.fit(
                reference, task=cast(Task | None, task), positive_class=positive_class, ignore=ignored, **names
            )
            report = compared(fitted, current, alpha=alpha)
        if html is not None:
            report.to_html(html)
        if junit is not None:
            junit.write_text(_junit(report), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from error
    if as_json:
        print_out(report.to_json())
    else:
        _show(report)
    if html is not None:
        print_err(f"The report is in {html}")
    severities: set[str] = {each.severity for each in report.results} | {each.severity for each in report.quality}
    severities |= set() if report.performance is None else {report.performance.severity}
    raise typer.Exit(exit_code(severities, fail_on))


def _show(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from modelwatch.library.report import in_words

    print_out(report.summary())
    table = Table("column", "verdict", "PSI", "p", "values", "what moved", box=None, header_style="bold")
    for each in report.subjects:
        moved = in_words(each) if each.severity in FAILING["shifted"] else each.reason or ""
        table.add_row(
            Text(each.name),
            Text(each.severity.replace("_", " "), COLOURS.get(each.severity, "")),
            "" if each.psi is None else f"{each.psi:.3f}",
            "" if each.p_value is None else f"{each.p_value:.2g}",
            f"{each.sample_size:,}",
            Text(moved),
        )
    screen().print(table)
    if report.performance is not None:
        screen().print(_metrics(report.performance))


def _metrics(found: PerformanceComparison) -> RichTable:
    from rich.table import Table
    from rich.text import Text

    from modelwatch.measures import metric_interval, metric_name, metric_value

    table = Table("metric", "verdict", "reference", "now", "95 % interval", "p", box=None, header_style="bold")
    for each in found.metrics:
        if each.severity is None:
            continue
        now = each.current
        table.add_row(
            metric_name(each.name),
            Text(each.severity.replace("_", " "), COLOURS.get(each.severity, "")),
            metric_value(each.name, None if each.reference is None else each.reference.value),
            metric_value(each.name, now.value),
            metric_interval(each.name, now),
            "" if each.p_value is None else f"{each.p_value:.2g}",
        )
    return table


def _junit(report: Report) -> str:
    """The results as JUnit XML: a failure for each warning and alert, skipped what has no verdict."""
    from modelwatch.library.performance import labels_in_words, performance_in_words
    from modelwatch.library.report import in_words, quality_in_words

    cases: list[Case] = [("drift", each.name, each.severity, in_words(each), each.reason) for each in report.subjects]
    cases += [
        ("quality", f"{each.name} {each.rule}", each.severity, quality_in_words(each), None) for each in report.quality
    ]
    found = report.performance
    if found is not None:
        cases += [
            ("performance", each.name, each.severity, performance_in_words(each), each.reason)
            for each in found.metrics
            if each.severity is not None
        ]
        drift = found.label_drift
        if drift is not None and drift.severity is not None:
            cases.append(("performance", "labels", drift.severity, labels_in_words(found), drift.reason))
    failures = sum(severity in FAILED for _, _, severity, _, _ in cases)
    skipped = sum(severity not in JUDGED for _, _, severity, _, _ in cases)
    head = f'<testsuite name="modelwatch" tests="{len(cases)}" failures="{failures}" skipped="{skipped}">'
    lines = [head, *(_case(*each) for each in cases), "</testsuite>"]
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(lines) + "\n"


def _case(kind: str, name: str, severity: str, found: str, reason: str | None) -> str:
    inside = ""
    if severity in FAILED:
        inside = f"<failure type={quoteattr(severity)} message={quoteattr(found)}/>"
    elif severity not in JUDGED:
        inside = f"<skipped message={quoteattr(reason or severity)}/>"
    return f'<testcase classname="{kind}" name={quoteattr(name)}>{inside}</testcase>'
