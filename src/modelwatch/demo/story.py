"""The demo's requests, and the problems of their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

import msgspec
import numpy as np

from modelwatch.demo.generator import FOLLOWING, FRAUD, MODEL, SHIFTED_FEATURES, Payments, event_times, payments
from modelwatch.demo.labels import TRUTH_PATH, PendingLabels, labels_of
from modelwatch.times import SECONDS_PER_DAY

EXPECTED = frozenset((*SHIFTED_FEATURES, *FOLLOWING))
DRIFTED = ("alert", "warning")
SEED = 12

BASE_WINDOW_SECONDS = 300
STREAM_HOURS = 48
WINDOW_HOURS = 6
EVALUATED_EVERY = "30m"
REFERENCE_DAYS = 21
REFERENCE_SIZE = 10_000
STREAM_SIZE = 30_000
BATCH_ROWS = 2_500

REFERENCE_PATH = "/api/v1/reference"
PREDICTION_PATH = "/api/v1/predictions"
BATCH_PATH = "/api/v1/predictions/batch"
DRIFT_PATH = "/api/v1/drift/check"
SEGMENTS = ["merchant_category", "country"]
MONITOR_PATH = f"/api/v1/models/{MODEL}/monitor"
PERFORMANCE_PATH = f"/api/v1/models/{MODEL}/performance"


class Service(Protocol):
    """A client of the service, as the command line has one."""

    def __enter__(self) -> Service: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def is_ready(self) -> bool: ...

    def get(self, path: str, params: Mapping[str, str] | None = ...) -> Any: ...

    def get_text(self, path: str) -> str: ...

    def wait_until_evaluated(
        self, on_poll: Callable[[], object], *, quiet_seconds: float = ..., longest_seconds: float = ...
    ) -> bool: ...

    def post(
        self, path: str, content: bytes, content_type: str = ..., params: Mapping[str, str] | None = ...
    ) -> Any: ...

    def post_json(self, path: str, body: object) -> Any: ...

    def put_json(self, path: str, body: object) -> Any: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Two days of event time that end now, with the shift half-way. In seconds since 1970, on base windows."""

    start: int
    shift: int
    end: int
    version: str

    @classmethod
    def ending(cls, now: float, version: str) -> Plan:
        end = int(now) // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
        return cls(end - STREAM_HOURS * 3_600, end - STREAM_HOURS * 1_800, end, version)

    def windows(self) -> list[tuple[int, int]]:
        step = WINDOW_HOURS * 3_600
        return [(start, start + step) for start in range(self.start, self.end, step)]


@dataclass(frozen=True, slots=True)
class WindowCheck:
    """One drift check: its window, whether it lies after the shift, and the service's report."""

    start: int
    end: int
    shifted: bool
    report: dict[str, Any]

    @property
    def drifted(self) -> set[str]:
        return {result["feature_name"] for result in self.report["drift_results"] if result["severity"] in DRIFTED}

    @property
    def predictions(self) -> int:
        return int(self.report["summary"]["predictions"])


@dataclass(frozen=True, slots=True)
class Sent:
    """Counts of what the service took. labels: those that were known in time; labelled: those that it counted."""

    accepted: int
    seconds: float
    labels: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Findings:
    """Drift checks of successive windows, those of a sliding hour until the shift was seen, and the last one.

    performance: the service's performance report of each window, by its labels.
    """

    windows: list[WindowCheck]
    sliding: list[WindowCheck]
    seen: WindowCheck | None
    final: WindowCheck
    performance: list[dict[str, Any]]


def next_version(service: Service) -> str:
    """A version that the store has no predictions of: kept data of earlier demos stays apart."""
    models = service.get("/api/v1/models")["models"]
    streams: list[dict[str, Any]] = next((model["streams"] for model in models if model["model_name"] == MODEL), [])
    return f"2.1.{len({stream['model_version'] for stream in streams})}"


def set_reference(service: Service, plan: Plan, rng: np.random.Generator) -> int:
    """Sends the weeks before, with what was true, as the reference. Returns the number of payments in it."""
    # Two days are evaluated in seconds; as many predictions live would be evaluated more often.
    schedule = {"every": EVALUATED_EVERY, "on_new_data": False}
    # Frauds become known sooner than good payments: nine of ten labels would hold too many of them.
    performance = {"maturity": 0.99}
    service.put_json(
        MONITOR_PATH, {"positive_class": FRAUD, "schedule": schedule, "performance": performance, "segments": SEGMENTS}
    )
    start = plan.start - REFERENCE_DAYS * SECONDS_PER_DAY
    times = event_times(rng, start, plan.start, REFERENCE_SIZE)
    sample = payments(rng, times, np.zeros(REFERENCE_SIZE, dtype=np.bool_))
    frame = as_parquet(sample, times)
    service.post(REFERENCE_PATH, frame, "application/vnd.apache.parquet", {"model_name": MODEL})
    return len(sample)


def pending_labels(service: Service) -> PendingLabels:
    """The labels that are not known yet, for this service."""
    return PendingLabels(
        lambda labels: service.post(TRUTH_PATH, msgspec.json.encode(labels), "application/json"), MODEL, iso
    )


