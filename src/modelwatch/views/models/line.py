"""Line of a model in a list: its state in words, worst finding, drift, main metric, small series and reference."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from modelwatch.alerting.alert import Alert
from modelwatch.alerting.onsets import onset_of_first
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.storage.verdicts.headlines import Reading
from modelwatch.times import (
    iso_of_micros,
    iso_of_seconds,
)
from modelwatch.views.models.rows import ModelRow, ModelState, behind
from modelwatch.views.models.sentence import DRIFT_KINDS, members_of, seconds_since, sentence_of

POINTS = 84


class WorstFinding(msgspec.Struct, frozen=True):
    """The worst finding of the open alerts; of drift, if there is one.

    since: when the first of these findings began, as far as that is known, else when it was found.
    """

    alert_id: str
    kind: Kind
    subject: str
    severity: FindingSeverity
    score_name: str
    score: float
    threshold: float
    since: str
    detail: str


class MetricNow(msgspec.Struct, frozen=True):
    """The main metric in its newest window whose labels have come, with a 95 % interval, beside the reference.

    coverage: share of the window's predictions that have a label. immature: why it is not judged, else null.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    coverage: float | None
    window_end: str | None
    immature: str | None


class ReferenceNow(msgspec.Struct, frozen=True):
    """The reference in force: `own`, or `provisional` until one is set; when the newest part of it was set."""

    kind: str
    set_at: str


class SmallSeries(msgspec.Struct, frozen=True):
    """Values at even steps from `start` on; null where nothing was evaluated.

    psi: largest PSI of the verdicts that end in a step, and severity: their worst finding. metric: mean of the main
    metric. predictions_per_hour: mean rate.
    """

    start: str
    step_seconds: int
    psi: list[float | None]
    severity: list[FindingSeverity | None]
    metric: list[float | None]
    predictions_per_hour: list[float | None]


class ModelLine(msgspec.Struct, frozen=True):
    """A model in an environment, by its version with the newest data.

    state: `alert`, `warning` (also of drift that is no finding yet), `shifted` (a real shift, but not shown to matter),
    `stable`, `unknown` (not judged), `catching_up` or `no_data`. sentence: on the state.
    alerts: open ones. psi, psi_subject, psi_threshold: the largest of the newest verdict, whose it is, and from which
    value it would be an alert. predictions: in the newest `predictions_seconds`. data_until: of the newest prediction;
    arrived_at: when the last one came. Null where there is none.
    """

    model_name: str
    environment: str | None
    model_version: str | None
    versions: int
    owner: str | None
    tags: list[str]
    state: ModelState
    sentence: str
    alerts: int
    worst: WorstFinding | None
    psi: float | None
    psi_subject: str | None
    psi_threshold: float | None
    metric: MetricNow | None
    predictions: int | None
    predictions_seconds: int | None
    series: SmallSeries
    data_until: str | None
    arrived_at: str | None
    evaluated_until: str | None
    reference: ReferenceNow | None


def small_series(readings: tuple[list[Reading], list[Reading]], end: int, step: int) -> SmallSeries:
    """The last POINTS steps of so many seconds before `end`, of the readings of drift and of performance."""
    start = end - POINTS * step
    drift, performance = ({(each.start - start) // step: each for each in some} for some in readings)
    return SmallSeries(
        start=iso_of_seconds(start),
        step_seconds=step,
        psi=[drift[at].value if at in drift else None for at in range(POINTS)],
        severity=[_finding(drift[at].severity) if at in drift else None for at in range(POINTS)],
        metric=[performance[at].value if at in performance else None for at in range(POINTS)],
        predictions_per_hour=[drift[at].rate if at in drift else None for at in range(POINTS)],
    )


def _finding(severity: str | None) -> FindingSeverity | None:
    return "alert" if severity == "alert" else "warning" if severity == "warning" else None


def model_line(
    row: ModelRow,
    drift: Headline | None,
    performance: Headline | None,
    reference: tuple[str, int] | None,
    series: SmallSeries,
    now: int,
    first: int | None = None,
) -> ModelLine:
    """The line of a row, with the headlines of its newest verdicts. reference: its state, and when it was set, in
    microseconds. now: microseconds. first: start of its data, in seconds, where an onset depends on it."""
    stream, newest, verdict = row.stream, row.newest, row.verdict
    arrived = None if newest is None or not newest.arrived_at else newest.arrived_at
    sentence = sentence_of(
        row.state,
        row.alerts,
        None if verdict is None else verdict.severity,
        drift,
        performance,
        behind=behind(newest, verdict),
        silent=None if arrived is None else seconds_since(arrived, now),
        has_reference=reference is not None,
        version=None if stream is None else stream.version,
        without_alert=row.without_alert,
    )
    return ModelLine(
        model_name=row.model,
        environment=None if stream is None else stream.environment,
        model_version=None if stream is None else stream.version,
        versions=row.versions,
        owner=row.owner,
        tags=list(row.tags),
        state=row.state,
        sentence=sentence,
        alerts=len(row.alerts),
        worst=_worst(row.alerts, first),
        psi=None if drift is None else drift.value,
        psi_subject=None if drift is None else drift.subject,
        psi_threshold=None if drift is None else drift.alert,
        metric=_metric(performance),
        predictions=None if drift is None or not drift.seconds else drift.predictions,
        predictions_seconds=None if drift is None or not drift.seconds else drift.seconds,
        series=series,
        data_until=None if newest is None else iso_of_micros(newest.latest_ts),
        arrived_at=iso_of_micros(arrived),
        evaluated_until=None if verdict is None else iso_of_seconds(verdict.window_end),
        reference=None
        if reference is None
        else ReferenceNow("own" if reference[0] == "active" else reference[0], iso_of_micros(reference[1])),
    )


def _worst(alerts: Sequence[Alert], first: int | None) -> WorstFinding | None:
    # By the data, if they have moved: that explains the others, and labels tell an onset by hours only.
    members = members_of(alerts, *DRIFT_KINDS) or members_of(alerts)
    if not members:
        return None
    finding = members[0].finding
    alert = next(each for each in alerts if members[0] in each.members)
    return WorstFinding(
        alert_id=alert.id,
        kind=finding.kind,
        subject=finding.subject,
        severity=finding.severity,
        score_name=finding.score_name,
        score=finding.score,
        threshold=finding.threshold,
        since=iso_of_seconds(onset_of_first(members, first)),
        detail=finding.detail,
    )


def _metric(headline: Headline | None) -> MetricNow | None:
    if headline is None or headline.subject is None:
        return None
    return MetricNow(
        name=headline.subject,
        value=headline.value,
        low=headline.low,
        high=headline.high,
        reference=headline.reference,
        coverage=headline.coverage,
        window_end=iso_of_seconds(headline.end),
        immature=headline.reason,
    )
