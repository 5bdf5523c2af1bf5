"""Pages at /ui: those of the registered modules, signing in, the assets, and pages that say what went wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from modelwatch.access import KnownKeys
from modelwatch.api.problems import DAMAGED, damage_of
from modelwatch.api.state import ServiceState
from modelwatch.charts.drawing.plot import stylesheet
from modelwatch.errors import DamagedData, RequestError, ServiceError
from modelwatch.web.alerts import alerts_pages, channels_page, silences_page
from modelwatch.web.drift import drift_page, subject_page
from modelwatch.web.frame.login import Login
from modelwatch.web.frame.rendering import Renderer
from modelwatch.web.frame.site import Site, page, site_of
from modelwatch.web.models import compare_page, deletion, models_page, monitor_page, overview_page
from modelwatch.web.operations import keys_page, service_page
from modelwatch.web.performance import performance_page, segments_page
from modelwatch.web.quality import quality_page


class PageModule(Protocol):
    """Module of pages."""

    @property
    def ROUTES(self) -> Sequence[Route]: ...  # noqa: N802


# A new page is one more line here.
MODULES: tuple[PageModule, ...] = (
    alerts_pages,
    channels_page,
    compare_page,
    deletion,
    drift_page,
    keys_page,
    models_page,
    monitor_page,
    overview_page,
    performance_page,
    quality_page,
    segments_page,
    service_page,
    silences_page,
    subject_page,
)

# Bytes from which on a page is compressed, and how hard: a page of charts takes a few milliseconds.
LEAST_COMPRESSED = 1_024
COMPRESSION = 4

# What the reader of an error can do about it, by the kind of error, and its runbook.
WHAT_TO_DO = {
    "store-unavailable": (
        "Wait: this page tries again by itself. Nothing that was acknowledged is lost, and clients that retry lose"
        " nothing.",
        "PostgreSQL: is it running, does it accept connections, is its disk full?",
        "SQLite: does the folder still exist, is the disk full, does another program lock the file? modelwatch doctor"
        " checks all three.",
    ),
    "queue-full": ("Wait: more arrives than can be stored. This page tries again by itself.",),
    "forbidden": ("Sign in with a key that has the scope, or ask someone who has one.",),
    "too-many-requests": ("Wait a few seconds, then load the page again.",),
    "conflict": ("Go back and load the page again: it has changed since you opened it.",),
    "not-found": ("Look for it in the list of models or alerts: it may have been deleted, or have expired.",),
}
RUNBOOKS = {"store-unavailable": "modelwatchstoreunreachable", "queue-full": "modelwatchingestoverloaded"}


def build_pages(state: ServiceState, keys: KnownKeys) -> Starlette:
    """Application for /ui, over the parts of a service and the keys that it knows."""
    renderer = Renderer(state.version)
    shown: Sequence[Route] = [route for module in MODULES for route in module.ROUTES]
    site = Site(state, renderer, frozenset(route.path for route in shown))
    login = Login(keys, state.settings)
    assets = StaticFiles(directory=Path(str(files("modelwatch.web").joinpath("assets"))))
    app = Starlette(
        routes=[
            Route("/login", login.show),
            Route("/login", login.enter, methods=["POST"]),
            Route("/logout", login.leave, methods=["POST"]),
            page("/", _start),
            *shown,
            Route("/assets/charts.css", _charts_style),
            Mount("/assets", assets),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=LEAST_COMPRESSED, compresslevel=COMPRESSION)],
        exception_handlers={
            RequestError: _problem,
            ServiceError: _problem,
            HTTPException: _problem,
            Exception: _problem,
        },
    )
    app.state.site = site
    app.router.redirect_slashes = False
    return app


async def _start(_request: Request) -> Response:
    return RedirectResponse("models", 307)


async def _charts_style(request: Request) -> Response:
    content = stylesheet()
    headers = {"ETag": f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/css", headers=headers)


async def _problem(request: Request, error: Exception) -> Response:
    """Page of an error, which says what is wrong."""
    status, title, detail, headers = _described(error)
    errors = error.errors if isinstance(error, RequestError) else ()
    return site_of(request).say(
        request,
        "problem.html",
        status=status,
        headers=headers,
        title=title,
        detail=detail,
        code=status,
        errors=errors,
        steps=WHAT_TO_DO.get(getattr(error, "slug", ""), ()),
        runbook=RUNBOOKS.get(getattr(error, "slug", ""), ""),
        # What a form sent is not sent again by itself.
        retried=isinstance(error, ServiceError) and request.method in ("GET", "HEAD"),
    )


def _described(error: Exception) -> tuple[int, str, str, dict[str, str]]:
    """Status, title, text and headers of an error; an unexpected one says nothing about its cause, but for stored data
    that can't be read: of that it says which."""
    match error:
        case RequestError():
            return error.status, error.title, error.detail, {}
        case ServiceError():
            return error.status, error.title, error.detail, {"Retry-After": str(error.retry_after)}
        case HTTPException():
            return (
                error.status_code,
                error.detail,
                "There is no such page, or it does not accept this method.",
                dict(error.headers or {}),
            )
        case DamagedData():
            return 500, DAMAGED, damage_of(error), {}
        case _:
            return 500, "Internal error", "The log of the service has the details.", {}
