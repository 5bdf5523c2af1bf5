"""The service itself: what it takes in and refuses, how far evaluations are, the store, and the processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from sqlalchemy import Connection

from modelwatch.config import Settings
from modelwatch.storage.counts.volumes import predictions_since
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.leases import all_leases
from modelwatch.storage.engine.processes import StoredProcess, stored_processes, writing_processes
from modelwatch.storage.engine.sizes import earliest_size, store_size
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR, iso_of_micros, iso_of_seconds
from modelwatch.views.durations import DurationCounts, DurationReport, duration_report

# Progress is kept every few seconds, by whichever process evaluates; as are the reports of each process.
STOPPED_SECONDS = 60
# Requests that are timed by kind, and over how many seconds; and so evaluations.
REQUESTS = ("prediction", "prediction batch", "label", "label batch")
INGEST_STRETCH = 300
EVALUATION, EVALUATION_STRETCH = "evaluation", 3_600
# Growth over less than that says nothing.
LEAST_GROWTH = SECONDS_PER_HOUR * MICROS_PER_SECOND

EvaluationStatus = Literal["up to date", "waiting", "failing", "stopped"]
ProcessState = Literal["running", "silent", "stopped"]


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """Counts of a process since it started: stored predictions, and refusals by reason; the predictions that wait in
    its queue now; and its durations lately, by kind."""

    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    durations: Mapping[str, DurationCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """A process. started_at: microseconds."""

    version: str
    schema_version: str
    started_at: int


class ProcessFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """Figures that a process keeps in the store: its versions, and its counts as in ProcessCounts."""

    version: str = ""
    schema_version: str = ""
    accepted: int = 0
    refused: dict[str, int] = {}
    waiting: int = 0
    durations: dict[str, dict[int, int]] = {}


class IngestReport(msgspec.Struct, frozen=True):
    """Ingest of predictions, by all processes together. predictions_last_hour: by the time stamps of the predictions.
    accepted, refused: by `processes`, since each of them started; refused by the reason that the answers give. waiting:
    predictions in their queues, of at most `most_waiting` in each. durations: of accepting a request of each kind in
    the last five minutes, from when its body had arrived until what it holds was durable."""

    predictions_last_hour: int
    accepted: int
    refused: dict[str, int]
    waiting: int
    most_waiting: int
    durations: list[DurationReport] = []


class EvaluationState(msgspec.Struct):
    """Progress of the evaluations, whichever process makes them; none of it makes a process unready.

    status: `up to date`; `waiting` while streams are due; `failing` when some can't be evaluated (`GET /api/v1/models`
    says which); `stopped` when no process has checked them for a minute. looked_at: when one did last. waiting: number
    of streams due then, the first of them for `waiting_seconds` by now. failing: number of streams with a check that
    ends with an error.
    """

    status: EvaluationStatus
    looked_at: str | None
    waiting: int
    waiting_seconds: float
    failing: int


class TableSize(msgspec.Struct, frozen=True):
    """A table of the store, and its size with its indexes; and by how much that has grown a day, since `growth_since`
    of the store; null where that is not known."""

    name: str
    bytes: int
    bytes_per_day: float | None = None


class StoreReport(msgspec.Struct, frozen=True):
    """The store: its engine and size; by table, the largest first, where it is known quickly. Days that predictions and
    metrics are kept. bytes_per_day: growth since `growth_since`, a week ago or when the store was new; null in its
    first hour."""

    engine: str
    bytes: int
    tables: list[TableSize]
    prediction_retention_days: int
    metrics_retention_days: int
    bytes_per_day: float | None = None
    growth_since: str | None = None


class LeaseReport(msgspec.Struct, frozen=True):
    """Lease of work that one process does for all: its holder, and its end unless renewed; null while there is none."""

    name: str
    holder: str | None
    expires_at: str | None


class ProcessReport(msgspec.Struct, frozen=True):
    """A process of the service, and since when it has its present writer, if it has one.

    state: `running`; `stopped` when it ended in order, `silent` when it was last heard of a minute ago or earlier:
    killed, or cut off from the store. Both are forgotten after a day. heard_at: of its last report, null of
    one that has not, or not yet. accepted, refused, waiting, durations: as for the ingest, of this process.
    """

    name: str
    writes_since: str | None
    state: ProcessState = "running"
    version: str | None = None
    started_at: str | None = None
    heard_at: str | None = None
    accepted: int = 0
    refused: dict[str, int] = {}
    waiting: int = 0
    durations: list[DurationReport] = []


class ServiceReport(msgspec.Struct, frozen=True):
    """The service, the same from every process. version, schema_version: of the running process that started last.
    started_at: of the one that started first. evaluation_duration: of one evaluation of a stream, in the last hour;
    null without any."""

    version: str
    schema_version: str
    started_at: str
    ingest: IngestReport
    evaluation: EvaluationState
    store: StoreReport
    leases: list[LeaseReport]
    processes: list[ProcessReport]
    evaluation_duration: DurationReport | None = None


def evaluation_state(connection: Connection, now: int) -> EvaluationState:
    """Progress of the evaluations, whichever process makes them. now: microseconds."""
    progress, failures = evaluation_progress(connection), evaluation_failures(connection)
    failing = len({each.stream for each in failures})
    if progress is None:
        return EvaluationState("failing" if failing else "up to date", None, 0, 0.0, failing)
    waited = 0.0 if progress.since is None else max(now - progress.since, 0) / MICROS_PER_SECOND
    status: EvaluationStatus
    if now - progress.looked_at > STOPPED_SECONDS * MICROS_PER_SECOND:
        status = "stopped"
    else:
        status = "failing" if failing else "waiting" if progress.waiting else "up to date"
    looked_at = iso_of_micros(progress.looked_at // MICROS_PER_SECOND * MICROS_PER_SECOND)
    return EvaluationState(status, looked_at, progress.waiting, round(waited, 3), failing)


def process_figures(process: Process, counts: ProcessCounts) -> str:
    """Figures of a process, as they are stored."""
    figures = ProcessFigures(
        process.version,
        process.schema_version,
        counts.accepted,
        dict(counts.refused),
        counts.waiting,
        {kind: dict(each) for kind, each in counts.durations.items() if each},
    )
    return msgspec.json.encode(figures).decode()


_decode_figures = msgspec.json.Decoder(ProcessFigures).decode


def service_report(
    connection: Connection, store: Store, settings: Settings, process: Process, now: int
) -> ServiceReport:
    """The service as it is now, in microseconds. process: the one that answers, of which the report tells only as long
    as none is in the store."""
    reported = list(readable(stored_processes(connection), _with_figures))
    running = [each for each in reported if _state(each[0], now) == "running"]
    newest = running[-1][1] if running else None
    figures = [each for _, each in reported]
    return ServiceReport(
        version=process.version if newest is None else newest.version,
        schema_version=process.schema_version if newest is None else newest.schema_version,
        started_at=iso_of_micros(running[0][0].started_at if running else process.started_at),
        ingest=IngestReport(
            predictions_last_hour=predictions_since(connection, now // MICROS_PER_SECOND - SECONDS_PER_HOUR),
            accepted=sum(each.accepted for each in figures),
            refused=_by_number(figures),
            waiting=sum(each.waiting for _, each in running),
            most_waiting=settings.max_buffer_size,
            durations=_durations([each for _, each in running]),
        ),
        evaluation=evaluation_state(connection, now),
        store=_store_report(connection, store, settings, now),
        leases=[
            LeaseReport(each.name, each.holder, iso_of_micros(each.expires_at))
            if each.holder and each.expires_at > now
            else LeaseReport(each.name, None, None)
            for each in all_leases(connection)
        ],
        processes=_processes(connection, reported, now),
        evaluation_duration=duration_report(EVALUATION, [each.durations.get(EVALUATION, {}) for _, each in running]),
    )


def _with_figures(process: StoredProcess) -> tuple[StoredProcess, ProcessFigures]:
    return process, decoded(f"The figures of the process {process.name}", _decode_figures, process.figures)


def _store_report(connection: Connection, store: Store, settings: Settings, now: int) -> StoreReport:
    size, before = store_size(connection, store), earliest_size(connection)
    if before is not None and now - before.at < LEAST_GROWTH:
        before = None

    def growth(of: int, earlier: int | None) -> float | None:
        if before is None or earlier is None:
            return None
        return round((of - earlier) * SECONDS_PER_DAY * MICROS_PER_SECOND / (now - before.at), 1)

    return StoreReport(
        engine=size.engine,
        bytes=size.total,
        tables=[
            TableSize(name, each, None if before is None else growth(each, before.by_table.get(name)))
            for name, each in size.by_table.items()
        ],
        prediction_retention_days=settings.prediction_retention_days,
        metrics_retention_days=settings.metrics_retention_days,
        bytes_per_day=None if before is None else growth(size.total, before.total),
        growth_since=None if before is None else iso_of_seconds(before.at // MICROS_PER_SECOND),
    )


def _processes(
    connection: Connection, reported: Sequence[tuple[StoredProcess, ProcessFigures]], now: int
) -> list[ProcessReport]:
    """Those that have reported; and others that write: of another release, or so new that they have not."""
    writing = dict(writing_processes(connection))
    found = [
        ProcessReport(
            name=each.name,
            writes_since=iso_of_micros(writing.pop(each.name)) if each.name in writing else None,
            state=_state(each, now),
            version=figures.version,
            started_at=iso_of_micros(each.started_at),
            heard_at=iso_of_seconds(each.told_at // MICROS_PER_SECOND),
            accepted=figures.accepted,
            refused=_by_number([figures]),
            waiting=figures.waiting,
            durations=_durations([figures]),
        )
        for each, figures in reported
    ]
    return found + [ProcessReport(name, iso_of_micros(since)) for name, since in writing.items()]


def _state(process: StoredProcess, now: int) -> ProcessState:
    if process.stopped:
        return "stopped"
    return "silent" if now - process.told_at > STOPPED_SECONDS * MICROS_PER_SECOND else "running"


def _by_number(figures: Sequence[ProcessFigures]) -> dict[str, int]:
    """Refusals by reason, the most frequent first."""
    total: Counter[str] = Counter()
    for each in figures:
        total.update(each.refused)
    return dict(sorted(total.items(), key=lambda each: (-each[1], each[0])))


def _durations(figures: Sequence[ProcessFigures]) -> list[DurationReport]:
    """Durations of each kind of request that there were."""
    found = (duration_report(kind, [each.durations.get(kind, {}) for each in figures]) for kind in REQUESTS)
    return [each for each in found if each is not None]
