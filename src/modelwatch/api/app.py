"""The HTTP application: routes, problems, documents, and the fast path in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from modelwatch.api import docs, openapi
from modelwatch.api.fastpath import FastPath, count_refusal
from modelwatch.api.origins import SameOrigin
from modelwatch.api.problems import framework_problem
from modelwatch.api.routes import api, operations
from modelwatch.api.state import ServiceState
from modelwatch.errors import RequestError, ServiceError

DESCRIPTION = """Send predictions, set a reference, ask for drift, see and silence alerts.

Every acknowledged prediction counts exactly once; send the same id again after any error. Errors are
`application/problem+json` (RFC 9457) and name the fields that are wrong.
"""


def build_app(
    state: ServiceState, lifespan: Callable[[], AbstractAsyncContextManager[None]], pages: ASGIApp
) -> FastPath:
    """The ASGI application of a service whose parts are in `state`; `lifespan` starts and stops them.

    pages: what people see, at /ui.
    """

    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    app = FastAPI(
        title="modelwatch",
        summary="Watches machine-learning models in production",
        description=DESCRIPTION,
        version=state.version,
        docs_url=None,
        redoc_url=None,
        lifespan=run,
    )
    app.state.service = state
    app.include_router(api)
    app.include_router(operations.router)
    app.mount("/ui", pages)
    app.add_middleware(
        SameOrigin,
        public_url=state.settings.reached_at,
        refused=lambda error: count_refusal(state, error),
    )
    docs.install(app)
    openapi.install(app)
    _install_problems(app, state)
    return FastPath(app, state)


def _install_problems(app: FastAPI, state: ServiceState) -> None:
    async def answer(_request: Request, error: Exception) -> Response:
        count_refusal(state, error)
        return framework_problem(error)

    for kind in (RequestError, ServiceError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)
