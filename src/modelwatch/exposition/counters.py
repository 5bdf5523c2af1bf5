"""Event counters: what happened in this process since it started."""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase

from modelwatch.batches import PredictionBatch
from modelwatch.errors import INTERNAL_ERROR
from modelwatch.events import GroundTruth, Prediction
from modelwatch.exposition.recent_durations import RecentDurations
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.ledger.counting import Increment
from modelwatch.storage.ledger.labels import LabelStatus
from modelwatch.storage.ledger.ledger import Committed
from modelwatch.storage.ledger.received_profiles import TakenProfile
from modelwatch.storage.references.layouts import Layout
from modelwatch.views.service import EVALUATION, EVALUATION_STRETCH, INGEST_STRETCH, REQUESTS, ProcessCounts

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# A process's series can't be taken back (not at all with several workers), so what clients can name has an end.
OTHER = "(other)"
MAX_STREAMS = 1_000
MAX_FEATURE_SERIES = 10_000
MAX_KNOWN_LAYOUTS = 1_000

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


class EventCounters:
    """Implements the observers of the batcher, of maintenance and of the routes.

    Labels are names that were committed or have a reference. `max_features`: how many features of a model get counters
    of their own, first come first served; the others share those named `(other)`, so that sums stay right.
    """

    def __init__(self, registry: CollectorRegistry, max_features: int = 100) -> None:
        self._max_features = max_features
        self._accepted, self._waiting, self._failed = 0, 0, 0
        self._refused: collections.Counter[str] = collections.Counter()
        self._durations = {each: RecentDurations(INGEST_STRETCH) for each in REQUESTS}
        self._durations[EVALUATION] = RecentDurations(EVALUATION_STRETCH)
        self._features: dict[str, set[str]] = {}
        self._special_cells: dict[tuple[str, str], _SpecialCells] = {}
        stream = ("model_name", "model_version", "environment")
        self._predictions = _Children(
            Counter("ml_predictions_total", "Predictions stored, each counted once.", stream, registry=registry),
            MAX_STREAMS,
        )
        self._duplicates = _Children(
            Counter(
                "ml_duplicate_predictions_total",
                "Predictions sent again that were already stored.",
                ("model_name",),
                registry=registry,
            ),
            MAX_STREAMS,
        )
        self._profiles = _Children(
            Counter(
                "ml_profiles_total",
                "Profiles counted elsewhere that were received, by status: accepted, duplicate.",
                ("model_name", "status"),
                registry=registry,
            ),
            MAX_STREAMS,
        )
        self._labels = _Children(
            Counter(
                "ml_labels_total",
                "Labels received, by status: accepted, corrected, duplicate, waiting, expired.",
                ("model_name", "status"),
                registry=registry,
            ),
            MAX_STREAMS,
        )
        self._latency = _Children(
            _Histogram(
                "ml_prediction_latency_seconds",
                "Latency of the model as reported by its service.",
                ("model_name", "model_version"),
                registry=registry,
                buckets=SECONDS_BUCKETS,
            ),
            MAX_STREAMS,
        )
        self._missing = _Children(
            Counter(
                "ml_missing_features_total",
                "Values of a referenced feature that were null or absent.",
                ("model_name", "feature_name"),
                registry=registry,
            ),
            MAX_FEATURE_SERIES,
        )
        self._invalid = _Children(
            Counter(
                "ml_invalid_features_total",
                "Values of a referenced feature that break a rule: invalid_type, below_range or above_range (of the"
                " reference), unseen_category.",
                ("model_name", "feature_name", "validation_rule"),
                registry=registry,
            ),
            MAX_FEATURE_SERIES,
        )
        self._rejected = _Children(
            Counter(
                "ml_ingest_rejected_total",
                "Rejected requests that brought data, and rejected rows of batches.",
                ("reason",),
                registry=registry,
            ),
            MAX_STREAMS,
        )
        self._taken = dict.fromkeys(REQUESTS, 0)
        self._requests = Counter(
            "ml_ingest_accepted_total",
            "Accepted requests with predictions, profiles (as prediction batches) or labels, some seconds later.",
            ("request",),
            registry=registry,
        )
        for request in REQUESTS:
            self._requests.labels(request)
        self._errors = Counter(
            "modelwatch_internal_errors_total",
            "Requests of any kind that failed by an error in the service; its log has the details.",
            registry=registry,
        )
        self._check_seconds = _Children(
            Summary(
                "ml_drift_check_duration_seconds",
                "Duration of drift checks, scheduled and requested.",
                ("model_name",),
                registry=registry,
            ),
            MAX_STREAMS,
        )
        self._commit_seconds = Histogram(
            "ml_commit_seconds",
            "Duration of committing a batch of predictions.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self._queue_depth = Gauge(
            "ml_ingest_queue_depth",
            "Predictions waiting to be stored.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._jobs_failed = Counter(
            "modelwatch_chores_failed_total",
            "Runs of background jobs that failed and will be retried.",
            registry=registry,
        )

    def labelled(self, labels: Sequence[GroundTruth], statuses: Sequence[LabelStatus]) -> None:
        """Counts durable labels by status."""
        pairs = collections.Counter((label.model_name, status) for label, status in zip(labels, statuses, strict=True))
        for (model, status), number in pairs.items():
            self._labels.of(model, status).inc(number)

    def committed(self, events: Sequence[Prediction], outcome: Committed, seconds: float) -> None:
        """Counts a commit: only events that were new count as predictions."""
        batch = PredictionBatch.of(events)
        self._commit_seconds.observe(seconds)
        new = 0
        for increment in outcome.increments:
            model, version, environment = increment.key.model, increment.key.version, increment.key.environment
            self._predictions.of(model, version, environment).inc(increment.predictions)
            self._count_special_cells(increment)
            new += increment.predictions
        self._accepted += new
        latencies: dict[int, list[float]] = {}
        for place, latency, accepted in zip(batch.stream_of.tolist(), batch.latencies, outcome.accepted, strict=True):
            if accepted and latency is not None:
                latencies.setdefault(place, []).append(latency / 1_000)
        for place, durations in latencies.items():
            stream = batch.streams[place]
            self._latency.of(stream.model, stream.version).observe_all(durations)
        if new < len(batch):
            repeated = collections.Counter(
                model
                for model, accepted in zip(batch.model_names(), outcome.accepted, strict=True)
                if accepted is False
            )
            for model, count in repeated.items():
                self._duplicates.of(model).inc(count)

    def profiled(self, model: str, taken: TakenProfile) -> None:
        """Counts a profile that was received, and the predictions in it as any others."""
        self._profiles.of(model, taken.status).inc()
        for increment in taken.increments:
            self._predictions.of(model, increment.key.version, increment.key.environment).inc(increment.predictions)
            self._count_special_cells(increment)
            self._accepted += increment.predictions

    def queue_depth(self, events: int) -> None:
        """Sets the number of predictions waiting to be stored."""
        self._queue_depth.set(events)
        self._waiting = events

    def rejected(self, reason: str, number: int = 1) -> None:
        """Counts a rejected request, or so many rows; the reason is the slug of their problem."""
        self._rejected.of(reason).inc(number)
        self._refused[reason] += number

    def failed(self) -> None:
        """Counts a request that failed by an error in the service; if it brought data, beside its rejection."""
        self._errors.inc()
        self._failed += 1

    def accepted(self, request: str, seconds: float) -> None:
        """Observes how long an accepted request took, of a kind in REQUESTS, from when its body had arrived."""
        self._durations[request].add(seconds)

    def counted(self, now: int) -> ProcessCounts:
        """Counts of this process since it started, and its durations lately. now: microseconds. For one thread."""
        durations = {name: each.recent(now) for name, each in self._durations.items()}
        # Here, and not for each request: it would be noticed there.
        for request, before in self._taken.items():
            self._taken[request] = self._durations[request].total
            self._requests.labels(request).inc(self._taken[request] - before)
        refused = dict(self._refused)
        if self._failed:
            refused[INTERNAL_ERROR] = self._failed
        return ProcessCounts(self._accepted, refused, self._waiting, durations)

    def evaluated(self, model: str, seconds: float) -> None:
        """Observes the duration of a scheduled evaluation of a registered model, in seconds."""
        self._durations[EVALUATION].add(seconds)
        self.checked(model, seconds)

    def checked(self, model: str, seconds: float) -> None:
        """Observes the duration of a drift check of a registered model, in seconds."""
        self._check_seconds.of(model).observe(seconds)

    def job_failed(self) -> None:
        """Counts a failed run of background jobs."""
        self._jobs_failed.inc()

    def _count_special_cells(self, increment: Increment) -> None:
        cells = self._cells_of(increment)
        counts = increment.counts[cells.places]
        model = increment.key.model
        for index in np.flatnonzero(counts):
            name, rule = cells.meanings[index]
            feature = self._feature_label(model, name)
            child = self._missing.of(model, feature) if rule is None else self._invalid.of(model, feature, rule)
            child.inc(int(counts[index]))

    def _cells_of(self, increment: Increment) -> _SpecialCells:
        stream = (increment.key.model, increment.key.version)
        known = self._special_cells.get(stream)
        if known is None or known.layout is not increment.layout:
            if len(self._special_cells) >= MAX_KNOWN_LAYOUTS:
                self._special_cells.clear()
            known = self._special_cells[stream] = _special_cells(increment.layout)
        return known

    def _feature_label(self, model: str, feature: str) -> str:
        named = self._features.get(model)
        if named is None:
            if len(self._features) >= MAX_STREAMS:
                return OTHER
            named = self._features[model] = set()
        if feature not in named:
            if len(named) >= self._max_features:
                return OTHER
            named.add(feature)
        return feature


