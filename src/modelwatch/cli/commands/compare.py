"""`modelwatch compare`: compares two data sets, without a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from modelwatch.cli.base import (
    FAILING,
    AsJson,
    CliError,
    exit_code,
    fail_on_of,
    print_err,
    print_json_text,
    print_out,
    write_text,
)
from modelwatch.cli.output import Case, coloured, junit_xml, print_notes, print_table, print_text
from modelwatch.events import Task
from modelwatch.measures import chance, from_to, plain, psi_text

if TYPE_CHECKING:
    from modelwatch.library.performance import PerformanceComparison
    from modelwatch.library.reference import Reference
    from modelwatch.library.reports.report import Report
    from modelwatch.library.segments import SegmentComparison, SegmentsComparison


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
    by: Annotated[
        list[str] | None, typer.Option(help="Compare each segment by the values of this column, too. Repeatable.")
    ] = None,
    cluster_by: Annotated[
        str | None,
        typer.Option(
            help="Column whose values (customer, session) group rows that are not independent: p-values allow for it."
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm in the whole report.")] = 0.01,
    html: Annotated[Path | None, typer.Option(help="Write the report as an HTML file.")] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results as JUnit XML, with a test case for each column.")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="shifted|warning|alert|no-verdict",
            help="Exit code 1 on this or worse, 4 if anything is not judged (no-verdict). Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two data sets: drift and data quality of each column, and performance with labels.

    Needs no service. With --fail-on the exit code is 1 when such a result was found, 4 when nothing could be judged.
    """
    from modelwatch.library.comparison import compare as compared
    from modelwatch.library.reference import SUFFIX, Reference

    fail_on = fail_on_of(fail_on)
    if task not in (None, *get_args(Task)):
        raise CliError(f"--task {task!r}: expected one of {', '.join(get_args(Task))}")
    names = {"prediction": prediction, "score": score, "ground_truth": ground_truth, "timestamp": timestamp}
    try:
        if reference.suffix == SUFFIX:
            saved = Reference.load(reference)
            _check_options(saved, names, task, positive_class, ignore or ())
            report = compared(saved, current, alpha=alpha, by=by or (), cluster_by=cluster_by)
        else:
            report = compared(
                reference,
                current,
                alpha=alpha,
                task=cast(Task | None, task),
                positive_class=positive_class,
                by=by or (),
                cluster_by=cluster_by,
                ignore=("prediction_id", *(ignore or ())),
                **names,  # type: ignore[arg-type]
            )
        if html is not None:
            report.to_html(html)
        if junit is not None:
            write_text(junit, _junit(report))
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from error
    if as_json:
        print_json_text(report.to_json())
    else:
        _show(report)
    if html is not None:
        print_err(f"The report is in {html}")
    severities: set[str] = {each.severity for each in report.results} | {each.severity for each in report.quality}
    severities |= set() if report.segments is None else {report.segments.severity}
    severities |= set() if report.performance is None else {report.performance.severity}
    # A column that the data set to compare lacks has no verdict.
    severities |= {"no_data"} if report.absent else set()
    raise typer.Exit(exit_code(severities, fail_on))


def _check_options(
    saved: Reference, names: Mapping[str, str], task: str | None, positive_class: str | None, ignored: Sequence[str]
) -> None:
    """Raises CliError for options that a saved reference, which was made with its own, would not follow."""
    from modelwatch.library.reference import ColumnNames
    from modelwatch.storage.references.subjects import Subject

    layout = None if saved.labels is None else saved.labels.layout
    known = (ColumnNames(), saved.columns)
    wrong = [name for name, given in names.items() if given not in [getattr(each, name) for each in known]]
    if task not in (None, None if layout is None else layout.task):
        wrong.append("task")
    if positive_class not in (None, None if layout is None else layout.positive):
        wrong.append("positive_class")
    if any(Subject("feature", name) in saved.subjects for name in ignored):
        wrong.append("ignore")
    if wrong:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        raise CliError(f"{options}: the saved reference was made with other ones; make it again with these")


