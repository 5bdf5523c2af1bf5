"""The routes, by resource."""

from fastapi import APIRouter

from modelwatch.api.routes import drift, models, monitors, operations, predictions, references, verdicts

api = APIRouter(prefix="/api/v1")
for _module in (predictions, references, drift, models, verdicts, monitors):
    api.include_router(_module.router)

__all__ = ["api", "operations"]
