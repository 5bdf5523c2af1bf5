"""`modelwatch report`: the report on a model of a service, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    AsJson,
    Url,
    connected,
    exit_code,
    fail_on_of,
    print_err,
    print_json_text,
    write_text,
)
from modelwatch.cli.output import print_text

DRIFT_PATH = "/api/v1/drift/check"


def report(
    model: Annotated[str, typer.Argument(help="Model.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file to write.")] = None,
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Version. Default: all that share the reference.")] = None,
    environment: Annotated[str | None, typer.Option(help="Default: production.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="shifted|warning|alert|no-verdict",
            help="Exit code 1 on a shift, a warning or an alert (or worse), 4 if anything is not judged. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a report on a model of a service: drift of each subject with its histogram, data quality, performance.

    The file is one HTML page without scripts, the same as that of `modelwatch compare`.
    """
    from modelwatch.library.reports.served import served_report, stretch_of

    fail_on = fail_on_of(fail_on)
    of_model = f"/api/v1/models/{quote(model, safe='')}"
    selected = {name: text for name, text in (("version", version), ("environment", environment)) if text is not None}
    with connected(url, patience=10.0) as service:
        body = {"model_name": model, "model_version": version, "environment": environment}
        check = service.post_json(DRIFT_PATH, {name: text for name, text in body.items() if text is not None})
        comparisons = [
            service.get(f"{of_model}/comparison", {**selected, **_subject(result)})
            for result in check["drift_results"]
            if result["reference_state"] is not None
        ]
        in_environment = {**selected, "environment": check["summary"]["environment"]}
        quality, performance = (
            service.get(f"{of_model}/{name}", in_environment)["current"] for name in ("quality", "performance")
        )
        judged = stretch_of(performance)
        stretch = None if judged is None else service.get(f"{of_model}/performance/stretch", judged)
    found = served_report(check, comparisons, quality, performance, stretch)
    if output is not None:
        write_text(output, found.to_html())
        print_err(f"The report is in {output}")
    if as_json:
        print_json_text(found.to_json())
    elif output is None:
        print_text(found.summary())
    severities: set[str] = {each.severity for each in found.results} | {each.severity for each in found.quality}
    severities |= set() if found.performance is None else {found.performance.severity}
    raise typer.Exit(exit_code(severities, fail_on))


def _subject(result: Mapping[str, Any]) -> dict[str, str]:
    """How the API names a subject."""
    return {"feature": result["feature_name"]} if result["kind"] == "feature" else {"kind": result["kind"]}
