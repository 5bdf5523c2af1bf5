"""GET /models and /models/{model}."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import MOST_A_PAGE, Cursor, Limit, Name, cursor_of, json_answer, position_of, state_of
from modelwatch.api.state import ServiceState
from modelwatch.config.monitors.monitor import MonitorConfig
from modelwatch.events import Task
from modelwatch.monitoring.checks.not_judged import NotJudged
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.monitoring.proposals import proposal_for, rate_of
from modelwatch.storage.counts.streams import streams
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.engine.models import Stream, StreamKey, known_models, require_model
from modelwatch.storage.references.monitors import all_monitors
from modelwatch.storage.references.references import overview
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.evaluations import evaluation_failures
from modelwatch.storage.verdicts.verdicts import StoredVerdict, latest_verdicts, report_of
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["models"])


class FailureReport(msgspec.Struct):
    """A check that ends with an error, since when, after how many attempts; kind of error, and place in the code."""

    check: str
    since: str
    tried_at: str
    attempts: int
    error: str


class ProposalReport(msgspec.Struct):
    """The proposed `drift.lookbacks` and `schedule.every` of its monitor for the observed traffic; and why."""

    lookbacks: list[str]
    every: str
    reason: str


class StreamReport(msgspec.Struct):
    """One version in one environment: received predictions, the latest verdict, and checks that fail. not_judged:
    number of subjects that the verdict does not judge; null without one. proposal: look-backs and a schedule that fit
    its traffic better than those it is judged by; null where they fit."""

    model_version: str
    environment: str
    predictions: int
    first_window: str
    last_window_end: str
    severity: str | None
    drifted: list[str]
    evaluated_at: str | None
    not_judged: int | None
    data_until: str
    evaluated_until: str | None
    failures: list[FailureReport]
    predictions_per_day: float
    proposal: ProposalReport | None


class ModelReport(msgspec.Struct):
    """A model, its streams, and the features that have a reference.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated.
    owner, tags, task, positive_class, importance: as its monitor says; null or empty where it does not. importance: by
    feature, on a scale of its own, a larger number for one that matters more.
    """

    model_name: str
    predictions: int
    reference: str
    features: list[str]
    streams: list[StreamReport]
    data_until: str | None
    evaluated_until: str | None
    owner: str | None
    tags: list[str]
    task: Task | None
    positive_class: str | None
    importance: dict[str, float]


class ModelList(msgspec.Struct):
    """Models that have sent a prediction, or have a reference or a monitor, sorted by name.

    next_cursor: where the next page begins.
    """

    models: list[ModelReport]
    next_cursor: str | None


class _Headline(msgspec.Struct):
    severity: str
    drifted: list[str]
    not_judged: list[NotJudged] = []


class _Stored(msgspec.Struct):
    summary: _Headline


_decode = msgspec.json.Decoder(_Stored).decode


@router.get("/models", summary="Models", operation_id="list_models", responses=answers({200: ModelList}, 422, 503))
async def list_models(request: Request, limit: Limit = MOST_A_PAGE, cursor: Cursor = None) -> Response:
    """Each model's predictions, whether it has a reference, and its latest verdict. In pages, by name."""
    state, grant = state_of(request), grant_of(request)
    after = None if cursor is None else position_of(cursor)[1]

    def work() -> ModelList:
        with state.store.read() as connection:
            known = [name for name in known_models(connection) if grant.is_for(name)]
            names = [name for name in known if after is None or name > after]
            page = names[:limit]
            # What all models have is read at once, of a page of many more each model's own.
            of_all = _facts(connection, state, None) if len(page) == len(known) else None
            found = [_model(name, of_all or _facts(connection, state, name)) for name in page]
        return ModelList(found, cursor_of((0, page[-1])) if len(names) > limit else None)

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/models/{model_name:segment}",
    summary="One model",
    operation_id="get_model",
    responses=answers({200: ModelReport}, 404, 422, 503),
)
async def get_model(request: Request, model_name: Name) -> Response:
    """The model's predictions, whether it has a reference, and its latest verdict."""
    state = state_of(request)

    def work() -> ModelReport:
        with state.store.read() as connection:
            require_model(connection, model_name)
            facts = _facts(connection, state, model_name)
        return _model(model_name, facts)

    return json_answer(await asyncio.to_thread(work))


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts for the answer about one model, or all."""

    streams: Mapping[str, list[Stream]]
    latest: Mapping[StreamKey, StoredVerdict]
    references: Mapping[str, Sequence[tuple[Subject, str]]]
    failures: Mapping[StreamKey, list[FailureReport]]
    configs: Mapping[str, MonitorConfig]
    defaults: DriftRules


def _facts(connection: Connection, state: ServiceState, model: str | None) -> _Facts:
    by_model: dict[str, list[Stream]] = {}
    for stream in streams(connection, model):
        by_model.setdefault(stream.model, []).append(stream)
    configs = {each.model: each.config for each in all_monitors(connection) if model in (None, each.model)}
    return _Facts(
        by_model,
        {verdict.stream: verdict for verdict in latest_verdicts(connection, model)},
        overview(connection, model),
        _failures(connection, model),
        configs,
        state.rules,
    )


def _model(name: str, facts: _Facts) -> ModelReport:
    references, config = facts.references.get(name, []), facts.configs.get(name, MonitorConfig())
    rules = rules_for(facts.defaults, config)
    states = {state for _, state in references}
    found = [_stream(stream, facts, rules) for stream in facts.streams.get(name, [])]
    return ModelReport(
        model_name=name,
        predictions=sum(stream.predictions for stream in found),
        reference="active" if "active" in states else "provisional" if states else "none",
        features=sorted({subject.name for subject, _ in references if subject.kind == "feature"}),
        streams=found,
        data_until=max((each.data_until for each in found), default=None),
        evaluated_until=max((each.evaluated_until for each in found if each.evaluated_until is not None), default=None),
        owner=config.owner,
        tags=list(config.tags or ()),
        task=config.task,
        positive_class=config.positive_class,
        importance=dict(config.importance or {}),
    )


def _stream(stream: Stream, facts: _Facts, rules: DriftRules) -> StreamReport:
    verdict = facts.latest.get(stream.key)
    given = () if verdict is None else (verdict,)
    headline = next(readable(given, lambda each: report_of(each, _decode).summary), None)
    per_day = rate_of(stream.predictions, stream.first_window, stream.last_window_end)
    proposal = proposal_for(rules, per_day, stream.last_window_end - stream.first_window)
    return StreamReport(
        model_version=stream.version,
        environment=stream.environment,
        predictions=stream.predictions,
        first_window=iso_of_seconds(stream.first_window),
        last_window_end=iso_of_seconds(stream.last_window_end),
        severity=None if headline is None else headline.severity,
        drifted=[] if headline is None else headline.drifted,
        evaluated_at=None if verdict is None else iso_of_seconds(verdict.evaluated_at // 1_000_000),
        not_judged=None if headline is None else sum(each.count for each in headline.not_judged),
        data_until=iso_of_seconds(stream.latest_ts // 1_000_000),
        evaluated_until=None if verdict is None else iso_of_seconds(verdict.window_end),
        failures=facts.failures.get(stream.key, []),
        predictions_per_day=round(per_day, 3),
        proposal=None
        if proposal is None
        else ProposalReport(list(proposal.lookbacks), proposal.every, proposal.reason),
    )


def _failures(connection: Connection, model: str | None = None) -> dict[StreamKey, list[FailureReport]]:
    found: dict[StreamKey, list[FailureReport]] = {}
    for each in evaluation_failures(connection, model):
        since, tried_at = iso_of_seconds(each.since // 1_000_000), iso_of_seconds(each.tried_at // 1_000_000)
        report = FailureReport(each.check, since, tried_at, each.attempts, each.error)
        found.setdefault(each.stream, []).append(report)
    return found