class _Histogram(Histogram):
    """A histogram that observes many amounts in little more time than one."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observes each of these amounts."""
        buckets = collections.Counter(map(partial(bisect_left, self._upper_bounds), amounts))
        for place, number in buckets.items():
            self._buckets[place].inc(number)
        self._sum.inc(sum(amounts))


class _Children(Generic[MetricT]):
    """The children of a metric, each looked up once; when there are `limit` of them, all others are one."""

    def __init__(self, metric: MetricT, limit: int) -> None:
        self._metric = metric
        self._limit = limit
        self._known: dict[tuple[str, ...], MetricT] = {}

    def of(self, *labels: str) -> MetricT:
        """The child with these label values."""
        child = self._known.get(labels)
        if child is None:
            if len(self._known) >= self._limit:
                return self._metric.labels(*[OTHER] * len(labels))
            child = self._known[labels] = self._metric.labels(*labels)
        return child


@dataclass(frozen=True, slots=True)
class _SpecialCells:
    """Cells of a layout's counts for missing and invalid values of its features.

    meanings: for each place the feature and the rule it breaks; None when its value is missing.
    layout: the one that they are of; another one takes its place when a reference is set.
    """

    layout: Layout
    places: NDArray[np.intp]
    meanings: list[tuple[str, str | None]]


def _special_cells(layout: Layout) -> _SpecialCells:
    places: list[int] = []
    meanings: list[tuple[str, str | None]] = []
    for subject, place in layout.slices.items():
        if subject.kind != "feature":
            continue
        binning = layout.binnings[subject]
        # A profile that counts i in its cell i says where it keeps what; 0 is an ordinary cell: it has no such count.
        cells = Profile(binning, np.arange(binning.size))
        rules = {
            None: cells.missing,
            "invalid_type": cells.invalid,
            "below_range": cells.below,
            "above_range": cells.above,
            "unseen_category": cells.unseen,
        }
        for rule, cell in rules.items():
            if cell:
                places.append(place.start + cell)
                meanings.append((subject.name, rule))
    return _SpecialCells(layout, np.array(places, dtype=np.intp), meanings)
