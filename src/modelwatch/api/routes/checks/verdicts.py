"""GET /models/{model}/drift, /verdicts/{id} and /verdicts/{id}/verification."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import (
    Name,
    how_far,
    json_answer,
    state_of,
)
from modelwatch.api.routes.selection import Paged, Selected, Stretched, verdict_page
from modelwatch.errors import UnknownResource, excerpt
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport
from modelwatch.monitoring.verification import Verification, verify_verdict
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.verdicts.standing import standing_of
from modelwatch.storage.verdicts.verdicts import DRIFT, StoredVerdict, latest_verdicts, report_of, verdict_by_id
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["drift"])


class SubjectLine(msgspec.Struct):
    """One subject of a verdict in one line."""

    feature_name: str
    kind: str
    severity: str
    lookback: str | None
    sample_size: int
    psi: float | None
    ks: float | None
    jensen_shannon: float | None
    p_value: float | None


class VerdictLine(msgspec.Struct):
    """One evaluation of one version in one environment. summary_only: of a quiet one its subjects are not kept, but for
    one an hour."""

    verdict_id: str
    model_version: str
    environment: str
    window_end: str
    evaluated_at: str
    severity: str
    drifted: list[str]
    alpha: float
    subjects: list[SubjectLine]
    summary_only: bool = False


class DriftHistory(msgspec.Struct):
    """The newest verdict of each stream, and the past ones, newest first.

    next_cursor: where the next page begins. data_until: when the newest prediction was. evaluated_until: the end of the
    newest window that was evaluated.
    """

    model_name: str
    current: list[VerdictLine]
    history: list[VerdictLine]
    next_cursor: str | None
    data_until: str | None
    evaluated_until: str | None


class VerdictReport(msgspec.Struct):
    """A verdict as it was given, with its evidence: the counts, and the hash of all that it was computed from.

    report: the report of the check, in its present form: a drift check's answer, or a report of the performance or of
    the quality. rules_version: of the rules that made it. summary_only: true when only a summary of the report is kept,
    without its lists, because the evaluation was quiet: full ones are kept once an hour.
    """

    verdict_id: str
    model_name: str
    model_version: str
    environment: str
    check: str
    window_end: str
    evaluated_at: str
    severity: str
    inputs_hash: str
    rules_version: int
    report: msgspec.Raw
    summary_only: bool = False


_decode = msgspec.json.Decoder(DriftReport).decode


@router.get(
    "/models/{model_name:segment}/drift",
    summary="Verdicts on a model, current and past",
    operation_id="get_drift_history",
    responses=answers({200: DriftHistory}, 404, 422, 503),
)
async def drift_history(
    request: Request, model_name: Name, selected: Selected, stretch: Stretched, page: Paged
) -> Response:
    """The verdicts that were stored, by the end of their window."""
    state = state_of(request)

    def work() -> DriftHistory:
        with state.store.read() as connection:
            require_model(connection, model_name)
            current = latest_verdicts(connection, model_name)
            standing = standing_of(connection, model_name)
            history, following = verdict_page(connection, model_name, DRIFT, selected, stretch, page)
        return DriftHistory(
            model_name,
            list(readable((each for each in current if selected.has(each.version, each.environment)), _line)),
            list(readable(history, _line)),
            following,
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/verdicts/{verdict_id:segment}",
    summary="One verdict with its evidence",
    operation_id="get_verdict",
    responses=answers({200: VerdictReport}, 404, 422, 503),
)
async def get_verdict(request: Request, verdict_id: Name) -> Response:
    """The report as it was stored, or a summary of it."""
    state, grant = state_of(request), grant_of(request)

    def work() -> VerdictReport:
        with state.store.read() as connection:
            verdict = _visible(verdict_by_id(connection, verdict_id), grant, verdict_id)
        return VerdictReport(
            verdict_id=verdict.id,
            model_name=verdict.model,
            model_version=verdict.version,
            environment=verdict.environment,
            check=verdict.check,
            window_end=iso_of_seconds(verdict.window_end),
            evaluated_at=iso_of_seconds(verdict.evaluated_at // 1_000_000),
            severity=verdict.severity,
            inputs_hash=verdict.inputs_hash,
            rules_version=verdict.rules_version,
            report=msgspec.Raw(verdict.result),
            summary_only=not verdict.full,
        )

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/verdicts/{verdict_id:segment}/verification",
    summary="Verify a verdict from its evidence",
    operation_id="verify_verdict",
    responses=answers({200: Verification}, 404, 422, 503),
)
async def verification(request: Request, verdict_id: Name) -> Response:
    """Recomputing it from the stored evidence, by the rules that made it, must give the same bytes."""
    state, grant = state_of(request), grant_of(request)

    def work() -> Verification:
        if grant.models is not None:
            with state.store.read() as connection:
                _visible(verdict_by_id(connection, verdict_id), grant, verdict_id)
        return verify_verdict(state.store, verdict_id)

    return json_answer(await asyncio.to_thread(work))


def _visible(verdict: StoredVerdict | None, grant: Grant, verdict_id: str) -> StoredVerdict:
    """The verdict. Raises UnknownResource when there is none, or none that the key is for: in the same words."""
    if verdict is None or not grant.is_for(verdict.model):
        raise UnknownResource(f"There is no verdict with the id {excerpt(verdict_id)!r}.")
    return verdict


def _line(verdict: StoredVerdict) -> VerdictLine:
    report = report_of(verdict, _decode)
    return VerdictLine(
        verdict_id=verdict.id,
        model_version=verdict.version,
        environment=verdict.environment,
        window_end=iso_of_seconds(verdict.window_end),
        evaluated_at=iso_of_seconds(verdict.evaluated_at // 1_000_000),
        severity=verdict.severity,
        drifted=report.summary.drifted,
        alpha=report.summary.alpha,
        subjects=[_subject(each) for each in report.drift_results],
        summary_only=not verdict.full,
    )


def _subject(report: SubjectReport) -> SubjectLine:
    return SubjectLine(
        feature_name=report.feature_name,
        kind=report.kind,
        severity=report.severity,
        lookback=report.lookback,
        sample_size=report.sample_size,
        psi=None if report.psi is None else report.psi.score,
        ks=None if report.ks_test is None else report.ks_test.statistic,
        jensen_shannon=None if report.jensen_shannon is None else report.jensen_shannon.distance,
        p_value=None if report.evidence is None else report.evidence.p_value,
    )
