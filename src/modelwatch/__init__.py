"""modelwatch: monitors machine-learning models in production, and compares data sets in a notebook.

Names are loaded when they are used. `Client` and `AsyncClient` are those of the distribution modelwatch-client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwatch_client import AsyncClient, Client

    from modelwatch.library.comparison import compare
    from modelwatch.library.profile import Profile, profile
    from modelwatch.library.reference import Reference
    from modelwatch.library.reports.report import Report

_HOMES = {
    "AsyncClient": "modelwatch_client",
    "Client": "modelwatch_client",
    "Profile": "modelwatch.library.profile",
    "Reference": "modelwatch.library.reference",
    "Report": "modelwatch.library.reports.report",
    "compare": "modelwatch.library.comparison",
    "profile": "modelwatch.library.profile",
}
__all__ = ["AsyncClient", "Client", "Profile", "Reference", "Report", "compare", "profile"]


def __getattr__(name: str) -> Any:
    """A name from its module. Raises ImportError for the client where modelwatch-client is not installed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "modelwatch_client":
            raise
        raise ImportError(
            f"modelwatch.{name} is part of modelwatch-client, which is not installed: pip install modelwatch-client"
            " (in a checkout: pip install ./clients/python)"
        ) from None
