"""The routes, by resource."""

from fastapi import APIRouter, Depends

from modelwatch.api.auth.scopes import authorize
from modelwatch.api.routes.alerts import alerts, channels, silences
from modelwatch.api.routes.checks import drift, performance, quality, segments, series, verdicts
from modelwatch.api.routes.data import erasure, ground_truth, predictions, profiles, reference_windows, references
from modelwatch.api.routes.models import comparison, deletions, model_events, models, monitors, overview
from modelwatch.api.routes.operations import audit, keys, service
from modelwatch.api.routes.operations.service import probes
from modelwatch.api.unknown_names import refuse_unknown_parameters

api = APIRouter(prefix="/api/v1", dependencies=[Depends(authorize), Depends(refuse_unknown_parameters)])
for _module in (
    predictions,
    erasure,
    ground_truth,
    profiles,
    references,
    reference_windows,
    drift,
    performance,
    quality,
    segments,
    comparison,
    series,
    overview,
    models,
    model_events,
    deletions,
    verdicts,
    monitors,
    alerts,
    silences,
    channels,
    keys,
    audit,
    service,
):
    api.include_router(_module.router)

__all__ = ["api", "probes"]
