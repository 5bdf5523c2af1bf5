"""`modelwatch monitors`: configurations of models as files: checked, applied, and tried on what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_USAGE,
    AsJson,
    CliError,
    Refused,
    Url,
    connected,
    print_err,
    print_json,
    print_out,
    print_yaml,
)
from modelwatch.measures import plain, score_title, score_value

if TYPE_CHECKING:
    from modelwatch.cli.client import ServiceClient
    from modelwatch.config.monitors.files import FiledMonitor

MOST_EPISODES = 20


monitors = typer.Typer(help="Monitors: configurations of single models.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="YAML or JSON files, or folders of them.")]


@monitors.command()
def validate(files: Files, as_json: AsJson = False) -> None:
    """List all errors of monitor files. Needs no service. Exit code 2 if there are any."""
    from modelwatch.config.monitors.files import read_monitors

    filed, problems = read_monitors(_files(files))
    if as_json:
        print_json(
            {
                "valid": not problems,
                "monitors": [{"model_name": each.model, "file": str(each.path)} for each in filed],
                "problems": [
                    {"file": str(each.path), "pointer": each.pointer, "message": each.message} for each in problems
                ],
            }
        )
    else:
        for problem in problems:
            print_err(str(problem))
        for monitor in filed:
            print_out(f"{monitor.path}: a monitor of {monitor.model}")
    if problems:
        raise typer.Exit(EXIT_USAGE)


@monitors.command()
def apply(
    files: Files,
    url: Url = DEFAULT_URL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set monitors from files at a service."""
    from modelwatch.config.monitors.monitor import as_document

    changes: list[dict[str, str]] = []
    refused: str | None = None
    filed = _valid(files)
    with connected(url) as service:
        for monitor in filed:
            wanted = as_document(monitor.config)
            before = _present(service, monitor.model)
            change = "created" if before is None else "unchanged" if before == wanted else "changed"
            if change != "unchanged" and not dry_run:
                try:
                    service.put_json(_path(monitor.model), wanted)
                except Refused as refusal:
                    refused = f"{monitor.path}, the monitor of {monitor.model}, was refused.\n{refusal.message}"
                    break
            changes.append({"model_name": monitor.model, "file": str(monitor.path), "change": change})
    # What was done before a refusal is said too.
    if as_json:
        print_json({"dry_run": dry_run, "monitors": changes})
    else:
        for each in changes:
            would = "would be " if dry_run and each["change"] != "unchanged" else ""
            print_out(f"{each['model_name']}: {would}{each['change']} ({each['file']})")
    if refused is not None:
        raise CliError(refused)


@monitors.command()
def get(
    model: Annotated[str, typer.Argument(help="The model.")], url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Show the effective monitor of a model, as YAML."""
    with connected(url) as service:
        found = service.get(_path(model))
    if as_json:
        print_json(found)
        return
    where = "no monitor; these are the defaults" if found["revision"] == 0 else f"revision {found['revision']}"
    print_out(f"# The monitor of {model} ({where}), with every default filled in")
    print_yaml({"model": model} | found["effective"])


@monitors.command()
def schema() -> None:
    """Print the JSON Schema of a monitor, for editors."""
    from modelwatch.config.monitors.monitor import monitor_schema

    print_out(json.dumps(monitor_schema(), indent=2))


@monitors.command()
def backtest(
    file: Annotated[Path, typer.Argument(help="YAML or JSON file with the monitors to test.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Version of the model. Default: all.")] = None,
    environment: Annotated[str | None, typer.Option(help="Default: production.")] = None,
    start: Annotated[str | None, typer.Option(help="Start of the data, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the data.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try monitors on the stored data of a service: how often, when and about what they would have alerted."""
    from modelwatch.config.monitors.monitor import as_document

    reports = []
    filed = _valid([file])
    options = {"model_version": version, "environment": environment, "start": start, "end": end}
    with connected(url) as service:
        for monitor in filed:
            body = {name: value for name, value in options.items() if value is not None}
            body["monitor"] = as_document(monitor.config)  # type: ignore[assignment]
            reports.append(service.post_json(f"{_path(monitor.model)}/backtest", body))
    if as_json:
        print_json({"backtests": reports})
        return
    for report in reports:
        for proposed, in_force in zip(report["proposed"], report["in_force"], strict=True):
            _show(proposed, in_force)


def _show(proposed: Mapping[str, Any], in_force: Mapping[str, Any]) -> None:
    stream = f"{proposed['model_name']} {proposed['model_version']} in {proposed['environment']}"
    if proposed["start"] is None:
        print_out(f"{stream}: no data in this span")
        return
    print_out(f"{stream}, {proposed['start']} to {proposed['end']}")
    for title, result in (("this file", proposed), ("in force", in_force)):
        rate = result["alerts_per_30_days"]
        print_out(
            f"  {title:<10} {_count(result['alerts'], 'alert')} in {_count(result['evaluations'], 'evaluation')}"
            f" ({rate:.3g} in 30 days), {_count(len(result['episodes']), 'finding')}"
        )
    for episode in proposed["episodes"][:MOST_EPISODES]:
        until = episode["end"] or "the end"
        print_out(
            f"    {episode['start']} to {until}: {episode['subject']} {episode['severity']},"
            f" {score_title(episode['score_name'])} up to {_size(episode)}; {episode['detail']}"
        )
    if len(proposed["episodes"]) > MOST_EPISODES:
        print_out(f"    and {len(proposed['episodes']) - MOST_EPISODES} more (--json has all)")


def _size(episode: Mapping[str, Any]) -> str:
    return plain(score_value(episode["score_name"], episode["largest_score"]))


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _present(service: ServiceClient, model: str) -> Any:
    """The monitor that is set for the model; None when none is."""
    try:
        found = service.get(_path(model))
    except Refused as refusal:
        if refusal.status == 404:
            return None
        raise
    return found["monitor"] if found["revision"] else None


def _valid(paths: Sequence[Path]) -> list[FiledMonitor]:
    from modelwatch.config.monitors.files import read_monitors

    monitors, problems = read_monitors(_files(paths))
    if problems:
        raise CliError("\n".join(map(str, problems)))
    return monitors


def _files(paths: Sequence[Path]) -> list[Path]:
    from modelwatch.config.monitors.files import monitor_files

    found = []
    for path in paths:
        files = monitor_files(path)
        if not files:
            raise CliError(f"{path}: there is no such file, or no .yaml, .yml or .json file in the folder")
        found += files
    return found


def _path(model: str) -> str:
    return f"/api/v1/models/{quote(model, safe='')}/monitor"
