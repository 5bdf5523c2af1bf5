"""The decorator of predict functions."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from modelwatch_client.rows import NAMED_COLUMNS

if TYPE_CHECKING:
    from modelwatch_client.client import Client


def watched(
    client: Client,
    function: Callable[..., Any],
    features: Callable[..., Any] | None,
    result: Callable[[Any], Any] | None,
) -> Callable[..., Any]:
    """The function, whose calls are logged. See `Client.watch`."""

    def note(began: float, arguments: Any, named: Any, returned: Any) -> None:
        try:
            latency = (time.perf_counter() - began) * 1000
            given = features(*arguments, **named) if features is not None else _first(arguments, named)
            log_result(client, given, returned if result is None else result(returned), latency)
        except Exception as problem:  # noqa: BLE001 (the model's answer goes out, even when its monitoring fails)
            client._failed(problem)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def answer_later(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            returned = await function(*arguments, **named)
            note(began, arguments, named, returned)
            return returned

        return answer_later

    @functools.wraps(function)
    def answer(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        returned = function(*arguments, **named)
        note(began, arguments, named, returned)
        return returned

    return answer


def log_result(client: Client, features: Any, result: Any, latency_ms: float) -> None:
    """Logs one prediction, or one for each row when the features are a frame of several.

    result: a prediction, a pair (prediction, probability), or a mapping with `prediction`, `prediction_probability` and
    `prediction_id`; of a frame a sequence of predictions, or a pair of such.
    """
    if hasattr(features, "columns") and not isinstance(features, Mapping):
        from modelwatch_client.frames import columns_of

        columns = columns_of(features)
        predictions, scores = result if isinstance(result, tuple) else (result, None)
        given = {**columns, "prediction": list(predictions)}
        if scores is not None:
            given["prediction_probability"] = list(scores)
        given["latency_ms"] = [latency_ms / max(1, len(given["prediction"]))] * len(given["prediction"])
        client._log_rows(given, NAMED_COLUMNS, list(columns), 0.0)
        return
    if isinstance(result, Mapping):
        known = {name: result[name] for name in ("prediction_probability", "prediction_id") if name in result}
        client.log(features, result["prediction"], latency_ms=latency_ms, **known)
        return
    prediction, probability = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    client.log(features, prediction, prediction_probability=probability, latency_ms=latency_ms)


def _first(arguments: Any, named: Mapping[str, Any]) -> Any:
    """The first argument; of a method the one after `self`."""
    for value in (*arguments, *named.values()):
        if isinstance(value, Mapping) or hasattr(value, "columns") or hasattr(value, "to_dict"):
            return value
        if hasattr(value, "model_dump") or hasattr(value, "_asdict") or hasattr(value, "__dataclass_fields__"):
            return value
    raise TypeError(
        "no argument of the function is a mapping, a dataclass, a model, a series or a frame: give features="
    )
