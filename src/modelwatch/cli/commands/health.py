"""`modelwatch health`: asks a running service how it is, for the health checks of containers."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from modelwatch.cli.address import normal_url, own_url, uses_proxy
from modelwatch.cli.base import (
    EXIT_FOUND,
    URL_VARIABLE,
    AsJson,
    Unreachable,
    print_json,
    print_out,
    settings_with,
)


def health(
    url: Annotated[
        str | None, typer.Option(help="Address of the service. Default: the service with these settings.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Only check that it is alive, not that it is ready.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1, max=600)] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Ask a running service whether it is ready. Exit code 1 when it is not, 3 when it does not answer.

    MODELWATCH_URL is for the other commands: probes of a container ask its own service, whatever it says.
    """
    import httpx

    address = normal_url(url) if url else own_url(settings_with({}))
    try:
        response = httpx.get(
            f"{address}/{'livez' if live else 'readyz'}",
            timeout=timeout,
            trust_env=uses_proxy(address),
            verify=bool(url),
        )
        answer = response.json()
    except httpx.HTTPError as error:
        is_named = not url and os.environ.get(URL_VARIABLE)
        hint = f". The address in {URL_VARIABLE} was not asked: name it with --url" if is_named else ""
        raise Unreachable(f"No service answers at {address}: {str(error) or type(error).__name__}{hint}") from error
    except ValueError as error:
        raise Unreachable(f"The server at {address} is not modelwatch: its answer is not JSON.") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise Unreachable(f"The server at {address} is not modelwatch: its answer has no status.")
    if as_json:
        print_json(answer)
    else:
        print_out(_in_words(address, answer))
    if not response.is_success:
        raise typer.Exit(EXIT_FOUND)


def _in_words(address: str, answer: dict[str, Any]) -> str:
    checks = answer.get("checks")
    failed = [f"{name}: {text}" for name, text in checks.items() if text != "ok"] if isinstance(checks, dict) else []
    return "; ".join([f"{address} is {answer['status']}", *failed])
