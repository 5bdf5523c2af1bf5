"""State gauges: the newest verdicts and the age of the references, read from the store at every scrape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from modelwatch.errors import StoreUnavailable
from modelwatch.exposition.alerts import ALERTS_A_MODEL, alert_families, read_alert_facts
from modelwatch.exposition.evaluations import evaluation_families
from modelwatch.exposition.findings import finding_families
from modelwatch.exposition.performance import performance_families
from modelwatch.exposition.quality import quality_families
from modelwatch.exposition.verdicts import NewestVerdicts, StreamScores, SubjectScores, by_age
from modelwatch.findings import SEVERITIES
from modelwatch.monitoring.checks.drift.judge import PRECEDENCE, Severity
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import all_monitors
from modelwatch.storage.references.references import oldest_reference_in_force
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, QUALITY, latest_verdicts
from modelwatch.times import MICROS_PER_SECOND

SERVICE_NAME = "modelwatch"
STREAM = ("model_name", "model_version", "environment")
SUBJECT = (*STREAM, "kind", "feature_name")

# A model that gets a new version with every deployment would otherwise add series for ever.
STREAMS_A_MODEL = 20
KINDS = ("feature", "prediction", "score", "latency")
# What a feature of a stream adds: six scores, severity, samples, p-value. (And a counter for each severity, once.)
SERIES_A_FEATURE = 9

DAY = 86_400 * MICROS_PER_SECOND

# The largest is the worst, as in PRECEDENCE, so that `max by` over replicas, features or versions means something.
SEVERITY_NUMBERS: dict[Severity, float] = {
    "alert": 2,
    "warning": 1,
    "shifted": 0.5,
    "stable": 0,
    "insufficient_data": -1,
    "no_data": -2,
    "no_reference": -3,
}

log = logging.getLogger(__name__)


class StateCollector(Collector):
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
        self._verdicts = NewestVerdicts(STREAMS_A_MODEL, _series_of)

    def collect(self) -> Iterable[Metric]:
        """The gauges. While the store can't be reached only the health of the service, which is 0: never old values."""
        now = self._clock()
        try:
            with self._store.read() as connection:
                streams = self._verdicts.read(connection)
                performance = latest_verdicts(connection, check=PERFORMANCE)
                quality = latest_verdicts(connection, check=QUALITY)
                references = oldest_reference_in_force(connection)
                facts = read_alert_facts(connection, now)
                failures, progress = evaluation_failures(connection), evaluation_progress(connection)
                intervals = {each.model: each.config.schedule.every for each in all_monitors(connection)}
        except StoreUnavailable as error:
            log.warning("The state gauges are omitted from a scrape: %s", error.detail)
            return [_health(0)]
        by_model: dict[str, list[StreamScores]] = {}
        for stream in streams:
            by_model.setdefault(stream.model, []).append(stream)
        families = _Families()
        features = self._features_of_a_model(by_model)
        subjects = {
            model: {subject.feature_name for stream in streams for subject in stream.subjects}
            for model, streams in by_model.items()
        }
        alerts = alert_families(facts, self._channels, subjects, features)
        findings = finding_families(facts.alerts, self._max_features)
        for model in sorted({*by_model, *alerts.dropped}):
            dropped = _add_model(families, by_model.get(model, []), features)
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
            *evaluation_families(failures, progress, now),
        ]

    def _features_of_a_model(self, by_model: Mapping[str, Sequence[StreamScores]]) -> int:
        """Number of features exported of each model, so that all together stay within bounds."""
        of_one_feature = sum(
            SERIES_A_FEATURE * min(len(streams), STREAMS_A_MODEL) + len(SEVERITIES) for streams in by_model.values()
        )
        return min(self._max_features, self._max_feature_series // max(of_one_feature, 1))


def _add_model(families: _Families, streams: Sequence[StreamScores], features: int) -> int:
    """Adds the streams of a model, with so many features. Returns how many series were left out."""
    newest = sorted(streams, key=by_age)[:STREAMS_A_MODEL]
    exported = _worst_features(newest, features)
    dropped = 0
    for stream in streams:
        kept = stream in newest
        if kept:
            families.last_evaluation.add_metric(stream.labels, stream.evaluated_at / MICROS_PER_SECOND)
        else:
            dropped += 1 + stream.left_out
        for subject in stream.subjects:
            samples = families.samples(stream.labels, subject)
            if kept and (subject.kind != "feature" or subject.feature_name in exported):
                for family, labels, value in samples:
                    family.add_metric(labels, value)
            else:
                dropped += len(samples)
    return dropped


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
            "Severity of the verdict: 2 alert, 1 warning, 0.5 shifted, 0 stable, -1 insufficient data, -2 no data,"
            " -3 no reference.",
            SUBJECT,
        )
    )
    n_samples: GaugeMetricFamily = field(
        default_factory=lambda: _gauge("ml_drift_samples", "Valid values that the verdict is based on.", SUBJECT)
    )
    p_value: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_drift_p_value",
            "p-value: the chance of a difference this large without drift (chi-square homogeneity).",
            SUBJECT,
        )
    )
    last_evaluation: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_last_evaluation_timestamp_seconds", "Time at which the stream was last evaluated.", STREAM
        )
    )
    interval: GaugeMetricFamily = field(
        default_factory=lambda: _gauge(
            "ml_evaluation_interval_seconds", "Longest time between two evaluations while data arrive.", ("model_name",)
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
            "Series omitted from this answer: features beyond METRICS_MAX_FEATURES, versions beyond the newest"
            f" {STREAMS_A_MODEL}, alerts beyond the worst {ALERTS_A_MODEL}, findings beyond as many as features.",
            labels=("model_name",),
        )
    )

    def samples(
        self, stream: tuple[str, str, str], subject: SubjectScores
    ) -> list[tuple[GaugeMetricFamily, tuple[str, ...], float]]:
        """Samples that a subject adds to each family."""
        scores = self.scores.get(subject.kind)
        if scores is None:  # a kind that only a newer release knows
            return []
        labels = (*stream, subject.kind, subject.feature_name)
        names = (*stream, subject.feature_name) if subject.kind == "feature" else stream
        result = [(scores, (*names, method), value) for method, value in _by_method(subject)]
        result.append((self.severity, labels, SEVERITY_NUMBERS[subject.severity]))
        result.append((self.n_samples, labels, subject.sample_size))
        if subject.evidence is not None:
            result.append((self.p_value, labels, subject.evidence.p_value))
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


