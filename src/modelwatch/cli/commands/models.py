"""`modelwatch models`: lists the models of a service, and deletes one, or a version or an environment of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from modelwatch.cli.base import EXIT_FOUND, EXIT_OK, CliError, Refused, print_json, print_out, screen
from modelwatch.cli.client import ServiceClient

MODELS_PATH = "/api/v1/models"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0


def list_models(url: str, as_json: bool) -> int:
    """Prints all models, page by page. Raises CliError."""
    with ServiceClient(url) as service:
        service.check_reachable()
        models = list(_models(service))
    if as_json:
        print_json({"models": models})
        return EXIT_OK
    if not models:
        print_out("No model has sent anything.")
        return EXIT_OK
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "predictions", "reference", "versions", "data until", box=None, header_style="bold")
    for model in models:
        table.add_row(
            Text(model["model_name"]),
            f"{model['predictions']:,}",
            model["reference"],
            f"{len({stream['model_version'] for stream in model['streams']}):,}",
            model["data_until"] or "",
        )
    screen().print(table)
    return EXIT_OK


def delete_model(
    url: str, model: str, version: str | None, environment: str | None, confirmed: bool, wait: bool, as_json: bool
) -> int:
    """Deletes, waits until it is done unless told not to, and says how much it was. Raises CliError."""
    if version is not None and environment is not None:
        raise CliError("Give --version or --environment, not both: each is deleted by itself.")
    what = model if version is None else f"version {version} of {model}"
    what = what if environment is None else f"environment {environment} of {model}"
    if not confirmed:
        raise CliError(f"This removes {what} with everything that is stored of it, for good. Say so with --yes.")
    path = f"{MODELS_PATH}/{quote(model, safe='')}"
    if version is not None:
        path += f"/versions/{quote(version, safe='')}"
    if environment is not None:
        path += f"/environments/{quote(environment, safe='')}"
    with ServiceClient(url) as service:
        service.check_reachable()
        try:
            found = service.delete(path)
        except Refused as refusal:
            if refusal.status == 404:
                raise CliError(refusal.message, EXIT_FOUND) from None
            raise
        pause = FIRST_PAUSE_SECONDS
        while wait and found["status"] == "deleting":
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            found = service.get(f"/api/v1/deletions/{quote(found['deletion_id'], safe='')}")
    if as_json:
        print_json(found)
    elif found["status"] == "deleting":
        print_out(f"{what} is being deleted: GET /api/v1/deletions/{found['deletion_id']} says how far it is.")
    else:
        print_out(f"{what} is deleted: {found['predictions']:,} predictions and {found['removed']:,} other rows.")
    return EXIT_OK


def _models(service: ServiceClient) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = service.get(MODELS_PATH, {} if cursor is None else {"cursor": cursor})
        yield from page["models"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
