"""The address of a service."""

from __future__ import annotations

from urllib.parse import urlsplit

from modelwatch.cli.ending import Stop

DEFAULT_URL = "http://localhost:8000"


def normal_url(text: str) -> str:
    """The address of a service without a slash at its end. Raises Stop when it is none.

    >>> normal_url("localhost:8000/")
    'http://localhost:8000'
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise Stop(f"{text!r} is not the address of a service; expected something like {DEFAULT_URL}")
    return url.rstrip("/")
