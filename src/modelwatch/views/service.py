"""The service itself: what it takes in and refuses, how far evaluations are, the store, and the processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from sqlalchemy import Connection

from modelwatch.config import Settings
from modelwatch.storage.counts.volumes import predictions_since
from modelwatch.storage.engine.sizes import leases, store_size, writing_processes
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_HOUR, iso_of_micros

# Progress is kept every few seconds, by whichever process evaluates.
STOPPED_SECONDS = 60

EvaluationStatus = Literal["up to date", "waiting", "failing", "stopped"]


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """Counts of a process since it started: stored predictions, and refusals by reason; and the predictions that wait
    in its queue now."""

    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """The process that answers. started_at: microseconds."""

    version: str
    schema_version: str
    started_at: int
    counts: ProcessCounts


class IngestReport(msgspec.Struct, frozen=True):
    """Ingest of predictions. predictions_last_hour: of all processes, by the time stamps of the predictions. accepted,
    refused: of the process that answers, since it started; refused by the reason that its answers give. waiting:
    predictions in its queue, of at most `most_waiting`."""

    predictions_last_hour: int
    accepted: int
    refused: dict[str, int]
    waiting: int
    most_waiting: int


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
    """A table of the store, and its size with its indexes."""

    name: str
    bytes: int


class StoreReport(msgspec.Struct, frozen=True):
    """The store: its engine and size; by table, the largest first, where it is known quickly. Days that predictions and
    metrics are kept."""

    engine: str
    bytes: int
    tables: list[TableSize]
    prediction_retention_days: int
    metrics_retention_days: int


class LeaseReport(msgspec.Struct, frozen=True):
    """Lease of work that one process does for all: its holder, and its end unless renewed; null while there is none."""

    name: str
    holder: str | None
    expires_at: str | None


class ProcessReport(msgspec.Struct, frozen=True):
    """A process that writes predictions, and since when it has its present writer."""

    name: str
    writes_since: str


class ServiceReport(msgspec.Struct, frozen=True):
    """The service. started_at: of the process that answers."""

    version: str
    schema_version: str
    started_at: str
    ingest: IngestReport
    evaluation: EvaluationState
    store: StoreReport
    leases: list[LeaseReport]
    processes: list[ProcessReport]


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


def service_report(
    connection: Connection, store: Store, settings: Settings, process: Process, now: int
) -> ServiceReport:
    """The service as it is now, in microseconds."""
    size = store_size(connection, store)
    return ServiceReport(
        version=process.version,
        schema_version=process.schema_version,
        started_at=iso_of_micros(process.started_at),
        ingest=IngestReport(
            predictions_last_hour=predictions_since(connection, now // MICROS_PER_SECOND - SECONDS_PER_HOUR),
            accepted=process.counts.accepted,
            refused=dict(sorted(process.counts.refused.items(), key=lambda each: (-each[1], each[0]))),
            waiting=process.counts.waiting,
            most_waiting=settings.max_buffer_size,
        ),
        evaluation=evaluation_state(connection, now),
        store=StoreReport(
            engine=size.engine,
            bytes=size.total,
            tables=[TableSize(name, each) for name, each in size.by_table.items()],
            prediction_retention_days=settings.prediction_retention_days,
            metrics_retention_days=settings.metrics_retention_days,
        ),
        leases=[
            LeaseReport(each.name, each.holder, iso_of_micros(each.expires_at))
            if each.holder and each.expires_at > now
            else LeaseReport(each.name, None, None)
            for each in leases(connection)
        ],
        processes=[ProcessReport(name, iso_of_micros(since)) for name, since in writing_processes(connection)],
    )
