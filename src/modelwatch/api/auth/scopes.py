"""Scopes that operations need, and whether a key that is only for some models will do."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request

from modelwatch.access import Grant, Scope
from modelwatch.errors import UnknownModel


class Need(NamedTuple):
    """all_models: only a key that is for all models will do; otherwise the operation looks at the model itself."""

    scope: Scope
    all_models: bool = False


# By operation id. One that is not here needs everything.
NEEDS: dict[str, Need] = {
    "log_prediction": Need("ingest"),
    "log_predictions": Need("ingest"),
    "log_ground_truth": Need("ingest"),
    "log_ground_truths": Need("ingest"),
    "log_profile": Need("ingest"),
    "get_binnings": Need("read"),
    "set_reference": Need("ingest"),
    "set_reference_from_window": Need("admin"),
    "get_reference": Need("read"),
    "check_drift": Need("read"),
    "list_models": Need("read"),
    "get_overview": Need("read"),
    "get_model": Need("read"),
    "get_drift_history": Need("read"),
    "get_performance": Need("read"),
    "get_performance_csv": Need("read"),
    "get_performance_stretch": Need("read"),
    "get_quality": Need("read"),
    "get_quality_series": Need("read"),
    "get_quality_series_csv": Need("read"),
    "get_segments": Need("read"),
    "compare_model": Need("read"),
    "compare_subject": Need("read"),
    "get_series": Need("read"),
    "get_series_csv": Need("read"),
    "get_drift_series": Need("read"),
    "get_drift_series_csv": Need("read"),
    "get_volume": Need("read"),
    "list_model_events": Need("read"),
    "list_unwatched": Need("read"),
    "get_verdict": Need("read"),
    "verify_verdict": Need("read"),
    "list_monitors": Need("read"),
    "get_monitor": Need("read"),
    "backtest_monitor": Need("read"),
    "put_monitor": Need("admin"),
    "delete_monitor": Need("admin"),
    "list_alerts": Need("read"),
    "get_alert": Need("read"),
    "acknowledge_alert": Need("admin"),
    "resolve_alert": Need("admin"),
    "list_silences": Need("read", all_models=True),
    "get_silence": Need("read", all_models=True),
    "create_silence": Need("admin", all_models=True),
    "end_silence": Need("admin", all_models=True),
    "list_channels": Need("read", all_models=True),
    "test_channel": Need("admin", all_models=True),
    "list_deliveries": Need("read", all_models=True),
    "retry_delivery": Need("admin", all_models=True),
    "list_keys": Need("admin", all_models=True),
    "create_key": Need("admin", all_models=True),
    "revoke_key": Need("admin", all_models=True),
    "list_audit": Need("admin", all_models=True),
    "erase_prediction": Need("admin"),
    "delete_model": Need("admin"),
    "delete_version": Need("admin"),
    "delete_environment": Need("admin"),
    "get_deletion": Need("read"),
    "metrics": Need("read", all_models=True),
    "get_service": Need("read", all_models=True),
    "version": Need("read"),
}


def need_of(operation: str) -> Need:
    """The scope that an operation needs."""
    return NEEDS.get(operation, Need("admin", all_models=True))


# Answered to everybody, with or without a key.
OPEN_OPERATIONS = frozenset({"alive", "ready", "health"})


async def authorize(request: Request) -> None:
    """Authorize a request before its route: the key's scope, and its models.

    Raises Forbidden, and UnknownResource for a model that the key is not for: whether there is one is not said.
    """
    operation = request.scope["route"].operation_id
    grant: Grant | None = request.scope[GRANT]
    if operation in OPEN_OPERATIONS or grant is None:
        return
    need = need_of(operation)
    grant.require(need.scope)
    if need.all_models:
        grant.require_all_models()
    model = request.path_params.get("model_name")
    if model is not None:
        require_reading(grant, model)


def require_reading(grant: Grant, model: str) -> None:
    """Raises UnknownResource unless the grant is for the model, in the words for a model that there is not."""
    if not grant.is_for(model):
        raise UnknownModel(model)


GRANT = "modelwatch.grant"


def grant_of(request: Request) -> Grant:
    """The grant of a request's sender."""
    grant: Grant = request.scope[GRANT]
    return grant
