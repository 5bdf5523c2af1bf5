"""State gauges: the newest verdicts, the age of the references, the progress of evaluations.

They are read from the store at every scrape. The lines of a model are written once, and again when something of it has
changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily

from modelwatch.errors import StoreUnavailable
from modelwatch.exposition.alerts import (
    ALERTS_A_MODEL,
    alert_families,
    alerts_by_model,
    delivery_families,
    finding_counters,
    finding_families,
    read_alert_facts,
)
from modelwatch.exposition.drift import SERIES_A_FEATURE, StreamScores, drift_families, exposed_scores, series_of
from modelwatch.exposition.reports import no_performance, no_quality, written_performance, written_quality
from modelwatch.exposition.text import Unchanged, Written, together, written
from modelwatch.exposition.verdicts import NewestVerdict, NewestVerdicts
from modelwatch.findings import SEVERITIES
from modelwatch.storage.alerts.alerts import StoredAlert
from modelwatch.storage.alerts.finding_counters import FindingKey
from modelwatch.storage.engine.patience import Patience
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import all_monitors
from modelwatch.storage.references.references import oldest_reference_in_force
from modelwatch.storage.verdicts.evaluations import (
    EvaluationFailure,
    EvaluationProgress,
    evaluation_failures,
    evaluation_progress,
)
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY
from modelwatch.times import MICROS_PER_SECOND

# Of a bug that all streams bring out, some say as much as all.
FAILURES_SHOWN = 100


def evaluation_families(
    failures: Sequence[EvaluationFailure], progress: EvaluationProgress | None, now: int
) -> list[Metric]:
    """The families of a scrape. now: microseconds."""
    failing = GaugeMetricFamily(
        "ml_evaluation_failing",
        f"1 for a check of a stream that ends with an error, of at most {FAILURES_SHOWN} such; absent for all others.",
        labels=("model_name", "model_version", "environment", "check"),
    )
    for failure in failures[:FAILURES_SHOWN]:
        failing.add_metric((*failure.stream, failure.check), 1)
    count = GaugeMetricFamily("modelwatch_failing_evaluations", "Checks of streams that fail with an error.")
    count.add_metric((), len(failures))
    waiting = GaugeMetricFamily("modelwatch_waiting_evaluations", "Streams due for evaluation.")
    lag = GaugeMetricFamily(
        "modelwatch_evaluation_lag_seconds", "Time for which the longest-waiting stream has been due; 0 without any."
    )
    last_run = GaugeMetricFamily(
        "modelwatch_last_evaluation_round_timestamp_seconds",
        "Time at which a process last checked for due streams, updated every few seconds.",
    )
    if progress is not None:
        waiting.add_metric((), progress.waiting)
        lag.add_metric((), 0.0 if progress.since is None else max(now - progress.since, 0) / MICROS_PER_SECOND)
        last_run.add_metric((), progress.looked_at / MICROS_PER_SECOND)
    return [failing, count, waiting, lag, last_run]


SERVICE_NAME = "modelwatch"

# A model that gets a new version with every deployment would otherwise add series for ever.
STREAMS_A_MODEL = 20

DAY = 86_400 * MICROS_PER_SECOND

# Prometheus gives a scrape up after 10 s unless it is told otherwise, and would have no value at all.
READ_SECONDS = 6.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Model:
    """What the lines of a model follow from. findings: so many so far, by subject and severity. features, alerted:
    how many features, and findings in force, are exported. interval: seconds between two evaluations."""

    name: str
    streams: tuple[StreamScores, ...] = ()
    alerts: tuple[StoredAlert, ...] = ()
    findings: Mapping[FindingKey, int] = field(default_factory=dict)
    features: int = 0
    alerted: int = 0
    interval: int = 0


class StateCollector:
    """Reads the store at scrape time; two replicas of one store give the same gauges.

    `max_features`: how many features of a model are exported, worst first. `max_feature_series`: how many series the
    features of all models may have together; with very many models, fewer features of each are exported.
    `clock`: microseconds since 1970.
    `channels`: the names of those that are configured.
    `check_interval`: seconds between two evaluations, of models whose monitor does not say otherwise.
    """

    def __init__(
        self,
        store: Store,
        max_features: int,
        clock: Callable[[], int],
        channels: Sequence[str] = (),
        check_interval: int = 3_600,
        max_feature_series: int = 50_000,
    ) -> None:
        self._store = store
        self._max_features = max_features
        self._clock = clock
        self._channels = channels
        self._check_interval = check_interval
        self._max_feature_series = max_feature_series
        self._drift = NewestVerdicts(DRIFT, STREAMS_A_MODEL, exposed_scores, series_of)
        self._performance = NewestVerdicts(PERFORMANCE, STREAMS_A_MODEL, written_performance)
        self._quality = NewestVerdicts(QUALITY, STREAMS_A_MODEL, written_quality)
        self._models = Unchanged[_Model, list[Written]]()
        self._reads = Patience[list[Written]]()

    def collect(self) -> list[Written]:
        """The gauges. While the store can't be reached, or does not answer within READ_SECONDS, only the health of the
        service, which is 0: never old values."""
        try:
            return self._reads.within(READ_SECONDS, self._read)
        except StoreUnavailable as error:
            log.warning("The state gauges are omitted from a scrape: %s", error.detail)
            return [_health(0)]

    def _read(self) -> list[Written]:
        """The gauges, as the store has them now. Raises StoreUnavailable."""
        now = self._clock()
        with self._store.read() as connection:
            streams = self._drift.read(connection)
            performance = self._performance.read(connection)
            quality = self._quality.read(connection)
            references = oldest_reference_in_force(connection)
            facts = read_alert_facts(connection, now)
            failures, progress = evaluation_failures(connection), evaluation_progress(connection)
            intervals = {each.model: each.config.schedule.every for each in all_monitors(connection)}
        by_model: dict[str, list[StreamScores]] = {}
        for stream in streams:
            by_model.setdefault(stream.model, []).append(stream)
        alerts, features = alerts_by_model(facts.alerts), self._features_of_a_model(by_model)
        models = {
            name: _Model(
                name,
                tuple(by_model.get(name, ())),
                tuple(alerts.get(name, ())),
                facts.findings.get(name, {}),
                features,
                self._max_features,
                intervals.get(name) or self._check_interval,
            )
            for name in sorted({*by_model, *alerts, *facts.findings})
        }
        age = GaugeMetricFamily(
            "ml_reference_data_age_days",
            "Age of the oldest reference in force, in steps of 0.001.",
            labels=("model_name",),
        )
        for model, created_at in sorted(references.items()):
            age.add_metric((model,), round(max(now - created_at, 0) / DAY, 3))
        beside = (age, *delivery_families(facts, self._channels), *evaluation_families(failures, progress, now))
        return [
            _health(1),
            *together([_written(_Model("")), *self._models.of(models, _written).values()]),
            *together([no_performance(), *_exposed(performance)]),
            *together([no_quality(), *_exposed(quality)]),
            *map(written, beside),
        ]

    def _features_of_a_model(self, by_model: Mapping[str, Sequence[StreamScores]]) -> int:
        """Number of features exported of each model, so that all together stay within bounds."""
        of_one_feature = sum(
            SERIES_A_FEATURE * min(len(streams), STREAMS_A_MODEL) + len(SEVERITIES) for streams in by_model.values()
        )
        return min(self._max_features, self._max_feature_series // max(of_one_feature, 1))


def _written(model: _Model) -> list[Written]:
    """The families of a model; without samples where nothing is known of it."""
    subjects = {subject.feature_name for stream in model.streams for subject in stream.exposed or ()}
    drift, without_drift = drift_families(model.streams, model.features, STREAMS_A_MODEL)
    states, without_alerts = alert_families(model.alerts)
    counters, without_counters = finding_counters(model.name, model.findings, subjects, model.features)
    findings, without_findings = finding_families(model.alerts, model.alerted)
    interval = GaugeMetricFamily(
        "ml_evaluation_interval_seconds",
        "Longest time between two evaluations while data arrive.",
        labels=("model_name",),
    )
    if model.streams:
        interval.add_metric((model.name,), model.interval)
    # It falls when features recover or go, so it is no counter, and its name is no gauge's.
    dropped = UnknownMetricFamily(
        "ml_series_dropped_total",
        "Series omitted from this answer: features beyond METRICS_MAX_FEATURES, streams (a version in an"
        f" environment) beyond the newest {STREAMS_A_MODEL}, alerts beyond the worst {ALERTS_A_MODEL}, findings beyond"
        " as many as features.",
        labels=("model_name",),
    )
    if model.streams or model.alerts or model.findings:
        dropped.add_metric((model.name,), without_drift + without_alerts + without_counters + without_findings)
    return [written(family) for family in (*drift, interval, dropped, states, counters, *findings)]


def _exposed(verdicts: Iterable[NewestVerdict[tuple[Written, ...]]]) -> Iterable[Sequence[Written]]:
    return (verdict.exposed for verdict in verdicts if verdict.exposed is not None)


def _health(value: float) -> Written:
    family = GaugeMetricFamily(
        "ml_monitoring_service_health",
        "1 when this process can read the store, 0 when it can't.",
        labels=("service_name",),
    )
    family.add_metric((SERVICE_NAME,), value)
    return written(family)
