"""Trend that led to a notification: a few numbers of the worst member's stream, for a sparkline in a channel."""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert
from modelwatch.alerting.notification import Trend
from modelwatch.charts.drawing.numbers import Format
from modelwatch.findings import Finding, Kind
from modelwatch.measures import metric_form, metric_name
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.regression import mean_target
from modelwatch.storage.counts.outcomes import outcomes_by_window
from modelwatch.storage.counts.volumes import hourly_volumes
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.ledger.repeats import changed_by_window
from modelwatch.storage.references.layouts import Counts, read_layouts
from modelwatch.storage.references.outcome_references import outcomes_for, outcomes_in_force
from modelwatch.storage.verdicts.headlines import newest_of, recent_headlines, recent_values
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_HOUR

TREND_LENGTH = 24
HOURS = "hours"
# What the headlines of the check behind each kind show.
HEADLINES: dict[Kind, tuple[str, str, Format]] = {
    "feature_drift": (DRIFT, "Largest PSI", "number"),
    "prediction_drift": (DRIFT, "Largest PSI", "number"),
    "latency_drift": (DRIFT, "Largest PSI", "number"),
    "performance": (PERFORMANCE, "Main metric", "number"),
    "data_quality": (QUALITY, "Share of values with an issue", "percent"),
}
# Subjects that no headline is about.
COVERAGE, REPEATS = "label_coverage", "duplicates"
OTHER = "(other)"


class _Headline(msgspec.Struct):
    subject: str | None = None
    coverage: float | None = None


_decode = msgspec.json.Decoder(_Headline).decode


def trend_of(connection: Connection, alert: Alert) -> Trend | None:
    """Trend of the stream of an alert's worst member; None of a kind that has none, and before there are two values."""
    worst = alert.members[0]
    stream = StreamKey(alert.model, worst.version, alert.environment)
    until = alert.data_until // MICROS_PER_SECOND
    if alert.kind == "label_drift":
        found = _labels(connection, stream, until)
    elif alert.kind == "volume":
        found = _volume(connection, stream, until)
    elif alert.kind == "performance" and worst.finding.subject == COVERAGE:
        found = _coverage(connection, stream, until)
    elif alert.kind == "data_quality" and worst.finding.subject == REPEATS:
        found = _repeats(connection, stream, until, worst.finding)
    else:
        found = _headlines(connection, stream, until, alert.kind, worst.finding)
    return None if found is None or len(found.values) < 2 else found


def _headlines(connection: Connection, stream: StreamKey, until: int, kind: Kind, finding: Finding) -> Trend | None:
    """What the last evaluations showed."""
    told = HEADLINES.get(kind)
    if told is None:
        return None
    check, name, form = told
    values = recent_values(connection, stream, check, until, TREND_LENGTH)
    metric = _main_metric(connection, stream) if check == PERFORMANCE else None
    if metric is not None:
        name, form = metric_name(metric), metric_form(metric)
    is_psi = check == DRIFT and finding.score_name == "PSI"
    return Trend(
        name,
        tuple(value for _, value in values),
        finding.warning_threshold if is_psi else None,
        finding.alert_threshold if is_psi else None,
        form,
    )


def _coverage(connection: Connection, stream: StreamKey, until: int) -> Trend:
    """Share of the predictions with a label, as the last evaluations counted it."""
    stored = recent_headlines(connection, stream, PERFORMANCE, until, TREND_LENGTH)
    shares = [each.coverage for each in readable(stored, partial(decoded, f"A headline of {stream}", _decode))]
    return Trend(
        "Share of predictions with a label", tuple(each for each in shares if each is not None), form="percent"
    )


def _repeats(connection: Connection, stream: StreamKey, until: int, finding: Finding) -> Trend:
    """Share of repeats with different content in what was sent, by hour."""
    by_hour: dict[int, list[int]] = {}
    for start, (changed, others) in changed_by_window(connection, stream, *_last_hours(until)).items():
        of_hour = by_hour.setdefault(start // SECONDS_PER_HOUR, [0, 0])
        of_hour[0] += changed
        of_hour[1] += changed + others
    shares = tuple(changed / sent for _, (changed, sent) in sorted(by_hour.items()) if sent)
    return Trend("Share of changed repeats", shares, finding.warning_threshold, form="percent", steps=HOURS)


def _volume(connection: Connection, stream: StreamKey, until: int) -> Trend:
    """Predictions by hour, of whole hours."""
    start, end = _last_hours(until // SECONDS_PER_HOUR * SECONDS_PER_HOUR)
    volumes = hourly_volumes(connection, stream, start, end)
    hours = range(start, end, SECONDS_PER_HOUR)
    return Trend("Predictions an hour", tuple(float(volumes.get(each, 0)) for each in hours), steps=HOURS)


def _labels(connection: Connection, stream: StreamKey, until: int) -> Trend | None:
    """By hour, the share of the class that has moved most from the reference; of a regression, the mean target."""
    generation = generation_of(connection, stream.model) or 0
    layouts = read_layouts(connection, stream.model, generation)
    layout = layouts.of(stream.version).outcome
    by_hour: dict[int, Counts] = {}
    for start, counts in outcomes_by_window(connection, stream, layouts, _last_hours(until)).items():
        hour = start // SECONDS_PER_HOUR
        by_hour[hour] = by_hour[hour] + counts if hour in by_hour else counts
    hours = [OutcomeCounts(layout, counts) for _, counts in sorted(by_hour.items())]
    if layout.task == "regression":
        means = [mean_target(each.regression) for each in hours if each.regression is not None]
        return Trend("Mean target", tuple(each for each in means if each is not None), steps=HOURS)
    by_class = [each.confusion.matrix.sum(axis=1) for each in hours if each.confusion is not None]
    reference = outcomes_for(outcomes_in_force(connection, stream.model, generation), stream.version)
    usual = None if reference is None else reference.counts.confusion
    by_class = [each for each in by_class if each.sum()]
    if usual is None or not usual.n or not by_class:
        return None
    now, before = np.sum(by_class, axis=0), usual.matrix.sum(axis=1)
    if now.shape != before.shape:
        return None
    moved = int(np.argmax(np.abs(now / now.sum() - before / before.sum())))
    name = (*layout.classes, OTHER)[moved]
    return Trend(
        f"Share of the label {name}",
        tuple(float(each[moved] / each.sum()) for each in by_class),
        form="percent",
        steps=HOURS,
    )


def _last_hours(until: int) -> tuple[int, int]:
    return until - TREND_LENGTH * SECONDS_PER_HOUR, until


def _main_metric(connection: Connection, stream: StreamKey) -> str | None:
    """The metric that the headlines of a stream's performance show; None of what an earlier release stored."""
    newest = newest_of(connection, [stream], PERFORMANCE).get(stream)
    if newest is None or newest[1] is None:
        return None
    what = f"The headline of the verdict {newest[0].id}"
    found = next(readable((newest[1],), partial(decoded, what, _decode)), None)
    return None if found is None else found.subject
