"""The host that a request is for, on services that need no key because only this machine reaches them.

A page of any site can have its own name lead to 127.0.0.1 once it is open in a browser. For the browser the service is
then a part of that site, which may read and write all of it. What it can't hide is the name in its request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from modelwatch.errors import Misdirected


def names_of(host: str, public_url: str) -> frozenset[str]:
    """The names of the service itself: that which it is bound to, and that by which people reach it."""
    return frozenset({host.lower(), (urlsplit(public_url).hostname or host).lower()})


def check_host(scope: Scope, names: Collection[str]) -> None:
    """Raises Misdirected when a request is for another name, which anyone could own."""
    for name, value in scope["headers"]:
        if name == b"host" and not is_own_host(value, names):
            raise Misdirected(
                f"The request is for the host {_name_in(value)[:80]!r}, but the service is known as localhost. If this"
                " is its name, set PUBLIC_URL to the address that people use."
            )


def is_own_host(value: bytes, names: Collection[str]) -> bool:
    """True when a `Host` header names the service, or what no site can have as its name."""
    host = _name_in(value)
    return host in names or _is_unowned(host)


@lru_cache(maxsize=256)
def _name_in(value: bytes) -> str:
    """The host without its port."""
    try:
        return (urlsplit(f"//{value.decode('latin-1')}").hostname or "").rstrip(".")
    except ValueError:
        return value.decode("latin-1")


@lru_cache(maxsize=256)
def _is_unowned(host: str) -> bool:
    """True when no site can have this name: an address, a name without dots, or one below localhost."""
    if "." not in host or host.endswith(".localhost"):
        return "/" not in host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
