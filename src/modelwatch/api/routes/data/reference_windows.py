"""POST /models/{model}/reference/from-window."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import FromWindowBody, decode_action
from modelwatch.api.ingest.acceptance import accept_window
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import FROM_WINDOW_CONTENT, answers
from modelwatch.api.routes.common import API, Name, json_answer, microseconds_of, require_lookback, state_of
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT
from modelwatch.monitoring.checks.drift.evidence import effective_rules
from modelwatch.monitoring.references.references import ReferenceWarning, warnings_about
from modelwatch.monitoring.references.windows import WindowOfReference
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

router = APIRouter(tags=["reference"])


class FromWindowAnswer(msgspec.Struct):
    """The new reference. taken: number of the window's predictions that it is made of.

    left_out: features whose values are not stored; their references stay. alerts_ended: ids of the alerts that this
    ended.
    """

    status: str
    model_name: str
    model_version: str | None
    environment: str
    start: str
    end: str
    predictions: int
    taken: int
    labels: int
    subjects: list[str]
    left_out: list[str]
    warnings: list[ReferenceWarning]
    alerts_ended: list[str]


@router.post(
    "/models/{model_name:segment}/reference/from-window",
    status_code=201,
    summary="Set the reference from a window of stored predictions",
    operation_id="set_reference_from_window",
    openapi_extra={"requestBody": FROM_WINDOW_CONTENT},
    responses=answers({201: FromWindowAnswer}, 400, 404, 409, 413, 422, 503),
)
async def from_window(request: Request, model_name: Name) -> Response:
    """The window's stored predictions become the reference. Alerts that are about nothing else end as accepted."""
    state = state_of(request)
    raw = await read_body(request, state.settings.max_body_bytes, state.settings.request_timeout_seconds)
    body = decode_action(raw, FromWindowBody)
    window, who = to_window(model_name, body), grant_of(request).actor(body.actor, API)

    def work() -> FromWindowAnswer:
        accepted = accept_window(
            state.store,
            state.alerts,
            window,
            actor=who,
            note=body.note,
            now=state.clock(),
            new_id=state.new_id,
        )
        [taken] = accepted.windows
        with state.store.read() as connection:
            rules = effective_rules(connection, state.rules, model_name)
            fresh = [
                each
                for each in in_force(connection, model_name)
                if each.version == window.version and each.subject in taken.subjects
            ]
        return FromWindowAnswer(
            "active",
            model_name,
            window.version,
            window.environment,
            iso_of_seconds(taken.start // MICROS_PER_SECOND),
            iso_of_seconds(taken.end // MICROS_PER_SECOND),
            taken.predictions,
            taken.taken,
            taken.labels,
            sorted(subject.name or subject.kind for subject in taken.subjects),
            list(taken.left_out),
            warnings_about(fresh, rules),
            [alert.id for alert in accepted.ended],
        )

    return json_answer(await asyncio.to_thread(work), 201)


def to_window(model: str, body: FromWindowBody) -> WindowOfReference:
    """The window that a request asks for. Raises InvalidInput that names every wrong field."""
    errors = [
        FieldError(f"/{name}", "Expected text without NUL characters")
        for name in ("model_version", "environment")
        if "\0" in (getattr(body, name) or "")
    ]
    if body.features is not None and not body.features:
        errors.append(FieldError("/features", "Name at least one feature, or leave it out for all"))
    if body.lookback is not None:
        try:
            require_lookback(body.lookback)
        except ValueError as error:
            errors.append(FieldError("/lookback", str(error), excerpt(body.lookback)))
        if body.start is not None or body.end is not None:
            errors.append(FieldError("/lookback", "Give either a look-back, or start and end", excerpt(body.lookback)))
    elif body.start is None and body.end is None:
        errors.append(FieldError("/lookback", "Give a look-back, such as 7d, or start and end"))
    elif body.start is None or body.end is None:
        errors.append(FieldError("/end" if body.end is None else "/start", "start and end must be given together"))
    start, end = microseconds_of(body.start, body.end)
    if start is not None and end is not None and start >= end:
        errors.append(FieldError("/end", "Expected a time after start", str(body.end)))
    if errors:
        raise InvalidInput("The window is not valid.", tuple(errors))
    return WindowOfReference(
        model,
        body.environment or DEFAULT_ENVIRONMENT,
        body.model_version,
        start,
        end,
        body.lookback,
        None if body.features is None else frozenset(Subject("feature", name) for name in body.features),
        body.labels,
    )
