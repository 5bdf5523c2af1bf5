"""GET /models/{model}/series, /drift/series, /quality/series (all also as CSV) and /volume of a model."""

# No postponed annotations: the framework reads those of a class's constructor where they are.
import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from modelwatch.api.openapi import answers, csv_answers
from modelwatch.api.routes.common import (
    Moment,
    Name,
    Text,
    csv_answer,
    json_answer,
    microseconds_of,
    seconds_of,
    state_of,
    step_of,
)
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.events import DEFAULT_ENVIRONMENT
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.windows import Window, covering
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.subjects import Subject
from modelwatch.views.drift.series import DriftSeries, drift_csv, drift_series
from modelwatch.views.drift.subject_comparison import SubjectComparison, subject_comparison
from modelwatch.views.drift.subject_series import SubjectSeries, subject_csv, subject_series
from modelwatch.views.performance.series import label_series
from modelwatch.views.quality.series import QualitySeries, quality_csv, quality_series
from modelwatch.views.quality.volume import VolumeSeries, volume_series
from modelwatch.views.stretches.stretch import REFUSED, SeriesQuery

router = APIRouter(tags=["series"])

SubjectKind = Literal["feature", "prediction", "score", "latency"]
SeriesKind = Literal["feature", "prediction", "score", "latency", "label"]
SeriesStep = Annotated[
    str | None, Query(description="Length of a step, such as 30m; by default about a hundred steps.")
]
SeriesWindow = Annotated[
    str | None, Query(description="Look-back of each step from its end, in whole steps; by default one.")
]
Segment = Annotated[str | None, Query(min_length=1, max_length=1_024, description="A segment, such as `country=DE`.")]


@dataclass(frozen=True)
class StretchParameters:
    """The stretch of a request. `start` and `end` are 48 hours up to the newest data if they are left out."""

    version: Text = None
    environment: Text = None
    start: Moment = None
    end: Moment = None
    step: SeriesStep = None
    window: SeriesWindow = None

    def of(self, model: str, segment: str | None = None) -> SeriesQuery:
        """Query from the parameters of a request. Raises InvalidInput for an invalid time or length."""
        return SeriesQuery(
            model,
            self.environment or DEFAULT_ENVIRONMENT,
            self.version,
            *seconds_of(self.start, self.end),
            step_of(self.step),
            segment or "",
            step_of(self.window, "/window"),
        )


Stretched = Annotated[StretchParameters, Depends()]


@dataclass(frozen=True)
class SubjectParameters:
    """The subject of a request: a feature by its name, or what has none."""

    feature: Text = None
    kind: Annotated[SubjectKind, Query(description="Kind of the subject; a feature is named by `feature`.")] = "feature"

    @property
    def subject(self) -> Subject:
        """The subject. Raises InvalidInput where a feature is named that is none, or not named."""
        if (self.kind == "feature") != (self.feature is not None):
            why = (
                "Name a feature, or another kind than feature" if self.feature is None else "Only a feature has a name"
            )
            raise InvalidInput(REFUSED, (FieldError("/feature", why, self.feature),))
        return Subject(self.kind, self.feature or "")


@dataclass(frozen=True)
class SeriesParameters:
    """The subject of a series: the labels have one, too."""

    feature: Text = None
    kind: Annotated[SeriesKind, Query(description="Kind of the subject; a feature is named by `feature`.")] = "feature"

    @property
    def subject(self) -> Subject | None:
        """The subject; None for the labels. Raises InvalidInput where a feature is named that is none, or not named."""
        if self.kind == "label" and self.feature is None:
            return None
        return SubjectParameters(self.feature, "score" if self.kind == "label" else self.kind).subject


OfSubject = Annotated[SubjectParameters, Depends()]
OfSeries = Annotated[SeriesParameters, Depends()]


@router.get(
    "/models/{model_name:segment}/series",
    summary="One subject over time",
    operation_id="get_series",
    responses=answers({200: SubjectSeries}, 404, 422, 503),
)
async def get_series(
    request: Request, model_name: Name, parameters: OfSeries, stretch: Stretched, segment: Segment = None
) -> Response:
    """PSI, counts by cell, rates and quantiles of a feature, the prediction, its score, latency or label, by step."""
    return json_answer(await _subject(request, stretch.of(model_name, segment), parameters.subject))


@router.get(
    "/models/{model_name:segment}/series.csv",
    summary="One subject over time, as CSV",
    operation_id="get_series_csv",
    responses=csv_answers(),
)
async def get_series_csv(
    request: Request, model_name: Name, parameters: OfSeries, stretch: Stretched, segment: Segment = None
) -> Response:
    """The same as a table: one row a step, with its quantiles and the counts of its cells."""
    return csv_answer(subject_csv(await _subject(request, stretch.of(model_name, segment), parameters.subject)))


