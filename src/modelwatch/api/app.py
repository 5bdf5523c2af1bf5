"""The HTTP application: routes, problems, documents, and the fast path in front."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from http import HTTPStatus

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwatch.access import Grant, KnownKeys
from modelwatch.api import docs, openapi
from modelwatch.api.around import Addresses, SecurityHeaders
from modelwatch.api.auth.gate import PAGES, Gate
from modelwatch.api.auth.scopes import GRANT, authorize
from modelwatch.api.auth.sites import SameOrigin
from modelwatch.api.fast_lane import FastLane
from modelwatch.api.ingest.hot_posts import FastPath, HotPost, OneLabel, OnePrediction
from modelwatch.api.problems import framework_problem
from modelwatch.api.routes import api, probes
from modelwatch.api.routes.data.ground_truth import LOG_GROUND_TRUTH
from modelwatch.api.routes.data.predictions import LOG_PREDICTION
from modelwatch.api.shared_answers import SharedAnswers
from modelwatch.api.state import ServiceState
from modelwatch.api.unknown_names import with_nearest
from modelwatch.errors import RequestError, ServiceError, UnknownModel, UnknownResource, excerpt

PREFIX = "/api/v1"
PREDICTIONS, GROUND_TRUTH = f"{PREFIX}/predictions", f"{PREFIX}/ground-truth"

# Of a path that nothing is at, so many segments are looked at for a name with a slash.
MOST_SEGMENTS = 12

DESCRIPTION = """Send predictions, set references, check drift, manage alerts and silences.

