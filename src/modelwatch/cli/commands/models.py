"""`modelwatch models`: lists the models of a service, and deletes one, or a version or an environment of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_FOUND,
    AsJson,
    CliError,
    Refused,
    Url,
    connected,
    print_json,
    print_out,
)
from modelwatch.cli.output import print_table

if TYPE_CHECKING:
    from modelwatch.cli.client import ServiceClient

MODELS_PATH = "/api/v1/models"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0


models = typer.Typer(help="The models of a service: lists them, or deletes one.")


@models.callback(invoke_without_command=True)
def models_of(context: typer.Context, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The models of a service: lists them, or deletes one."""
    if context.invoked_subcommand is None:
        list_models(url, as_json)


@models.command("list")
def list_models(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the models, and what each has sent."""
    with connected(url) as service:
        found = list(_models(service))
    if as_json:
        print_json({"models": found})
        return
    if not found:
        print_out("No model has sent predictions.")
        return
    print_table(
        ("model", "predictions", "reference", "versions", "data until"),
        (
            (
                model["model_name"],
                f"{model['predictions']:,}",
                model["reference"],
                f"{len({stream['model_version'] for stream in model['streams']}):,}",
                model["data_until"] or "",
            )
            for model in found
        ),
        numbers=("predictions", "versions"),
    )


@models.command("delete")
def delete_model(
    model: Annotated[str, typer.Argument(help="Model to delete.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Only this version.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only this environment.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm the deletion.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Don't wait for the end of the deletion.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a model, or a version or an environment of it, with all its data.

    Exit code 1 if there is nothing of that name.
    """
    if version is not None and environment is not None:
        raise CliError("Give --version or --environment, not both: they are deleted separately.")
    what = model if version is None else f"version {version} of {model}"
    what = what if environment is None else f"environment {environment} of {model}"
    if not yes:
        raise CliError(f"This removes {what} with all its data, permanently. Confirm with --yes.")
    path = f"{MODELS_PATH}/{quote(model, safe='')}"
    if version is not None:
        path += f"/versions/{quote(version, safe='')}"
    if environment is not None:
        path += f"/environments/{quote(environment, safe='')}"
    with connected(url) as service:
        try:
            found = service.delete(path)
        except Refused as refusal:
            if refusal.status == 404:
                raise CliError(refusal.message, EXIT_FOUND) from None
            raise
        pause = FIRST_PAUSE_SECONDS
        while not no_wait and found["status"] == "deleting":
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            found = service.get(f"/api/v1/deletions/{quote(found['deletion_id'], safe='')}")
    if as_json:
        print_json(found)
    elif found["status"] == "deleting":
        print_out(f"{what} is being deleted: GET /api/v1/deletions/{found['deletion_id']} shows the progress.")
    else:
        print_out(f"{what} is deleted: {found['predictions']:,} predictions and {found['removed']:,} other rows.")


def _models(service: ServiceClient) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = service.get(MODELS_PATH, {} if cursor is None else {"cursor": cursor})
        yield from page["models"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
