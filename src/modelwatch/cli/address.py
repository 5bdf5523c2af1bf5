"""The address of a service: from --url, MODELWATCH_URL, or the settings, in this order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelwatch.cli.base import URL_VARIABLE, CliError

if TYPE_CHECKING:
    from modelwatch.config import Settings

EXAMPLE_URL = "http://localhost:8000"
DEFAULT_PORT = 8000
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# A service that listens on every address is asked on this machine's own.
OWN_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def normal_url(text: str) -> str:
    """The address of a service without a slash at its end; of no text, that of MODELWATCH_URL, else `own_address`.

    Raises CliError when it is none, or when the settings don't say which.

    >>> normal_url("localhost:8000/")
    'http://localhost:8000'
    """
    text = text or os.environ.get(URL_VARIABLE, "")
    if not text:
        return own_address()
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise CliError(f"{text!r} is not the address of a service; expected something like {EXAMPLE_URL}")
    return url.rstrip("/")


def own_address() -> str:
    """The address of a service that is started here with the same settings.

    A mistake in other settings is left to the service to report, as long as the environment has the PORT. Raises
    CliError otherwise: the mistake may be in the address itself, and port 8000 be another service.
    """
    from modelwatch.config import load_settings
    from modelwatch.errors import SettingsError

    try:
        return own_url(load_settings())
    except SettingsError as error:
        port = os.environ.get("PORT", "").strip()
        if not (port.isascii() and port.isdigit()):
            raise CliError(f"{error}\nFix that, or name the service: --url or {URL_VARIABLE}.") from error
        return _url("http", os.environ.get("HOST", "").strip() or "localhost", int(port))


def own_url(settings: Settings) -> str:
    """The address by which this machine reaches the service with these settings."""
    return _url(settings.scheme, settings.host, settings.port or DEFAULT_PORT)


def _url(scheme: str, host: str, port: int) -> str:
    host = OWN_ADDRESS.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def uses_proxy(url: str) -> bool:
    """True when the environment's proxies apply to this address: they don't reach this machine's own services."""
    return urlsplit(url).hostname not in LOCAL_HOSTS