def send_stream(
    service: Service, plan: Plan, rng: np.random.Generator, pending: PendingLabels, clock: Callable[[], float]
) -> Sent:
    """Sends the two days, in order, as a model service would; between the payments the labels that are known by then.

    Those that are not known at the end stay pending.
    """
    times = event_times(rng, plan.start, plan.end, STREAM_SIZE)
    sample = payments(rng, times, times >= plan.shift)
    names = [_names(plan, f"{plan.end}-{index}", float(times[index])) for index in range(STREAM_SIZE)]
    labels = labels_of(rng, [each["prediction_id"] for each in names], times, sample.truth.tolist())
    batches = [
        msgspec.json.encode([{**names[index], **sample.row(index)} for index in some])
        for some in np.split(np.arange(STREAM_SIZE), range(BATCH_ROWS, STREAM_SIZE, BATCH_ROWS))
    ]
    ends = [*times[BATCH_ROWS::BATCH_ROWS].tolist(), float(plan.end)]
    pending.add(labels)
    accepted = 0
    began = clock()
    for batch, end in zip(batches, ends, strict=True):
        accepted += service.post(BATCH_PATH, batch, "application/json")["accepted"]
        pending.send_due(end)
    return Sent(accepted, clock() - began, pending.sent, pending.accepted)


def send_live(
    service: Service, plan: Plan, rng: np.random.Generator, pending: PendingLabels, number: int, now: float
) -> None:
    """Sends one payment of this moment, from the shifted world, and the labels that have become known.

    now: microseconds.
    """
    times = np.array([now])
    sample = payments(rng, times, np.ones(1, dtype=np.bool_))
    names = _names(plan, f"{plan.end}-live-{number}", now)
    service.post_json(PREDICTION_PATH, {**names, **sample.row(0)})
    pending.add(labels_of(rng, [names["prediction_id"]], times, sample.truth.tolist()))
    pending.send_due(now)


def check_drift(service: Service, plan: Plan) -> Findings:
    """Checks drift window by window, then with a sliding hour after the shift, then as a user would: now."""
    windows = [_check(service, plan, start, end) for start, end in plan.windows()]
    sliding: list[WindowCheck] = []
    seen = None
    for end in range(plan.shift + BASE_WINDOW_SECONDS, plan.shift + 3_600 + 1, BASE_WINDOW_SECONDS):
        sliding.append(_check(service, plan, end - 3_600, end))
        if sliding[-1].drifted >= set(SHIFTED_FEATURES):
            seen = sliding[-1]
            break
    report = service.post_json(DRIFT_PATH, {"model_name": MODEL, "model_version": plan.version})
    final = WindowCheck(plan.end - SECONDS_PER_DAY, plan.end, True, report)
    return Findings(windows, sliding, seen, final, _performance(service, plan))


def problems_of_answers(sent: Sent, findings: Findings) -> list[str]:
    """Everything that is not as it must be; empty when exactly the known shift was found."""
    problems = []
    if sent.accepted != STREAM_SIZE:
        problems.append(f"{STREAM_SIZE:,} predictions were sent, but {sent.accepted:,} counted")
    counted = sum(check.predictions for check in findings.windows)
    if counted != STREAM_SIZE:
        problems.append(f"the windows hold {counted:,} predictions instead of {STREAM_SIZE:,}")
    if sent.labelled != sent.labels:
        problems.append(f"{sent.labels:,} labels were sent, but {sent.labelled:,} counted")
    joined = sum(window["labelled"] for window in findings.performance)
    if joined != sent.labels:
        problems.append(f"the windows hold {joined:,} labels instead of {sent.labels:,}")
    for check in (*findings.windows, findings.final):
        expected = EXPECTED if check.shifted else frozenset()
        problems += [f"{_span(check)}: no drift was found in {name}" for name in sorted(expected - check.drifted)]
        problems += [f"{_span(check)}: drift in {name}, which is noise" for name in sorted(check.drifted - expected)]
        problems += [
            f"{_span(check)}: {result['feature_name']} is {result['severity']}: {result['reason']}"
            for result in check.report["drift_results"]
            if result["severity"] not in (*DRIFTED, "shifted", "stable")
        ]
    for check in findings.sliding:
        problems += [f"{_span(check)}: drift in {name}, which is noise" for name in sorted(check.drifted - EXPECTED)]
    if findings.seen is None:
        problems.append("an hour after the shift, a look-back of one hour had not seen it")
    return problems


def as_parquet(sample: Payments, times: np.ndarray[Any, np.dtype[np.float64]]) -> bytes:
    """The payments as a file, with a column for each feature."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(values.tolist()) for name, values in sample.features.items()}
    columns["prediction"] = pa.array(sample.prediction.tolist())
    columns["prediction_probability"] = pa.array(sample.probability)
    columns["latency_ms"] = pa.array(sample.latency_ms)
    columns["ground_truth"] = pa.array(sample.truth.tolist())
    columns["timestamp"] = pa.array((times * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def iso(seconds: float) -> str:
    """RFC 3339 text of a time in seconds since 1970, UTC, to the microsecond.

    >>> iso(0.25)
    '1970-01-01T00:00:00.250000Z'
    """
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1e6))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _names(plan: Plan, identity: str, time: float) -> dict[str, Any]:
    return {
        "model_name": MODEL,
        "model_version": plan.version,
        "environment": "production",
        "prediction_id": f"demo-{plan.version}-{identity}",
        "timestamp": iso(time),
    }


def _check(service: Service, plan: Plan, start: int, end: int) -> WindowCheck:
    query = {"model_name": MODEL, "model_version": plan.version, "start": iso(start), "end": iso(end)}
    return WindowCheck(start, end, start >= plan.shift, service.post_json(DRIFT_PATH, query))


def _performance(service: Service, plan: Plan) -> list[dict[str, Any]]:
    query = {"version": plan.version, "start": iso(plan.start), "end": iso(plan.end), "step": f"{WINDOW_HOURS}h"}
    [history] = service.get(PERFORMANCE_PATH, query)["history"]
    windows: list[dict[str, Any]] = history["windows"]
    return windows


def _span(check: WindowCheck) -> str:
    return f"{iso(check.start)[:16]}Z to {iso(check.end)[:16]}Z"
