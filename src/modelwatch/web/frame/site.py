"""Site: what every page is made with, and how a page answers a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import modelwatch.api.around  # noqa: F401 - registers the convertors of the routes
from modelwatch.access import Grant
from modelwatch.alerting.queries import open_alerts
from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.api.auth.scopes import GRANT, grant_of
from modelwatch.api.state import ServiceState
from modelwatch.errors import UnknownResource
from modelwatch.views.service import evaluation_state
from modelwatch.web.frame.model_frame import ModelFrame, model_frame
from modelwatch.web.frame.page_frame import Frame
from modelwatch.web.frame.rendering import HEADERS, Renderer
from modelwatch.web.frame.selection import selection_of

# The actor of an action on a page, when the form has no name.
UNNAMED = "page"

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Site:
    """Resources of the pages. paths: of all pages."""

    state: ServiceState
    renderer: Renderer
    paths: frozenset[str]

    async def show(
        self, request: Request, template: str, make: Callable[[Connection], object], *, twin: str = ""
    ) -> Response:
        """Page of a template, with `page` as `make` reads it from the store, off the event loop.

        twin: way from the service's root to the same as JSON.
        """

        def work() -> Response:
            with self.state.store.read() as connection:
                frame = self._frame(request, open_alerts(connection), twin, connection=connection)
                page = make(connection)
            return self.renderer.page(template, root=frame.root, frame=frame, page=page)

        return await asyncio.to_thread(work)

    async def show_model(
        self,
        request: Request,
        template: str,
        tab: str,
        make: Callable[[Connection, ModelFrame], object],
        *,
        twin: Callable[[ModelFrame], str] | None = None,
    ) -> Response:
        """Page about the model in the address, with `of_model`: its stream and stretch of time, tabs and switches.

        tab: the last part of the tab's address, "" for the overview. Raises UnknownModel, and UnknownResource for a
        version or an environment that has sent nothing.
        """

        def work() -> Response:
            with self.state.store.read() as connection:
                of_model, frame = self._about_model(connection, request, tab, twin)
                page = make(connection, of_model)
            return self.renderer.page(template, root=frame.root, frame=frame, of_model=of_model, page=page)

        return await asyncio.to_thread(work)

    async def show_model_views(
        self,
        request: Request,
        template: str,
        tab: str,
        make: Callable[[ModelFrame], object],
        *,
        twin: Callable[[ModelFrame], str] | None = None,
    ) -> Response:
        """The same of what is made of views that read the store by themselves, so that none waits for another."""

        def work() -> Response:
            with self.state.store.read() as connection:
                of_model, frame = self._about_model(connection, request, tab, twin)
            page = make(of_model)
            return self.renderer.page(template, root=frame.root, frame=frame, of_model=of_model, page=page)

        return await asyncio.to_thread(work)

    def _about_model(
        self, connection: Connection, request: Request, tab: str, twin: Callable[[ModelFrame], str] | None
    ) -> tuple[ModelFrame, Frame]:
        selection, model = selection_of(request.query_params), identity_of(request, "model_name")
        alerts = open_alerts(connection)
        of_model = model_frame(connection, model, selection, tab, self.paths, alerts, self.state.clock())
        dashboard = dashboard_of(self.state.settings.grafana_url, model)
        return of_model, self._frame(request, alerts, "" if twin is None else twin(of_model), dashboard, connection)

    def say(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """Page that needs nothing of the store."""
        frame = self._frame(request, (), "")
        return self.renderer.page(template, root=frame.root, status=status, headers=headers, frame=frame, **values)

    def _frame(
        self,
        request: Request,
        alerts: tuple[AlertLine, ...],
        twin: str,
        grafana: str = "",
        connection: Connection | None = None,
    ) -> Frame:
        path, grant, now = path_of(request), request.scope.get(GRANT), self.state.clock()
        return Frame(
            root=root_of(request),
            path=path.removeprefix("/ui"),
            # Who is at the door sees no menu.
            paths=frozenset() if grant is None else self.paths,
            open_alerts=len(alerts),
            has_channel=grant is None or bool(self.state.channels),
            is_signed_in=grant is not None and bool(grant.key_id),
            now=now,
            twin=twin,
            grafana=grafana or dashboard_of(self.state.settings.grafana_url),
            evaluation=None if connection is None else evaluation_state(connection, now),
        )


def site_of(request: Request) -> Site:
    """The site that answers a request."""
    site: Site = request.app.state.site
    return site


def page(path: str, endpoint: Endpoint) -> Route:
    """Route of a page, for keys that may read. path: below /ui."""

    async def guarded(request: Request) -> Response:
        require_pages(grant_of(request))
        return await endpoint(request)

    return Route(path, guarded)


def views_page(
    tab: str,
    template: str,
    read: Callable[[ServiceState, ModelFrame, Request], object],
    twin: Callable[[ModelFrame], str] | None = None,
) -> Route:
    """Route of a page about a model, made of views that read the store by themselves: see `Site.show_model_views`.

    tab: the part of the address after the model's name, "" for the overview. read: makes `page`. twin: not for a page
    that says in a block of its own which address has the same as JSON.
    """

    async def endpoint(request: Request) -> Response:
        site = site_of(request)
        return await site.show_model_views(
            request, template, tab, lambda of_model: read(site.state, of_model, request), twin=twin
        )

    return page("/models/{model_name:segment}" + (f"/{tab}" if tab else ""), endpoint)


def action(path: str, endpoint: Endpoint) -> Route:
    """Route of what a form does, for keys that may change things. path: below /ui."""

    async def guarded(request: Request) -> Response:
        require_pages(grant_of(request))
        grant_of(request).require("admin")
        return await endpoint(request)

    return Route(path, guarded, methods=["POST"])


def require_pages(grant: Grant) -> None:
    """Raises Forbidden unless the pages may be read with it."""
    grant.require("read")
    grant.require_all_models()


def identity_of(request: Request, parameter: str) -> str:
    """Id in the address. Raises UnknownResource for what can be none."""
    text: str = request.path_params[parameter]
    if not text.isprintable():
        raise UnknownResource("There is nothing at this address.")
    return text


def actor_of(request: Request, form: dict[str, str]) -> str:
    """The person who acts, for the audit trail."""
    return grant_of(request).actor(form.get("actor"), UNNAMED)


def path_of(request: Request) -> str:
    """Path of a request below the service's root."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "").removesuffix("/ui"))


def root_of(request: Request) -> str:
    """Relative way from the address to the service's root."""
    path: str = request.scope["path"]
    return "../" * path.removeprefix(request.scope.get("root_path", "")).count("/")


def seen_other(way: str) -> Response:
    """Answer to a form: the page at this way from the form's target."""
    return Response(status_code=303, headers={**HEADERS, "Location": way})


def dashboard_of(grafana_url: str, model: str | None = None) -> str:
    """Address of the dashboard about a model, or about the service; empty where no Grafana is known.

    >>> dashboard_of("https://grafana.example.org/", "a b")
    'https://grafana.example.org/d/modelwatch-models?var-model=a%20b'
    """
    if not grafana_url:
        return ""
    way = "modelwatch-service" if model is None else f"modelwatch-models?var-model={segment_of(model)}"
    return f"{grafana_url.rstrip('/')}/d/{way}"


def segment_of(name: str) -> str:
    """Name as one segment of an address."""
    return quote(name, safe="")
