"""Gauges of drift: the newest verdict of each stream, subject by subject."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from modelwatch.exposition.verdicts import NewestVerdict, by_age
from modelwatch.monitoring.checks.drift.tolerance import PRECEDENCE, Severity
from modelwatch.storage.verdicts.verdicts import StoredVerdict
from modelwatch.times import MICROS_PER_SECOND

STREAM = ("model_name", "model_version", "environment")
SUBJECT = (*STREAM, "kind", "feature_name")
KINDS = ("feature", "prediction", "score", "latency")
# What a feature of a stream adds: six scores, severity, samples, p-value. (And a counter for each severity, once.)
SERIES_A_FEATURE = 9

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


class Psi(msgspec.Struct, frozen=True):
    score: float


class Ks(msgspec.Struct, frozen=True):
    statistic: float


class JensenShannon(msgspec.Struct, frozen=True):
    distance: float


class Evidence(msgspec.Struct, frozen=True):
    p_value: float


class SubjectScores(msgspec.Struct, frozen=True):
    """Exposed fields of a subject: a part of `monitoring.reports.SubjectReport`."""

    feature_name: str
    kind: str
    severity: Severity
    sample_size: int
    psi: Psi | None
    ks_test: Ks | None
    jensen_shannon: JensenShannon | None
    wasserstein: float | None
    hellinger: float | None
    total_variation: float | None
    evidence: Evidence | None


class _Exposed(msgspec.Struct, frozen=True):
    drift_results: tuple[SubjectScores, ...]


StreamScores = NewestVerdict[tuple[SubjectScores, ...]]
_Sample = tuple[GaugeMetricFamily, tuple[str, ...], float]

_decode = msgspec.json.Decoder(_Exposed).decode


def exposed_scores(verdict: StoredVerdict) -> tuple[SubjectScores, ...]:
    """Subjects of a drift verdict. Raises msgspec.DecodeError for a report in another form."""
    return _decode(verdict.result).drift_results


def series_of(subjects: Sequence[SubjectScores]) -> int:
    """Number of samples that these subjects of a stream have."""
    return sum(
        len(_by_method(subject)) + 2 + (subject.evidence is not None) for subject in subjects if subject.kind in KINDS
    )


def drift_families(
    streams: Sequence[StreamScores], features: int, streams_a_model: int
) -> tuple[tuple[Metric, ...], int]:
    """Metric families of the streams of a model, and the number of series that were left out.

    features: how many of them are exported, those that are worst in any stream. streams_a_model: how many streams are
    exported, those with the newest data.
    """
    families = _Families()
    newest = sorted(streams, key=by_age)[:streams_a_model]
    exported = _worst_features(newest, features)
    left_out = 0
    for stream in streams:
        kept = stream in newest
        if kept:
            families.last_evaluation.add_metric(stream.labels, stream.evaluated_at / MICROS_PER_SECOND)
        else:
            left_out += 1 + stream.left_out
        for subject in stream.exposed or ():
            samples = families.samples(stream.labels, subject)
            if kept and (subject.kind != "feature" or subject.feature_name in exported):
                for family, labels, value in samples:
                    family.add_metric(labels, value)
            else:
                left_out += len(samples)
    return families.all(), left_out


class _Families:
    """The families of one model."""

    def __init__(self) -> None:
        self._scores = {
            "feature": _scores("feature", (*STREAM, "feature_name")),
            "prediction": _scores("prediction", STREAM),
            "score": _scores("score", STREAM),
            "latency": _scores("latency", STREAM),
        }
        self._severity = GaugeMetricFamily(
            "ml_drift_severity",
            "Severity of the verdict: 2 alert, 1 warning, 0.5 shifted, 0 stable, -1 insufficient data, -2 no data,"
            " -3 no reference.",
            labels=SUBJECT,
        )
        self._sample_size = GaugeMetricFamily(
            "ml_drift_samples", "Valid values that the verdict is based on.", labels=SUBJECT
        )
        self._p_value = GaugeMetricFamily(
            "ml_drift_p_value",
            "p-value: the chance of a difference this large without drift, by all tests of the subject together.",
            labels=SUBJECT,
        )
        self.last_evaluation = GaugeMetricFamily(
            "ml_last_evaluation_timestamp_seconds", "Time at which the stream was last evaluated.", labels=STREAM
        )

    def samples(self, stream: tuple[str, str, str], subject: SubjectScores) -> list[_Sample]:
        """Samples that a subject adds to each family."""
        scores = self._scores.get(subject.kind)
        if scores is None:  # a kind that only a newer release knows
            return []
        labels = (*stream, subject.kind, subject.feature_name)
        names = (*stream, subject.feature_name) if subject.kind == "feature" else stream
        result: list[_Sample] = [(scores, (*names, method), value) for method, value in _by_method(subject)]
        result.append((self._severity, labels, SEVERITY_NUMBERS[subject.severity]))
        result.append((self._sample_size, labels, subject.sample_size))
        if subject.evidence is not None:
            result.append((self._p_value, labels, subject.evidence.p_value))
        return result

    def all(self) -> tuple[Metric, ...]:
        """The families in the order of the answer."""
        return (*self._scores.values(), self._severity, self._sample_size, self._p_value, self.last_evaluation)


def _scores(subject: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        f"ml_{subject}_drift_score",
        f"Distance of the {subject} from its reference, by drift_method, where there are enough samples for a verdict.",
        labels=(*labels, "drift_method"),
    )


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
        for subject in stream.exposed or ():
            if subject.kind == "feature":
                rank = _rank(subject)
                worst[subject.feature_name] = min(rank, worst.get(subject.feature_name, rank))
    return set(sorted(worst, key=worst.__getitem__)[:count])


def _rank(subject: SubjectScores) -> tuple[int, float, str]:
    score = 0.0 if subject.psi is None else subject.psi.score
    return (PRECEDENCE.index(subject.severity), -score, subject.feature_name)
