"""The commands of `modelwatch monitors` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwatch.cli.base import DEFAULT_URL, AsJson, Url

monitors = typer.Typer(help="Configurations of single models.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="YAML or JSON files, or folders of them.")]


@monitors.command("validate")
def validate(files: Files, as_json: AsJson = False) -> None:
    """Say everything that is wrong with monitor files. Needs no service. Exit code 2 if something is."""
    from modelwatch.cli.commands import monitors as commands

    raise typer.Exit(commands.validate(files, as_json))


@monitors.command("apply")
def apply(
    files: Files,
    url: Url = DEFAULT_URL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set the monitors of files at a service."""
    from modelwatch.cli.commands import monitors as commands

    raise typer.Exit(commands.apply(files, url, dry_run, as_json))


@monitors.command("get")
def get(
    model: Annotated[str, typer.Argument(help="The model.")], url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Show what counts for a model, as YAML."""
    from modelwatch.cli.commands import monitors as commands

    raise typer.Exit(commands.get(model, url, as_json))


@monitors.command("schema")
def schema() -> None:
    """Print the JSON Schema of a monitor, for editors."""
    from modelwatch.cli.commands import monitors as commands

    raise typer.Exit(commands.schema())


@monitors.command("backtest")
def backtest(
    file: Annotated[Path, typer.Argument(help="YAML or JSON with the monitors to try.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="One version of the model; else all.")] = None,
    environment: Annotated[str | None, typer.Option(help="Else production.")] = None,
    start: Annotated[str | None, typer.Option(help="Windows from here on, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="Windows up to here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try monitors on what a service has stored: how often, when and about what they would have alerted."""
    from modelwatch.cli.commands import monitors as commands

    options = {"model_version": version, "environment": environment, "start": start, "end": end}
    raise typer.Exit(commands.backtest(file, url, options, as_json))
