"""State gauges: the newest verdicts and the age of the references, read from the store at every scrape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from modelwatch.errors import StoreUnavailable
from modelwatch.exposition.alerts import ALERTS_A_MODEL, alert_families, read_alert_facts
from modelwatch.exposition.findings import finding_families
from modelwatch.exposition.performance import performance_families
from modelwatch.exposition.quality import quality_families
from modelwatch.monitoring.reports import DriftReport, SubjectReport
from modelwatch.monitoring.verdicts import PRECEDENCE, Severity
from modelwatch.storage import (
    PERFORMANCE,
    QUALITY,
    Store,
    StoredVerdict,
    all_monitors,
    latest_verdicts,
    oldest_reference_in_force,
)

SERVICE_NAME = "modelwatch"
STREAM = ("model_name", "model_version", "environment")
SUBJECT = (*STREAM, "kind", "feature_name")

# A model that gets a new version with every deployment would otherwise add series for ever.
STREAMS_A_MODEL = 20

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS

# The largest is the worst, as in PRECEDENCE, so that `max by` over replicas, features or versions means something.
SEVERITY_NUMBERS: dict[Severity, int] = {
    "alert": 2,
    "warning": 1,
    "stable": 0,
    "insufficient_data": -1,
    "no_data": -2,
    "no_reference": -3,
}

_decode = msgspec.json.Decoder(DriftReport).decode

log = logging.getLogger(__name__)


class StateCollector(Collector):
    """Reads the store at scrape time; two replicas of one store give the same gauges.

    `max_features`: how many features of a model are exported, worst first.
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
    ) -> None:
        self._store = store
        self._max_features = max_features
        self._clock = clock
        self._channels = channels
        self._check_interval = check_interval

    def collect(self) -> Iterable[Metric]:
        """The gauges. While the store can't be reached only the health of the service, which is 0: never old values."""
        now = self._clock()
        try:
            with self._store.read() as connection:
                verdicts = latest_verdicts(connection)
                performance = latest_verdicts(connection, check=PERFORMANCE)
                quality = latest_verdicts(connection, check=QUALITY)
                references = oldest_reference_in_force(connection)
                facts = read_alert_facts(connection, now)
                intervals = {each.model: each.config.schedule.every for each in all_monitors(connection)}
        except StoreUnavailable as error:
            log.warning("The state gauges are left out of a scrape: %s", error.detail)
            return [_health(0)]
        by_model: dict[str, list[_Stream]] = {}
        for verdict in verdicts:
            stream = _read(verdict)
            if stream is not None:
                by_model.setdefault(verdict.model, []).append(stream)
        families = _Families()
        subjects = {
            model: {report.feature_name for stream in streams for report in stream.report.drift_results}
            for model, streams in by_model.items()
        }
        alerts = alert_families(facts, self._channels, subjects, self._max_features)
        findings = finding_families(facts.alerts, self._max_features)
        for model in sorted({*by_model, *alerts.dropped}):
            dropped = self._add_model(families, by_model.get(model, []))
            dropped += alerts.dropped.get(model, 0) + findings.dropped.get(model, 0)
            families.dropped.add_metric((model,), dropped)
        for model in sorted(by_model):
            families.interval.add_metric((model,), intervals.get(model) or self._check_interval)
        for model, created_at in sorted(references.items()):
            families.reference_age.add_metric((model,), round(max(now - created_at, 0) / DAY, 3))
        return [
            _health(1),
            *families.all(),
            *performance_families(performance, STREAMS_A_MODEL),
            *quality_families(quality, STREAMS_A_MODEL),
            *alerts.families,
            *findings.families,
        ]

    def _add_model(self, families: _Families, streams: Sequence[_Stream]) -> int:
        """Adds the streams of a model. Returns how many series were left out."""
        newest = sorted(streams, key=lambda stream: (-stream.verdict.window_end, stream.labels))[:STREAMS_A_MODEL]
        exported = _worst_features(newest, self._max_features)
        dropped = 0
        for stream in streams:
            kept = stream in newest
            if kept:
                families.last_evaluation.add_metric(stream.labels, stream.verdict.evaluated_at / MICROSECONDS)
            else:
                dropped += 1
            for report in stream.report.drift_results:
                samples = families.samples(stream.labels, report)
                if kept and (report.kind != "feature" or report.feature_name in exported):
                    for family, labels, value in samples:
                        family.add_metric(labels, value)
                else:
                    dropped += len(samples)
        return dropped


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    verdict: StoredVerdict
    report: DriftReport

    @property
    def labels(self) -> tuple[str, str, str]:
        return (self.verdict.model, self.verdict.version, self.verdict.environment)


def _gauge(name: str, documentation: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=labels)


