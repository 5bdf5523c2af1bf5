"""POST /drift/check."""

from __future__ import annotations

import asyncio
import time

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of, require_reading
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import DRIFT_CHECK_CONTENT, answers
from modelwatch.api.routes.common import how_far, json_answer, microseconds_of, require_lookback, state_of
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.events import DEFAULT_ENVIRONMENT, DriftCheckBody
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import SubjectReport, Summary
from modelwatch.monitoring.checks.windows import Window, covering
from modelwatch.stats.drift.compat import COMPAT_NAMES
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.verdicts.standing import standing_of

router = APIRouter(tags=["drift"])


class DriftAnswer(msgspec.Struct):
    """Results of a drift check, and the times up to which the model has data and is evaluated.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated in the
    background, by which alerts go.
    """

    drift_results: list[SubjectReport]
    summary: Summary
    data_until: str | None
    evaluated_until: str | None


@router.post(
    "/drift/check",
    summary="Check drift",
    operation_id="check_drift",
    openapi_extra={"requestBody": DRIFT_CHECK_CONTENT},
    responses=answers({200: DriftAnswer}, 400, 404, 413, 422, 503),
)
async def drift_check(request: Request) -> Response:
    """Computed now from committed counts: every replica gives the same answer, byte for byte."""
    state = state_of(request)
    raw = await read_body(request, state.settings.max_body_bytes, state.settings.request_timeout_seconds)
    query = to_query(state.decoder.drift_check(raw))
    require_reading(grant_of(request), query.model)

    def work() -> DriftAnswer:
        with state.store.read() as connection:
            require_model(connection, query.model)
        began = time.perf_counter()
        report = check_drift(state.store, state.rules, query, state.clock())
        state.counters.checked(query.model, time.perf_counter() - began)
        with state.store.read() as connection:
            standing = standing_of(connection, query.model)
        return DriftAnswer(report.drift_results, report.summary, *how_far(standing))

    return json_answer(await asyncio.to_thread(work))


def to_query(body: DriftCheckBody) -> DriftQuery:
    """The query that a request asks for. Raises InvalidInput that names every wrong field."""
    errors = []
    if body.compat is not None and body.compat not in COMPAT_NAMES:
        known = ", ".join(sorted(COMPAT_NAMES))
        errors.append(FieldError("/compat", f"Expected one of {known}", body.compat[:80]))
    if body.lookback is not None:
        try:
            require_lookback(body.lookback)
        except ValueError as error:
            errors.append(FieldError("/lookback", str(error), body.lookback[:80]))
        if body.start is not None or body.end is not None:
            errors.append(FieldError("/lookback", "Give either a look-back, or start and end", body.lookback[:80]))
    if body.features is not None and not body.features:
        errors.append(FieldError("/features", "Name at least one feature, or leave it out for all"))
    if (body.start is None) != (body.end is None):
        missing = "/end" if body.end is None else "/start"
        errors.append(FieldError(missing, "start and end must be given together"))
    window = None
    start, end = microseconds_of(body.start, body.end)
    if start is not None and end is not None:
        if start >= end:
            errors.append(FieldError("/end", "Expected a time after start", str(body.end)))
        else:
            window = covering(start, end)
    if errors:
        raise InvalidInput("The drift check is not valid.", tuple(errors))
    return DriftQuery(
        model=body.model_name,
        environment=body.environment or DEFAULT_ENVIRONMENT,
        version=body.model_version,
        features=None if body.features is None else tuple(dict.fromkeys(body.features)),
        min_samples=body.min_samples,
        lookback=body.lookback,
        window=window if isinstance(window, Window) else None,
        compat=body.compat,
    )
