"""Client of modelwatch: sends a model's predictions and outcomes in the background, and never disturbs the model.

    from modelwatch_client import Client

    client = Client("http://localhost:8000", model_name="fraud", model_version="2.1.0")
    prediction_id = client.log({"amount": 12.5, "country": "DE"}, prediction="legitimate", prediction_probability=0.98)
    client.log_ground_truth(prediction_id, "fraud")

Names are loaded when they are used: importing this package costs next to nothing, starts nothing, and opens nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwatch_client.aio import AsyncClient
    from modelwatch_client.client import Client
    from modelwatch_client.sending.counts import Stats
    from modelwatch_client.sending.http import ApiError, Unreachable

__version__ = "0.1.0"
__all__ = ["ApiError", "AsyncClient", "Client", "Stats", "Unreachable", "__version__"]

_HOMES = {
    "AsyncClient": "modelwatch_client.aio",
    "Client": "modelwatch_client.client",
    "Stats": "modelwatch_client.sending.counts",
    "ApiError": "modelwatch_client.sending.http",
    "Unreachable": "modelwatch_client.sending.http",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
