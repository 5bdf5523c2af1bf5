"""`modelwatch health`: asks a running service how it is, for the health checks of containers."""

from __future__ import annotations

from typing import Any

from modelwatch.cli.address import normal_url, own_url, uses_proxy
from modelwatch.cli.base import EXIT_FOUND, EXIT_OK, Unreachable, print_json, print_out, settings_with


def health(url: str | None, live: bool, seconds: float, as_json: bool) -> int:
    """Prints what the service says. Returns 1 when that is not good; raises Unreachable when it says nothing.

    url: None asks the service that has these settings. live: only whether it is alive, not whether it can work.
    """
    import httpx

    address = normal_url(url) if url else own_url(settings_with({}))
    try:
        response = httpx.get(
            f"{address}/{'livez' if live else 'readyz'}",
            timeout=seconds,
            trust_env=uses_proxy(address),
            verify=bool(url),
        )
        answer = response.json()
    except httpx.HTTPError as error:
        raise Unreachable(f"No service answers at {address}: {str(error) or type(error).__name__}") from error
    except ValueError as error:
        raise Unreachable(f"What answers at {address} is not modelwatch: it did not send JSON.") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise Unreachable(f"What answers at {address} is not modelwatch: it did not say how it is.")
    if as_json:
        print_json(answer)
    else:
        print_out(_in_words(address, answer))
    return EXIT_OK if response.is_success else EXIT_FOUND


def _in_words(address: str, answer: dict[str, Any]) -> str:
    checks = answer.get("checks")
    failed = [f"{name}: {text}" for name, text in checks.items() if text != "ok"] if isinstance(checks, dict) else []
    return "; ".join([f"{address} is {answer['status']}", *failed])