Every acknowledged prediction counts exactly once; send the same id again after any error. Errors are
`application/problem+json` (RFC 9457) and name each invalid field.
"""


class Application:
    """The ASGI application of a service. app: the framework's part of it, with the routes and the lifespan.

    lane: what a server may ask before it calls the application.
    """

    def __init__(self, app: FastAPI, outermost: ASGIApp, lane: FastLane) -> None:
        self.app = app
        self.lane = lane
        self._outermost = outermost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._outermost(scope, receive, send)


def build_app(
    state: ServiceState,
    lifespan: Callable[[], AbstractAsyncContextManager[None]],
    pages: ASGIApp,
    keys: KnownKeys,
) -> Application:
    """The ASGI application of a service whose parts are in `state`; `lifespan` starts and stops them.

    pages: what people see, at /ui. keys: those that requests may come with.
    """

    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    app = FastAPI(
        title="modelwatch",
        summary="Monitors machine-learning models in production",
        description=DESCRIPTION,
        version=state.version,
        docs_url=None,
        redoc_url=None,
        lifespan=run,
        # A redirect would name the scheme and the path behind a proxy, and a client would follow it with its key.
        redirect_slashes=False,
    )
    app.state.service = state
    hot = {PREDICTIONS: HotPost(state, OnePrediction()), GROUND_TRUTH: HotPost(state, OneLabel())}
    app.router.routes += [Route(path, post, methods=["POST"]) for path, post in hot.items()]
    app.router.routes += routes()
    app.mount(PAGES, pages)
    app.add_middleware(
        SameOrigin,
        public_url=state.settings.reached_at,
        refused=state.count_refusal,
    )
    docs.install(app)
    openapi.install(app, {PREDICTIONS: LOG_PREDICTION, GROUND_TRUTH: LOG_GROUND_TRUTH})
    _install_problems(app, state)
    gate = Gate(FastPath(SharedAnswers(app), hot), state, keys)
    secured = SecurityHeaders(gate, over_tls=bool(state.settings.tls_certfile))
    addresses = Addresses(secured, public_url=state.settings.public_url)
    as_sent = {raw: post for path, post in hot.items() for raw in addresses.as_sent(path)}
    return Application(app, addresses, FastLane(state, gate, secured, as_sent))


@cache
def routes() -> Sequence[BaseRoute]:
    """Routes that every application has. What the framework finds out about them, when one is first looked for among
    them, takes a tenth of a second: applications of a process share it."""
    router = APIRouter()
    router.include_router(api)
    router.include_router(probes, dependencies=[Depends(authorize)])
    return router.routes


def _install_problems(app: FastAPI, state: ServiceState) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        state.count_refusal(error, request.method, request.url.path)
        if isinstance(error, UnknownModel):
            error = await _with_nearest_model(state, request.scope.get(GRANT), error)
        return framework_problem(_with_hint(app, request, error))

    for kind in (RequestError, ServiceError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)


async def _with_nearest_model(state: ServiceState, grant: Grant | None, error: UnknownModel) -> Exception:
    """The error, with the model that may be meant, among those that the grant is for."""

    def nearest() -> str | None:
        with state.store.read() as connection:
            return state.nearest.nearest(connection, error.model, grant, state.clock())

    try:
        return UnknownResource(with_nearest(error, await asyncio.to_thread(nearest)))
    except ServiceError:
        return error


def _with_hint(app: FastAPI, request: Request, error: Exception) -> Exception:
    """The error that nothing answers at this address, or not by this method, with what there is instead."""
    if not isinstance(error, HTTPException) or error.detail != HTTPStatus(error.status_code).phrase:
        return error
    path, method = request.scope["path"], request.scope["method"]
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _methods_at(app, path)
        if not allowed:
            return error
        right = " or ".join(name for name in allowed if name != "HEAD")
        detail = f"{method} is not allowed at {excerpt(path)}, but {right} is: see /docs."
        return HTTPException(error.status_code, detail, {"Allow": ", ".join(allowed)})
    shorter = path.rstrip("/")
    if error.status_code == HTTPStatus.NOT_FOUND and shorter != path and _methods_at(app, shorter):
        detail = f"There is nothing at {excerpt(path)}, but at {excerpt(shorter)}, without the slash at the end."
        return HTTPException(error.status_code, detail)
    if error.status_code == HTTPStatus.NOT_FOUND and (elsewhere := _below_a_prefix(app, path)):
        detail = f"There is nothing at {excerpt(path)}, but at {' and at '.join(map(excerpt, elsewhere))}."
        return HTTPException(error.status_code, detail)
    if error.status_code == HTTPStatus.NOT_FOUND and (encoded := _with_encoded_slash(app, path)) is not None:
        detail = f"There is nothing at {excerpt(path)}. A slash in a name is written %2F: {excerpt(encoded)}."
        return HTTPException(error.status_code, detail)
    return error


def _below_a_prefix(app: FastAPI, path: str) -> list[str]:
    """The addresses of the API and of a page that end with this path."""
    api, page = f"{PREFIX}{path}", f"{PAGES}{path}"
    scope = {"type": "http", "method": "GET", "path": page, "root_path": "", "headers": []}
    mounted = next(route for route in app.routes if isinstance(route, Mount) and route.path == PAGES)
    _, inside = mounted.matches(scope)
    is_page = any(route.matches({**scope, **inside})[0] is Match.FULL for route in mounted.routes)
    return [*([api] if _methods_at(app, api) else []), *([page] if is_page else [])]


def _with_encoded_slash(app: FastAPI, path: str) -> str | None:
    """The address that the API has if some segments of the path are one name; the fewest segments, from the left."""
    segments = path.split("/")
    if len(segments) > MOST_SEGMENTS:
        return None
    for size in range(2, len(segments)):
        for start in range(len(segments) - size + 1):
            name, rest = segments[start : start + size], segments[start + size :]
            address = "/".join([*segments[:start], "%2F".join(name), *rest])
            if all(name) and _methods_at(app, address):
                return address
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return compile_path(template)[0]


def _methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods that the API answers at a path."""
    found: set[str] = set()
    for template, by_method in app.openapi()["paths"].items():
        if _pattern(template).match(path):
            found |= {method.upper() for method in by_method}
    return sorted(found | {"HEAD"} if "GET" in found else found)
