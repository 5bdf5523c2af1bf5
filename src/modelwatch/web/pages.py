"""Pages at /ui: a list of alerts, one alert and what its buttons do, and the runbooks of alert rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from modelwatch.access import KnownKeys
from modelwatch.alerting import AlertService
from modelwatch.alerting.reading import Page, list_alerts, open_alerts, read_alert, read_silence
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.alerting.views import AlertLine
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.ingest.acceptance import accept_alert
from modelwatch.config import Settings
from modelwatch.errors import FieldError, InvalidInput, RequestError, ServiceError, UnknownResource
from modelwatch.storage.counts.streams import streams_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import deletions_under_way, request_deletion
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.storage.verdicts.standing import latest_severities, overall_standing
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.web.alert_page import AlertPage
from modelwatch.web.cells import cells_of
from modelwatch.web.list_page import ListPage, chosen_part, chosen_tab, position_of
from modelwatch.web.login import Login, read_form, require_pages
from modelwatch.web.rendering import HEADERS, Renderer

SILENCES = {"1h": SECONDS_PER_HOUR, "8h": 8 * SECONDS_PER_HOUR, "7d": 7 * SECONDS_PER_DAY}
RESOLVED_A_PAGE = 50
SILENCES_SHOWN = 10
# The actor of an action on a page, when the form has no name.
SOMEBODY = "page"

Clock = Callable[[], int]
Endpoint = Callable[[Request], Awaitable[Response]]


def build_pages(
    store: Store,
    alerts: AlertService,
    keys: KnownKeys,
    settings: Settings,
    *,
    clock: Clock,
    new_id: Callable[[], str],
    version: str,
) -> Starlette:
    """Application for /ui. clock: microseconds. new_id: ids of what is created. version: of the service."""
    renderer = Renderer(version)
    pages = _Pages(store, alerts, clock, new_id, renderer, settings.request_timeout_seconds)
    login = Login(keys, settings, renderer)
    assets = StaticFiles(directory=Path(str(files("modelwatch.web").joinpath("assets"))))
    app = Starlette(
        routes=[
            Route("/login", login.show),
            Route("/login", login.enter, methods=["POST"]),
            Route("/logout", login.leave, methods=["POST"]),
            Route("/", _reading(pages.start)),
            Route("/alerts", _reading(pages.alerts)),
            Route("/alerts/{alert_id:segment}", _reading(pages.alert)),
            Route("/alerts/{alert_id:segment}/acknowledge", _changing(pages.acknowledge), methods=["POST"]),
            Route("/alerts/{alert_id:segment}/resolve", _changing(pages.resolve), methods=["POST"]),
            Route("/alerts/{alert_id:segment}/accept", _changing(pages.accept), methods=["POST"]),
            Route("/alerts/{alert_id:segment}/silence", _changing(pages.silence), methods=["POST"]),
            Route(
                "/alerts/{alert_id:segment}/silences/{silence_id:segment}/end",
                _changing(pages.end_silence),
                methods=["POST"],
            ),
            Route("/models/{model_name:segment}/delete", _changing(pages.delete_model), methods=["POST"]),
            Route("/runbooks", _reading(pages.runbooks)),
            Mount("/assets", assets),
        ],
        exception_handlers={
            RequestError: pages.problem,
            ServiceError: pages.problem,
            HTTPException: pages.problem,
            Exception: pages.problem,
        },
    )
    app.router.redirect_slashes = False
    return app


def _reading(endpoint: Endpoint) -> Endpoint:
    """Endpoint for keys that may read."""

    async def guarded(request: Request) -> Response:
        require_pages(grant_of(request))
        return await endpoint(request)

    return guarded


def _changing(endpoint: Endpoint) -> Endpoint:
    """Endpoint for keys that may change things."""

    async def guarded(request: Request) -> Response:
        require_pages(grant_of(request))
        grant_of(request).require("admin")
        return await endpoint(request)

    return guarded


class _Pages:
    def __init__(
        self,
        store: Store,
        alerts: AlertService,
        clock: Clock,
        new_id: Callable[[], str],
        renderer: Renderer,
        form_seconds: float,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._new_id = new_id
        self._render = renderer.page
        self._form_seconds = form_seconds

    async def start(self, _request: Request) -> Response:
        return RedirectResponse("alerts", 307)

    async def runbooks(self, request: Request) -> Response:
        return self._render("runbooks.html", root=_root(request), signed_in=_signed_in(request))

    async def alerts(self, request: Request) -> Response:
        page = await asyncio.to_thread(self._list_page, dict(request.query_params))
        return self._render("alerts.html", root=_root(request), page=page, signed_in=_signed_in(request))

    async def alert(self, request: Request) -> Response:
        page = await asyncio.to_thread(self._alert_page, _identity(request, "alert_id"))
        return self._render("alert.html", root=_root(request), page=page, signed_in=_signed_in(request))

    async def acknowledge(self, request: Request) -> Response:
        form, alert_id = await read_form(request, self._form_seconds), _identity(request, "alert_id")
        await asyncio.to_thread(self._alerts.acknowledge, alert_id, actor=_actor(request, form), note=form.get("note"))
        return _back(alert_id, "../")

    async def resolve(self, request: Request) -> Response:
        form, alert_id = await read_form(request, self._form_seconds), _identity(request, "alert_id")
        await asyncio.to_thread(self._alerts.resolve, alert_id, actor=_actor(request, form), note=form.get("note"))
        return _back(alert_id, "../")

    async def accept(self, request: Request) -> Response:
        form, alert_id = await read_form(request, self._form_seconds), _identity(request, "alert_id")
        await asyncio.to_thread(
            accept_alert,
            self._store,
            self._alerts,
            alert_id,
            actor=_actor(request, form),
            note=form.get("note"),
            now=self._clock(),
            new_id=self._new_id,
        )
        return _back(alert_id, "../")

    async def silence(self, request: Request) -> Response:
        form, alert_id = await read_form(request, self._form_seconds), _identity(request, "alert_id")
        await asyncio.to_thread(self._silence, alert_id, form, _actor(request, form))
        return _back(alert_id, "../")

    async def end_silence(self, request: Request) -> Response:
        form, alert_id = await read_form(request, self._form_seconds), _identity(request, "alert_id")
        await asyncio.to_thread(self._alerts.end_silence, _identity(request, "silence_id"), actor=_actor(request, form))
        return _back(alert_id, "../../../")

    async def delete_model(self, request: Request) -> Response:
        """Deletes the model, or the version or the environment of it that the form names."""
        form, model = await read_form(request, self._form_seconds), _identity(request, "model_name")
        part = chosen_part(form.get("part", ""))
        if form.get("confirm") != (part.version or part.environment or model):
            what = "the version" if part.version else "the environment" if part.environment else "the model"
            problem = FieldError("/confirm", f"Expected the name of {what}, as a confirmation", form.get("confirm"))
            raise InvalidInput("Nothing is deleted.", (problem,))
        actor = _actor(request, form)
        self._alerts.check_action(actor, None)
        await asyncio.to_thread(
            request_deletion, self._store, model, part, actor=actor, now=self._clock(), new_id=self._new_id
        )
        query = "" if part.is_whole else f"?model={quote(model, safe='')}"
        return Response(status_code=303, headers={**HEADERS, "Location": f"../../alerts{query}"})

    async def problem(self, request: Request, error: Exception) -> Response:
        """Page of an error, which says what is wrong."""
        status, title, detail, headers = _described(error)
        errors = error.errors if isinstance(error, RequestError) else ()
        return self._render(
            "problem.html",
            root=_root(request),
            status=status,
            headers=headers,
            title=title,
            detail=detail,
            errors=errors,
        )

    def _list_page(self, query: dict[str, str]) -> ListPage:
        tab = chosen_tab(query.get("state", "open"))
        model = query.get("model") or None
        before = position_of(query["before"]) if "before" in query else None
        if model is not None and "\0" in model:
            raise InvalidInput("There is no such list of alerts.", (FieldError("/model", "Expected a model's name"),))
        with self._store.read() as connection:
            progress = evaluation_progress(connection)
            under_way = [] if model is None else deletions_under_way(connection)
            resolved: Page[AlertLine] = Page((), None)
            if tab == "resolved":
                resolved = list_alerts(connection, state="resolved", model=model, before=before, limit=RESOLVED_A_PAGE)
            return ListPage(
                tab=tab,
                model=model,
                open_alerts=[alert for alert in open_alerts(connection) if model in (None, alert.model_name)],
                resolved=resolved.lines,
                following=resolved.following,
                failures=evaluation_failures(connection, model),
                standing=overall_standing(connection, None if model is None else [model]),
                severities=latest_severities(connection, model),
                waiting=0 if progress is None else progress.waiting,
                now=self._clock(),
                streams=[] if model is None else streams_of(connection, model),
                deleting=[each.part for each in under_way if each.model == model],
            )

    def _alert_page(self, alert_id: str) -> AlertPage:
        now = self._clock()
        with self._store.read() as connection:
            report = read_alert(connection, alert_id)
            ids = report.alert.silenced_by[:SILENCES_SHOWN]
            silences = [read_silence(connection, silence_id, now=now) for silence_id in ids]
            cells = cells_of(connection, [*report.members, *report.still_found])
        return AlertPage(report, silences, cells, now)

    def _silence(self, alert_id: str, form: dict[str, str], actor: str) -> None:
        duration = SILENCES.get(form.get("duration", ""))
        if duration is None:
            problem = FieldError("/duration", f"Expected one of {', '.join(SILENCES)}")
            raise InvalidInput("The silence is not valid.", (problem,))
        with self._store.read() as connection:
            alert = read_alert(connection, alert_id).alert
        request = SilenceRequest(
            matchers=(
                Matcher("model", alert.model_name),
                Matcher("environment", alert.environment),
                Matcher("kind", alert.kind),
            ),
            ends_at=self._clock() + duration * MICROS_PER_SECOND,
            comment=form.get("note") or f"From the page of alert {alert.alert_id}",
        )
        self._alerts.silence(request, actor=actor)


def _identity(request: Request, parameter: str) -> str:
    """Id in the address. Raises UnknownResource for what can be none."""
    text: str = request.path_params[parameter]
    if not text.isprintable():
        raise UnknownResource("There is nothing at this address.")
    return text


def _actor(request: Request, form: dict[str, str]) -> str:
    return grant_of(request).actor(form.get("actor"), SOMEBODY)


def _signed_in(request: Request) -> bool:
    """True when there is a session to end."""
    return bool(grant_of(request).key_id)


def _root(request: Request) -> str:
    """Relative path from the address to the service's root."""
    path: str = request.scope["path"]
    return "../" * path.removeprefix(request.scope.get("root_path", "")).count("/")


def _back(alert_id: str, way: str) -> Response:
    return Response(status_code=303, headers={**HEADERS, "Location": way + quote(alert_id, safe="")})


def _described(error: Exception) -> tuple[int, str, str, dict[str, str]]:
    """Status, title, text and headers of an error; an unexpected one says nothing about its cause."""
    match error:
        case RequestError():
            return error.status, error.title, error.detail, {}
        case ServiceError():
            return error.status, error.title, error.detail, {"Retry-After": str(error.retry_after)}
        case HTTPException():
            return (
                error.status_code,
                error.detail,
                "There is no such page, or it does not take such a request.",
                dict(error.headers or {}),
            )
        case _:
            return 500, "Internal error", "The log of the service has the details.", {}
