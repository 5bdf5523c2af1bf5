"""`modelwatch alerts`: the alerts of a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_FOUND,
    EXIT_OK,
    FAILING,
    AsJson,
    CliError,
    OfEnvironment,
    Url,
    connected,
    print_json,
    print_out,
)
from modelwatch.cli.output import coloured, print_notes, print_table

ALERTS_PATH = "/api/v1/alerts"
# Open: those that may still need an action.
OPEN = ("firing", "acknowledged", "silenced")
STATES = (*OPEN, "resolved")
PAGE = "200"


def alerts(
    model: Annotated[str | None, typer.Argument(help="Model. Default: all.")] = None,
    url: Url = DEFAULT_URL,
    state: Annotated[
        str | None, typer.Option(metavar="|".join(STATES), help="Only alerts in this state. Default: all but resolved.")
    ] = None,
    environment: OfEnvironment = None,
    kind: Annotated[str | None, typer.Option(help="Kind, such as feature_drift.")] = None,
    severity: Annotated[str | None, typer.Option(metavar="warning|alert", help="Severity.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of alerts.", min=1)] = 100,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="warning|alert", help="Exit code 1 when a listed alert has this severity, or a higher one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the alerts of a service, newest first."""
    if fail_on is not None and fail_on not in FAILING:
        raise CliError(f"--fail-on {fail_on!r}: expected warning or alert")
    if state is not None and state not in STATES:
        raise CliError(f"--state {state!r}: expected one of {', '.join(STATES)}")
    params = {"model": model, "environment": environment, "kind": kind, "severity": severity, "state": state}
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with connected(url, patience=10.0) as service:
        if model is not None:
            # An unknown model has no alert either, and that would look as if all were well.
            service.get(f"/api/v1/models/{quote(model, safe='')}")
        while True:
            given = {name: value for name, value in {**params, "cursor": cursor}.items() if value is not None}
            page = service.get(ALERTS_PATH, {**given, "limit": PAGE})
            found += [each for each in page["alerts"] if state is not None or each["state"] in OPEN]
            cursor = page["next_cursor"]
            if cursor is None or len(found) >= limit:
                break
    found = found[:limit]
    if as_json:
        print_json({name: page[name] for name in ("data_until", "evaluated_until")} | {"alerts": found})
    else:
        _show(found, state)
    failed = fail_on is not None and any(each["severity"] in FAILING[fail_on] for each in found)
    raise typer.Exit(EXIT_FOUND if failed else EXIT_OK)


def _show(found: Sequence[Mapping[str, Any]], state: str | None) -> None:
    if not found:
        print_out(f"No alert is {state or 'open'}.")
        return
    print_table(
        ("model", "kind", "severity", "state", "opened", "findings"),
        (
            (
                each["model_name"],
                each["kind"].replace("_", " "),
                coloured(each["severity"]),
                each["state"],
                each["opened_at"][:16].replace("T", " "),
                f"{each['members']:,}",
            )
            for each in found
        ),
        numbers=("findings",),
        texts=2,
    )
    print_out()
    print_notes((each["alert_id"], each["title"]) for each in found)
