"""The routes, by resource."""

from fastapi import APIRouter, Depends

from modelwatch.api.auth.scopes import authorize
from modelwatch.api.query import refuse_unknown_parameters
from modelwatch.api.routes import (
    alerts,
    audit,
    channels,
    comparison,
    deletions,
    drift,
    erasure,
    ground_truth,
    keys,
    model_events,
    models,
    monitors,
    operations,
    overview,
    performance,
    predictions,
    quality,
    reference_windows,
    references,
    segments,
    series,
    service,
    silences,
    verdicts,
)

api = APIRouter(prefix="/api/v1", dependencies=[Depends(authorize), Depends(refuse_unknown_parameters)])
for _module in (
    predictions,
    erasure,
    ground_truth,
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

__all__ = ["api", "operations"]
