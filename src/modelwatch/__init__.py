"""modelwatch: monitors machine-learning models in production.

`modelwatch.Client` and `modelwatch.AsyncClient` are those of the distribution modelwatch-client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwatch_client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """A name of the client, loaded when it is used. Raises ImportError where modelwatch-client is not installed."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import modelwatch_client
    except ModuleNotFoundError:
        raise ImportError(
            f"modelwatch.{name} is part of modelwatch-client: pip install modelwatch-client (in a checkout:"
            " pip install ./clients/python)"
        ) from None
    return getattr(modelwatch_client, name)
