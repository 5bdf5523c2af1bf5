"""GET, PUT and DELETE /models/{model}/monitor, and POST /models/{model}/monitor/backtest."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import yaml
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.explain import in_words
from modelwatch.api.decoding.values import DOTS
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import BACKTEST_CONTENT, MONITOR_CONTENT, answers
from modelwatch.api.routes.common import API, Name, json_answer, seconds_of, state_of
from modelwatch.api.state import ServiceState
from modelwatch.config.documents import Format, decode_document
from modelwatch.config.monitors.defaults import effective_document
from modelwatch.config.monitors.monitor import MonitorConfig, as_document, needs_a_key, parse_monitor
from modelwatch.errors import FieldError, InvalidInput, MalformedBody, UnknownResource, UnsupportedContent, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT
from modelwatch.monitoring.backtest import Backtest, backtest
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.storage.counts.streams import streams_of
from modelwatch.storage.engine.models import StreamKey, require_model
from modelwatch.storage.references.monitors import (
    StoredMonitor,
    all_monitors,
    delete_monitor,
    monitor_of,
    monitor_revisions,
    put_monitor,
)
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["monitors"])

YAML_TYPES = {"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}


class MonitorReport(msgspec.Struct):
    """A model's monitor: as set, and in effect. Revision 0: none is set."""

    model_name: str
    revision: int
    source: str | None
    updated_at: str | None
    updated_by: str | None
    monitor: dict[str, Any]
    effective: dict[str, Any]


class MonitorList(msgspec.Struct):
    """All monitors, sorted by model."""

    monitors: list[MonitorReport]


class Deleted(msgspec.Struct):
    """`deleted` is false when there was no monitor to remove."""

    model_name: str
    deleted: bool


class BacktestBody(msgspec.Struct, forbid_unknown_fields=True):
    """A configuration to try; without one, that in force. Times select by the end of windows."""

    monitor: dict[str, Any] | None = None
    model_version: str | None = None
    environment: str | None = None
    start: datetime | None = None
    end: datetime | None = None


class BacktestReport(msgspec.Struct):
    """Backtests of the configuration, and of the one in force."""

    model_name: str
    proposed: list[Backtest]
    in_force: list[Backtest]


@router.get(
    "/monitors", summary="All monitors", operation_id="list_monitors", responses=answers({200: MonitorList}, 422, 503)
)
async def list_monitors(request: Request) -> Response:
    """The models whose configuration differs from the settings."""
    state, grant = state_of(request), grant_of(request)

    def work() -> MonitorList:
        with state.store.read() as connection:
            monitors = [each for each in all_monitors(connection) if grant.is_for(each.model)]
            return MonitorList([_report(state, each.model, each) for each in monitors])

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/models/{model_name:segment}/monitor",
    summary="The monitor of a model",
    operation_id="get_monitor",
    responses=answers({200: MonitorReport}, 404, 422, 503),
)
async def get_monitor(request: Request, model_name: Name) -> Response:
    """The configuration as set, and as in effect. As YAML when the client accepts `application/yaml`."""
    state = state_of(request)

    def work() -> MonitorReport:
        with state.store.read() as connection:
            monitor = monitor_of(connection, model_name)
            if monitor is None:
                require_model(connection, model_name)
        return _report(state, model_name, monitor)

    return _answer(request, await asyncio.to_thread(work))


@router.put(
    "/models/{model_name:segment}/monitor",
    summary="Set the monitor of a model",
    operation_id="put_monitor",
    openapi_extra={"requestBody": MONITOR_CONTENT},
    responses=answers({200: MonitorReport, 201: MonitorReport}, 400, 409, 413, 415, 422, 503),
)
async def set_monitor(request: Request, model_name: Name) -> Response:
    """JSON or YAML. Replaces the monitor as a whole; with `If-Match` only when it still has that revision."""
    state = state_of(request)
    data = await _document(request, state)
    expected, actor = _expected_revision(request), grant_of(request).actor(None, API)

    def work() -> tuple[MonitorReport, bool]:
        config = parse_monitor(data)
        check_monitor(state, model_name, config)
        with state.store.read() as connection:
            is_new = model_name not in monitor_revisions(connection)
        stored = put_monitor(
            state.store,
            model_name,
            config,
            source="api",
            actor=actor,
            now=state.clock(),
            new_id=state.new_id,
            expected_revision=expected,
        )
        return _report(state, model_name, stored), is_new

    report, is_new = await asyncio.to_thread(work)
    return _answer(request, report, 201 if is_new else 200)