def _scores(subject: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return _gauge(
        f"ml_{subject}_drift_score",
        f"Distance of the {subject} from its reference, by drift_method, where there are enough samples for a verdict.",
        (*labels, "drift_method"),
    )


@dataclass(frozen=True, slots=True)
class _Families:
    """The families of one scrape."""

    scores: dict[str, GaugeMetricFamily] = field(
        default_factory=lambda: {
            "feature": _scores("feature", (*STREAM, "feature_name")),
            "prediction": _scores("prediction", STREAM),
            "score": _scores("score", STREAM),
            "latency": _scores("latency", STREAM),
        }
    )
    severity: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_drift_severity",
            "The verdict: 2 alert, 1 warning, 0 stable, -1 insufficient data, -2 no data, -3 no reference.",
            SUBJECT,
        )
    )
    n_samples: GaugeMetricFamily = field(
        default_factory=lambda: _gauge("ml_drift_samples", "Valid values that the verdict looked at.", SUBJECT)
    )
    p_value: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_drift_p_value", "Chance of a difference this large without drift (chi-square homogeneity).", SUBJECT
        )
    )
    last_evaluation: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_last_evaluation_timestamp_seconds", "When the stream was last evaluated.", STREAM
        )
    )
    interval: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_evaluation_interval_seconds", "Longest time between two evaluations while data come.", ("model_name",)
        )
    )
    reference_age: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_reference_data_age_days", "Age of the oldest reference in force, in steps of 0.001.", ("model_name",)
        )
    )
    # It falls when features recover or go, so it is no counter, and its name is no gauge's.
    dropped: UnknownMetricFamily = field(
        default_factory=lambda: UnknownMetricFamily(
            "ml_series_dropped_total",
            "Series left out of this answer now: features beyond METRICS_MAX_FEATURES, versions beyond the newest"
            f" {STREAMS_A_MODEL}, alerts beyond the worst {ALERTS_A_MODEL}, findings beyond as many as features.",
            labels=("model_name",),
        )
    )

    def samples(
        self, stream: tuple[str, str, str], report: SubjectReport
    ) -> list[tuple[GaugeMetricFamily, tuple[str, ...], float]]:
        """What a subject adds to which family."""
        scores = self.scores.get(report.kind)
        if scores is None:  # a kind that only a newer release knows
            return []
        subject = (*stream, report.kind, report.feature_name)
        names = (*stream, report.feature_name) if report.kind == "feature" else stream
        result = [(scores, (*names, method), value) for method, value in _by_method(report)]
        result.append((self.severity, subject, SEVERITY_NUMBERS[report.severity]))
        result.append((self.n_samples, subject, report.sample_size))
        if report.evidence is not None:
            result.append((self.p_value, subject, report.evidence.p_value))
        return result

    def all(self) -> list[Metric]:
        """The families in the order of the answer."""
        return [
            *self.scores.values(),
            self.severity,
            self.n_samples,
            self.p_value,
            self.last_evaluation,
            self.interval,
            self.reference_age,
            self.dropped,
        ]


def _by_method(report: SubjectReport) -> list[tuple[str, float]]:
    """The scores that are defined. None with insufficient data: a rule on the score alone would fire on noise."""
    if report.severity == "insufficient_data":
        return []
    scores = {
        "psi": None if report.psi is None else report.psi.score,
        "ks": None if report.ks_test is None else report.ks_test.statistic,
        "jensen_shannon": None if report.jensen_shannon is None else report.jensen_shannon.distance,
        "wasserstein": report.wasserstein,
        "hellinger": report.hellinger,
        "total_variation": report.total_variation,
    }
    return [(method, score) for method, score in scores.items() if score is not None]


def _worst_features(streams: Sequence[_Stream], count: int) -> set[str]:
    """The names of a model's features that are worst in any of its streams."""
    worst: dict[str, tuple[int, float, str]] = {}
    for stream in streams:
        for report in stream.report.drift_results:
            if report.kind == "feature":
                rank = _rank(report)
                worst[report.feature_name] = min(rank, worst.get(report.feature_name, rank))
    return set(sorted(worst, key=worst.__getitem__)[:count])


def _rank(report: SubjectReport) -> tuple[int, float, str]:
    score = 0.0 if report.psi is None else report.psi.score
    return (PRECEDENCE.index(report.severity), -score, report.feature_name)


def _read(verdict: StoredVerdict) -> _Stream | None:
    """The verdict as a report; None when another release wrote it in a form that can't be read here."""
    try:
        return _Stream(verdict, _decode(verdict.result))
    except msgspec.DecodeError as error:
        log.warning(
            "The verdict on %r version %r in %r can't be read and has no gauges until the next evaluation: %s",
            verdict.model,
            verdict.version,
            verdict.environment,
            error,
        )
        return None


def _health(value: float) -> GaugeMetricFamily:
    family = _gauge(
        "ml_monitoring_service_health", "1 when this process can read the store, 0 when it can't.", ("service_name",)
    )
    family.add_metric((SERVICE_NAME,), value)
    return family