def _show(report: Report) -> None:
    from modelwatch.library.drift import in_words

    print_text(report.summary())
    print_out()
    print_table(
        ("column", "verdict", "PSI", "p", "values"),
        (
            (
                each.name,
                coloured(each.severity),
                "" if each.psi is None else plain(psi_text(each.psi)),
                "" if each.p_value is None else plain(chance(each.p_value)),
                f"{each.sample_size:,}",
            )
            for each in report.subjects
        ),
        numbers=("PSI", "p", "values"),
    )
    moved = (
        (each.name, in_words(each) if each.severity in FAILING["shifted"] else each.reason) for each in report.subjects
    )
    print_notes((name, text) for name, text in moved if text)
    if report.performance is not None:
        _metrics(report.performance)
    if report.segments is not None:
        _segments(report.segments)


def _segments(found: SegmentsComparison) -> None:
    from modelwatch.library.segments import SHOWN, moved_in
    from modelwatch.measures import metric_name, metric_value

    title = () if found.metric is None else (metric_name(found.metric),)

    def metric(each: SegmentComparison) -> str:
        if each.metric is None or each.metric.reference is None:
            return "–"
        before, now = (
            metric_value(each.metric.name, side.value) for side in (each.metric.reference, each.metric.current)
        )
        return plain(f"{before} → {now}")

    shown = found.segments[:SHOWN]
    print_out()
    print_table(
        ("segment", "verdict", "share of rows", *title),
        (
            (
                each.segment,
                coloured(each.severity),
                plain(from_to(each.share_before, each.share)),
                *((metric(each),) if title else ()),
            )
            for each in shown
        ),
        numbers=("share of rows", *title),
    )
    print_notes((each.segment, moved_in(each)) for each in shown if moved_in(each))


def _metrics(found: PerformanceComparison) -> None:
    from modelwatch.measures import metric_interval, metric_name, metric_value

    print_out()
    print_table(
        ("metric", "verdict", "reference", "now", "95 % interval", "p"),
        (
            (
                metric_name(each.name),
                coloured(each.severity),
                plain(metric_value(each.name, None if each.reference is None else each.reference.value)),
                plain(metric_value(each.name, each.current.value)),
                plain(metric_interval(each.name, each.current)),
                "" if each.p_value is None else plain(chance(each.p_value)),
            )
            for each in found.metrics
            if each.severity is not None
        ),
        numbers=("reference", "now", "p"),
    )
    print_notes(
        (metric_name(each.name), each.reason) for each in found.metrics if each.severity is not None and each.reason
    )
    labels = found.label_drift
    if labels is not None and labels.reason:
        print_notes([("labels", labels.reason)])


def _junit(report: Report) -> str:
    """The results as JUnit XML: a failure for each warning and alert, skipped what has no verdict."""
    from modelwatch.library.drift import in_words
    from modelwatch.library.performance import labels_in_words, performance_in_words
    from modelwatch.library.quality import quality_in_words
    from modelwatch.library.segments import segment_in_words

    cases = [Case("drift", each.name, each.severity, in_words(each), each.reason) for each in report.subjects]
    cases += [Case("drift", name, "no_data", "", report.left_out[name]) for name in report.absent]
    cases += [
        Case("quality", f"{each.name} {each.rule}", each.severity, quality_in_words(each), None)
        for each in report.quality
    ]
    found = report.performance
    if found is not None:
        cases += [
            Case("performance", each.name, each.severity, performance_in_words(each), each.reason)
            for each in found.metrics
            if each.severity is not None
        ]
        drift = found.label_drift
        if drift is not None and drift.severity is not None:
            cases.append(Case("performance", "labels", drift.severity, labels_in_words(found), drift.reason))
    if report.segments is not None:
        cases += [
            Case("segment", each.segment, each.severity, segment_in_words(each), None)
            for each in report.segments.segments
        ]
    return junit_xml(cases)