@router.delete(
    "/models/{model_name:segment}/monitor",
    summary="Remove the monitor of a model",
    operation_id="delete_monitor",
    responses=answers({200: Deleted}, 409, 422, 503),
)
async def remove_monitor(request: Request, model_name: Name) -> Response:
    """The settings of the service apply to the model from then on."""
    state = state_of(request)
    expected, actor = _expected_revision(request), grant_of(request).actor(None, API)

    def work() -> Deleted:
        removed = delete_monitor(
            state.store,
            model_name,
            actor=actor,
            now=state.clock(),
            new_id=state.new_id,
            expected_revision=expected,
        )
        return Deleted(model_name, removed)

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/models/{model_name:segment}/monitor/backtest",
    summary="Backtest a monitor on stored data",
    operation_id="backtest_monitor",
    openapi_extra={"requestBody": BACKTEST_CONTENT},
    responses=answers({200: BacktestReport}, 400, 404, 413, 415, 422, 503),
)
async def try_monitor(request: Request, model_name: Name) -> Response:
    """Alerts that it would have raised: their number, times and subjects. Nothing is stored or sent."""
    state = state_of(request)
    body = _backtest_body(await _document(request, state))

    def work() -> BacktestReport:
        config = None if body.monitor is None else parse_monitor(body.monitor, "/monitor")
        if config is not None:
            check_monitor(state, model_name, config, "/monitor")
        with state.store.read() as connection:
            monitor = monitor_of(connection, model_name)
            require_model(connection, model_name)
            streams = _streams(streams_of(connection, model_name), body)
        current = rules_for(state.rules, None if monitor is None else monitor.config)
        proposed = current if config is None else rules_for(state.rules, config)
        now, (start, end) = state.clock(), seconds_of(body.start, body.end)

        def replayed(rules: DriftRules) -> list[Backtest]:
            return [backtest(state.store, rules, stream, now, start=start, end=end) for stream in streams]

        proposed_result = replayed(proposed)
        return BacktestReport(model_name, proposed_result, proposed_result if config is None else replayed(current))

    return json_answer(await asyncio.to_thread(work))


def _streams(present: list[StreamKey], body: BacktestBody) -> list[StreamKey]:
    environment = body.environment or DEFAULT_ENVIRONMENT
    chosen = [
        stream
        for stream in present
        if stream.environment == environment and body.model_version in (None, stream.version)
    ]
    if not chosen:
        known = ", ".join(f"{stream.version} in {stream.environment}" for stream in present) or "none"
        version = "" if body.model_version is None else f" of version {excerpt(body.model_version)!r}"
        raise UnknownResource(f"There is no data{version} in {excerpt(environment)!r}; there is: {known}.")
    return chosen


async def _document(request: Request, state: ServiceState) -> object:
    raw = await read_body(request, state.settings.max_body_bytes, state.settings.request_timeout_seconds)
    return decode_document(raw, _format(request.headers.get("content-type", "application/json")))


def _format(content_type: str) -> Format:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in YAML_TYPES:
        return "yaml"
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    raise UnsupportedContent(f"A monitor is sent as application/json or application/yaml, not as {kind[:80]!r}.")


def _backtest_body(data: object) -> BacktestBody:
    try:
        return msgspec.convert(data, BacktestBody)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise InvalidInput("The backtest is not valid.", (FieldError(pointer, in_words(text)),)) from None


def check_monitor(state: ServiceState, model: str, config: MonitorConfig, prefix: str = "") -> None:
    """Raises InvalidInput for what the model or this service can't have, MalformedBody for a name that no model has."""
    problems = []
    if config.model is not None and config.model != model:
        problems.append(
            FieldError(f"{prefix}/model", f"The address names the model {excerpt(model)!r}", config.model[:80])
        )
    if len(model) > state.settings.max_name_length:
        raise MalformedBody(f"The model's name is longer than {state.settings.max_name_length} characters.")
    if model in DOTS:
        raise MalformedBody(f"A model can't have the name {model!r}: no address can have it.")
    known = ", ".join(sorted(state.channel_names)) or "none"
    problems += [
        FieldError(prefix + pointer, f"No channel has this name; there are: {known}", name)
        for pointer, name in config.alerts.named_channels()
        if name not in state.channel_names
    ]
    if not state.settings.encryption_key:
        problems += [
            FieldError(prefix + pointer, needs_a_key(treatment), treatment)
            for pointer, treatment in config.privacy.needing_a_key()
        ]
    if problems:
        raise InvalidInput("The monitor is not valid.", tuple(problems))


def _expected_revision(request: Request) -> int | None:
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    text = given.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:
        raise InvalidInput(
            "The request is not valid.", (FieldError("/if-match", "Expected a revision", excerpt(given)),)
        )
    return int(text)


def _report(state: ServiceState, model: str, monitor: StoredMonitor | None) -> MonitorReport:
    config = None if monitor is None else monitor.config
    return MonitorReport(
        model_name=model,
        revision=0 if monitor is None else monitor.revision,
        source=None if monitor is None else monitor.source,
        updated_at=None if monitor is None else iso_of_seconds(monitor.updated_at // 1_000_000),
        updated_by=None if monitor is None else monitor.updated_by,
        monitor={} if config is None else as_document(config),
        effective=effective_document(config, state.settings, sorted(state.channel_names)),
    )


def _answer(request: Request, report: MonitorReport, status: int = 200) -> Response:
    accepted = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    headers = {"etag": f'"{report.revision}"'}
    if accepted & YAML_TYPES:
        text = yaml.safe_dump(msgspec.to_builtins(report), sort_keys=False, allow_unicode=True)
        return Response(text, status, headers, "application/yaml")
    answer = json_answer(report, status)
    answer.headers.update(headers)
    return answer
