"""`modelwatch compare`: compares two data sets, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from xml.sax.saxutils import quoteattr

import typer

from modelwatch.cli.base import COLOURS, AsJson, CliError, exit_code, fail_on_of, print_err, print_out, screen

if TYPE_CHECKING:
    from modelwatch.library.report import Report


def compare(
    reference: Annotated[Path, typer.Argument(help="Parquet, Arrow or CSV file, folder, or saved reference.")],
    current: Annotated[Path, typer.Argument(help="Data set to compare with it.")],
    prediction: Annotated[str, typer.Option(help="Column of the predictions.")] = "prediction",
    score: Annotated[str, typer.Option(help="Column of their probabilities.")] = "prediction_probability",
    timestamp: Annotated[str, typer.Option(help="Column of the times.")] = "timestamp",
    ignore: Annotated[list[str] | None, typer.Option(help="A column that is not compared. Repeatable.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm in the whole report.")] = 0.01,
    html: Annotated[Path | None, typer.Option(help="Write the report as an HTML file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML, a test case a column.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="warning|alert|no-verdict",
            help="Exit code 1 on a warning (or worse) or an alert, 4 if anything is not judged. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two data sets: drift and data quality of each column.

    Needs no service. With --fail-on the exit code is 1 when that was found, and 4 when nothing could be judged.
    """
    from modelwatch.library.comparison import compare as compared
    from modelwatch.library.reference import SUFFIX, Reference

    fail_on = fail_on_of(fail_on)
    try:
        if reference.suffix == SUFFIX:
            report = compared(Reference.load(reference), current, alpha=alpha)
        else:
            ignored = ("prediction_id", "ground_truth", *(ignore or ()))
            names = {"prediction": prediction, "score": score, "timestamp": timestamp, "ignore": ignored}
            report = compared(Reference.fit(reference, **names), current, alpha=alpha)
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
    severities = {each.severity for each in report.results} | {each.severity for each in report.quality}
    raise typer.Exit(exit_code(severities, fail_on))


def _show(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from modelwatch.library.report import in_words

    print_out(report.summary())
    table = Table("column", "verdict", "PSI", "p", "values", "what moved", box=None, header_style="bold")
    for each in report.subjects:
        moved = in_words(each) if each.severity in ("warning", "alert") else each.reason or ""
        table.add_row(
            Text(each.name),
            Text(each.severity.replace("_", " "), COLOURS.get(each.severity, "")),
            "" if each.psi is None else f"{each.psi:.3f}",
            "" if each.p_value is None else f"{each.p_value:.2g}",
            f"{each.sample_size:,}",
            Text(moved),
        )
    screen().print(table)


def _junit(report: Report) -> str:
    """The results as JUnit XML: a failure for each warning and alert, skipped what has no verdict."""
    from modelwatch.library.report import in_words, quality_in_words

    cases, failures, skipped = [], 0, 0
    for each in report.subjects:
        inside = ""
        if each.severity in ("warning", "alert"):
            failures += 1
            inside = f"<failure type={quoteattr(each.severity)} message={quoteattr(in_words(each))}/>"
        elif each.severity != "stable":
            skipped += 1
            inside = f"<skipped message={quoteattr(each.reason or each.severity)}/>"
        cases.append(f'<testcase classname="drift" name={quoteattr(each.name)}>{inside}</testcase>')
    for found in report.quality:
        failures += 1
        inside = f"<failure type={quoteattr(found.severity)} message={quoteattr(quality_in_words(found))}/>"
        cases.append(
            f'<testcase classname="quality" name={quoteattr(f"{found.name} {found.rule}")}>{inside}</testcase>'
        )
    head = f'<testsuite name="modelwatch" tests="{len(cases)}" failures="{failures}" skipped="{skipped}">'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([head, *cases, "</testsuite>"]) + "\n"