@router.get(
    "/models/{model_name:segment}/drift/series",
    summary="All subjects over time, in short",
    operation_id="get_drift_series",
    responses=answers({200: DriftSeries}, 404, 422, 503),
)
async def get_drift_series(request: Request, model_name: Name, stretch: Stretched) -> Response:
    """The PSI and the severity of every watched subject, step by step, as in a heat map."""
    return json_answer(await _drift(request, stretch.of(model_name)))


@router.get(
    "/models/{model_name:segment}/drift/series.csv",
    summary="All subjects over time, as CSV",
    operation_id="get_drift_series_csv",
    responses=csv_answers(),
)
async def get_drift_series_csv(request: Request, model_name: Name, stretch: Stretched) -> Response:
    """The same as a table: one row a step, with the PSI and the severity of each subject."""
    return csv_answer(drift_csv(await _drift(request, stretch.of(model_name))))


@router.get(
    "/models/{model_name:segment}/quality/series",
    summary="Data quality over time",
    operation_id="get_quality_series",
    responses=answers({200: QualitySeries}, 404, 422, 503),
)
async def get_quality_series(
    request: Request, model_name: Name, stretch: Stretched, segment: Segment = None
) -> Response:
    """Rates of values that break each rule of each feature, step by step, beside the reference's; repeats; and the
    score."""
    return json_answer(await _quality(request, stretch.of(model_name, segment)))


@router.get(
    "/models/{model_name:segment}/quality/series.csv",
    summary="Data quality over time, as CSV",
    operation_id="get_quality_series_csv",
    responses=csv_answers(),
)
async def get_quality_series_csv(
    request: Request, model_name: Name, stretch: Stretched, segment: Segment = None
) -> Response:
    """The same as a table: one row a step, with the rate of each rule of each feature that is ever broken."""
    return csv_answer(quality_csv(await _quality(request, stretch.of(model_name, segment))))


@router.get(
    "/models/{model_name:segment}/volume",
    summary="Volume over time",
    operation_id="get_volume",
    responses=answers({200: VolumeSeries}, 404, 422, 503),
)
async def get_volume(
    request: Request,
    model_name: Name,
    version: Text = None,
    environment: Text = None,
    start: Moment = None,
    end: Moment = None,
    step: SeriesStep = None,
) -> Response:
    """Predictions step by step, with the usual number at that hour: the mean of the same hours of earlier weeks, and
    the range in which 99 of 100 usual ones lie."""
    state = state_of(request)
    series_query = StretchParameters(version, environment, start, end, step).of(model_name)
    return json_answer(await asyncio.to_thread(volume_series, state.store, series_query, state.clock()))


@router.get(
    "/models/{model_name:segment}/comparison",
    summary="One subject now, or two windows of it",
    operation_id="compare_subject",
    responses=answers({200: SubjectComparison}, 404, 422, 503),
)
async def compare_subject(
    request: Request,
    model_name: Name,
    parameters: OfSubject,
    version: Text = None,
    environment: Text = None,
    start: Moment = None,
    end: Moment = None,
    baseline_start: Moment = None,
    baseline_end: Moment = None,
) -> Response:
    """The drift check of one subject with all of its cells: shares, quantiles, and each cell's contribution to the PSI.

    Of the newest data, or of the window from start to end; compared with the reference, or with another window."""
    state = state_of(request)
    query = DriftQuery(
        model_name, environment or DEFAULT_ENVIRONMENT, version, window=window_of(start, end, ("/start", "/end"))
    )
    baseline = window_of(baseline_start, baseline_end, ("/baseline_start", "/baseline_end"))

    def work() -> SubjectComparison:
        with state.store.read() as connection:
            require_model(connection, model_name)
        return subject_comparison(state.store, state.rules, query, parameters.subject, state.clock(), baseline=baseline)

    return json_answer(await asyncio.to_thread(work))


def window_of(start: datetime | None, end: datetime | None, pointers: tuple[str, str]) -> Window | None:
    """The base windows from start to end; None for none. Raises InvalidInput unless both are given, or neither."""
    first, last = microseconds_of(start, end, pointers)
    if first is None and last is None:
        return None
    if first is None or last is None:
        missing = pointers[0] if first is None else pointers[1]
        raise InvalidInput(REFUSED, (FieldError(missing, "Both ends of a window are given, or none"),))
    if first >= last:
        raise InvalidInput(REFUSED, (FieldError(pointers[1], "Expected a time after its start"),))
    return covering(first, last)


async def _subject(request: Request, series_query: SeriesQuery, subject: Subject | None) -> SubjectSeries:
    state = state_of(request)
    if subject is None:
        return await asyncio.to_thread(label_series, state.store, series_query, state.clock())
    return await asyncio.to_thread(subject_series, state.store, state.rules, series_query, subject, state.clock())


async def _drift(request: Request, series_query: SeriesQuery) -> DriftSeries:
    state = state_of(request)
    return await asyncio.to_thread(drift_series, state.store, state.rules, series_query, state.clock())


async def _quality(request: Request, series_query: SeriesQuery) -> QualitySeries:
    state = state_of(request)
    return await asyncio.to_thread(quality_series, state.store, series_query, state.clock())