def _series_of(subject: SubjectScores) -> int:
    """Number of samples that `_Families.samples` has of a subject."""
    if subject.kind not in KINDS:
        return 0
    return len(_by_method(subject)) + 2 + (subject.evidence is not None)


def _by_method(subject: SubjectScores) -> list[tuple[str, float]]:
    """The scores that are defined. None with insufficient data: a rule on the score alone would fire on noise."""
    if subject.severity == "insufficient_data":
        return []
    scores = {
        "psi": None if subject.psi is None else subject.psi.score,
        "ks": None if subject.ks_test is None else subject.ks_test.statistic,
        "jensen_shannon": None if subject.jensen_shannon is None else subject.jensen_shannon.distance,
        "wasserstein": subject.wasserstein,
        "hellinger": subject.hellinger,
        "total_variation": subject.total_variation,
    }
    return [(method, score) for method, score in scores.items() if score is not None]


def _worst_features(streams: Sequence[StreamScores], count: int) -> set[str]:
    """The names of a model's features that are worst in any of its streams."""
    worst: dict[str, tuple[int, float, str]] = {}
    for stream in streams:
        for subject in stream.subjects:
            if subject.kind == "feature":
                rank = _rank(subject)
                worst[subject.feature_name] = min(rank, worst.get(subject.feature_name, rank))
    return set(sorted(worst, key=worst.__getitem__)[:count])


def _rank(subject: SubjectScores) -> tuple[int, float, str]:
    score = 0.0 if subject.psi is None else subject.psi.score
    return (PRECEDENCE.index(subject.severity), -score, subject.feature_name)


def _health(value: float) -> GaugeMetricFamily:
    family = _gauge(
        "ml_monitoring_service_health", "1 when this process can read the store, 0 when it can't.", ("service_name",)
    )
    family.add_metric((SERVICE_NAME,), value)
    return family
