"""`modelwatch check`: asks a service for drift now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwatch.charts.drawing.numbers import number
from modelwatch.cli.base import (
    DEFAULT_URL,
    FAILING,
    JUDGED,
    AsJson,
    Url,
    connected,
    exit_code,
    fail_on_of,
    print_json,
    print_out,
    write_text,
)
from modelwatch.cli.output import Case, coloured, junit_xml, print_notes, print_table, print_text
from modelwatch.measures import chance, chance_limit, from_to, plain, psi_text

DRIFT_PATH = "/api/v1/drift/check"
NAMED = 10


def check(
    model: Annotated[str, typer.Argument(help="Model to check.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Version. Default: all that share the reference.")] = None,
    environment: Annotated[str | None, typer.Option(help="Default: production.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Only this feature. Repeatable.")] = None,
    lookback: Annotated[
        str | None, typer.Option(help="Look-back, such as 6h. Default: LOOKBACKS of the service.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Start of the window, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window.")] = None,
    min_samples: Annotated[int | None, typer.Option(help="Values that a verdict needs.", min=1)] = None,
    compat: Annotated[str | None, typer.Option(help="Add scores by the definitions of another tool.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="shifted|warning|alert|no-verdict",
            help="Exit code 1 on this or worse, 4 if anything is not judged (no-verdict). Repeatable.",
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results as JUnit XML, with a test case for each subject.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service for drift now.

    With --fail-on the exit code is 1 when such a result was found, 4 when nothing could be judged; otherwise 0.
    """
    fail_on = fail_on_of(fail_on)
    body = {
        "model_name": model,
        "model_version": version,
        "environment": environment,
        "features": feature,
        "lookback": lookback,
        "start": start,
        "end": end,
        "min_samples": min_samples,
        "compat": compat,
    }
    with connected(url, patience=10.0) as service:
        report = service.post_json(DRIFT_PATH, {name: value for name, value in body.items() if value})
    if junit is not None:
        write_text(junit, junit_xml(_case(result) for result in report["drift_results"]))
    if as_json:
        print_json(report)
    else:
        _show(report)
    raise typer.Exit(exit_code({result["severity"] for result in report["drift_results"]}, fail_on))


def _case(result: Mapping[str, Any]) -> Case:
    return Case("drift", result["feature_name"], result["severity"], why(result), result["reason"])


def _show(report: Mapping[str, Any]) -> None:
    summary = report["summary"]
    print_out(f"{summary['model_name']} in {summary['environment']}: {summary['severity'].replace('_', ' ')}")
    if summary["reason"]:
        print_text(summary["reason"])
    results = report["drift_results"]
    print_table(
        ("what", "verdict", "PSI", "p", "values", "reference", "span"),
        (
            (
                result["feature_name"],
                coloured(result["severity"]),
                plain(psi_text(result["psi"]["score"])) if result["psi"] else "",
                plain(chance(result["evidence"]["p_value"])) if result["evidence"] else "",
                f"{result['sample_size']:,}",
                _reference(result),
                result["lookback"] or "",
            )
            for result in results
        ),
        numbers=("PSI", "p", "values", "reference"),
    )
    same = summary["reason"]
    print_notes((result["feature_name"], text) for result in results if (text := why(result)) and text != same)
    spans = {result["lookback"] or "span": _window(result) for result in results if result["window"]}
    print_notes(sorted(spans.items()))
    judged = sum(result["severity"] in JUDGED for result in report["drift_results"])
    if not judged:
        print_out("Nothing could be judged, so there is no verdict.")
        return
    some = "" if judged == summary["checked"] else f" {summary['checked'] - judged} could not be judged."
    print_text(
        f"{len(summary['drifted'])} of {judged} drifted.{some} A verdict needs p below"
        f" {plain(chance_limit(summary['alpha']))}: {summary['false_alarm_budget']:g} false alarm"
        f"{'' if summary['false_alarm_budget'] == 1 else 's'} per model in 30"
        f" days."
        f"{_provisional(report)}"
    )
    # A service of an earlier release sends none.
    for note in summary.get("notes", []):
        print_text(note)


def _reference(result: Mapping[str, Any]) -> str:
    if result["reference_state"] is None:
        return ""
    return f"{result['reference_size']:,}{' (p)' if result['reference_state'] == 'provisional' else ''}"


def _provisional(report: Mapping[str, Any]) -> str:
    """A sentence that names the provisional references; empty when there are none."""
    names = [each["feature_name"] for each in report["drift_results"] if each["reference_state"] == "provisional"]
    if not names:
        return ""
    all_of_them = len(names) == report["summary"]["checked"]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    whose = "The reference" if all_of_them else f"The reference of {', '.join(names[:NAMED])}{more}"
    return f" {whose} is provisional (p): the model's first predictions."


def _window(result: Mapping[str, Any]) -> str:
    start, end = result["window"]["start"], result["window"]["end"]
    return f"{start[:16].replace('T', ' ')} to {end[11:16] if start[:10] == end[:10] else end[:16].replace('T', ' ')}"


def why(result: Mapping[str, Any]) -> str:
    """The category whose odds decided or else the cell that moved most, if something drifted; otherwise the service's
    own reason."""
    odds, counts = result.get("odds"), result.get("counts")
    if odds and odds["decides"] and counts:
        place = counts["cells"].index(odds["category"])
        shares = (counts[side][place] / sum(counts[side]) for side in ("reference", "current"))
        return plain(f"{odds['category']}: {from_to(*shares)}, odds ratio {number(odds['ratio'])}")
    if result["severity"] in FAILING["warning"] and result["top_cells"]:
        top = result["top_cells"][0]
        return f"{top['cell']}: {plain(from_to(top['reference'], top['current']))}"
    return str(result["reason"] or "")
