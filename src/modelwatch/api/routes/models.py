"""GET /models and /models/{model}."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from modelwatch.api.grants import grant_of
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.api.routes.parameters import Name
from modelwatch.api.scopes import unknown_model
from modelwatch.errors import UnknownResource
from modelwatch.monitoring import iso
from modelwatch.monitoring.unjudged import NotJudged
from modelwatch.storage import (
    StoredVerdict,
    Stream,
    StreamKey,
    Subject,
    evaluation_failures,
    generation_of,
    generations,
    latest_verdicts,
    overview,
    streams,
)

router = APIRouter(tags=["models"])


class FailureReport(msgspec.Struct):
    """A check that ends with an error, since when, after how many attempts; what kind of error, and where."""

    check: str
    since: str
    tried_at: str
    attempts: int
    error: str


class StreamReport(msgspec.Struct):
    """One version in one environment: what was received, the latest verdict, and which checks can't be made.
    not_judged: how many subjects the verdict says nothing about; null without one."""

    model_version: str
    environment: str
    predictions: int
    first_window: str
    last_window_end: str
    severity: str | None
    drifted: list[str]
    evaluated_at: str | None
    not_judged: int | None
    failures: list[FailureReport]


class ModelReport(msgspec.Struct):
    """A model, its streams, and the features that have a reference."""

    model_name: str
    predictions: int
    reference: str
    features: list[str]
    streams: list[StreamReport]


class ModelList(msgspec.Struct):
    """Every model that was heard of, sorted by name."""

    models: list[ModelReport]


class _Headline(msgspec.Struct):
    severity: str
    drifted: list[str]
    not_judged: list[NotJudged] = []


class _Stored(msgspec.Struct):
    summary: _Headline


@router.get("/models", summary="All models", operation_id="list_models", responses=answers({200: ModelList}, 503))
async def list_models(request: Request) -> Response:
    """What each model has sent, whether it has a reference, and its latest verdict."""
    state, grant = state_of(request), grant_of(request)

    def work() -> ModelList:
        with state.store.read() as connection:
            names, present, verdicts = generations(connection), streams(connection), latest_verdicts(connection)
            references, failures = overview(connection), _failures(connection)
        by_model: dict[str, list[Stream]] = {name: [] for name in names}
        for stream in present:
            by_model[stream.model].append(stream)
        latest = {verdict.stream: verdict for verdict in verdicts}
        return ModelList(
            [
                _model(name, by_model[name], latest, references.get(name, []), failures)
                for name in names
                if grant.is_for(name)
            ]
        )

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/models/{model_name:segment}",
    summary="One model",
    operation_id="get_model",
    responses=answers({200: ModelReport}, 404, 422, 503),
)
async def get_model(request: Request, model_name: Name) -> Response:
    """What the model has sent, whether it has a reference, and its latest verdict."""
    state = state_of(request)

    def work() -> ModelReport:
        with state.store.read() as connection:
            if generation_of(connection, model_name) is None:
                raise UnknownResource(unknown_model(model_name))
            present, verdicts = streams(connection, model_name), latest_verdicts(connection, model_name)
            references, failures = overview(connection, model_name), _failures(connection, model_name)
        latest = {verdict.stream: verdict for verdict in verdicts}
        return _model(model_name, present, latest, references.get(model_name, []), failures)

    return json_answer(await asyncio.to_thread(work))


def _model(
    name: str,
    present: list[Stream],
    latest: Mapping[StreamKey, StoredVerdict],
    references: Sequence[tuple[Subject, str]],
    failures: Mapping[StreamKey, list[FailureReport]],
) -> ModelReport:
    states = {state for _, state in references}
    return ModelReport(
        model_name=name,
        predictions=sum(stream.predictions for stream in present),
        reference="active" if "active" in states else "provisional" if states else "none",
        features=sorted({subject.name for subject, _ in references if subject.kind == "feature"}),
        streams=[_stream(stream, latest.get(stream.key), failures.get(stream.key, [])) for stream in present],
    )


def _stream(stream: Stream, verdict: StoredVerdict | None, failures: list[FailureReport]) -> StreamReport:
    headline = None if verdict is None else msgspec.json.decode(verdict.result, type=_Stored).summary
    return StreamReport(
        model_version=stream.version,
        environment=stream.environment,
        predictions=stream.predictions,
        first_window=iso(stream.first_window),
        last_window_end=iso(stream.last_window_end),
        severity=None if headline is None else headline.severity,
        drifted=[] if headline is None else headline.drifted,
        evaluated_at=None if verdict is None else iso(verdict.evaluated_at // 1_000_000),
        not_judged=None if headline is None else sum(each.count for each in headline.not_judged),
        failures=failures,
    )


def _failures(connection: Connection, model: str | None = None) -> dict[StreamKey, list[FailureReport]]:
    found: dict[StreamKey, list[FailureReport]] = {}
    for each in evaluation_failures(connection, model):
        since, tried_at = iso(each.since // 1_000_000), iso(each.tried_at // 1_000_000)
        report = FailureReport(each.check, since, tried_at, each.attempts, each.error)
        found.setdefault(each.stream, []).append(report)
    return found
