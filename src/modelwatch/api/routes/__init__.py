"""The routes, by resource."""

from fastapi import APIRouter

from modelwatch.api.routes import drift, models, operations, predictions, references

api = APIRouter(prefix="/api/v1")
for _module in (predictions, references, drift, models):
    api.include_router(_module.router)

__all__ = ["api", "operations"]
