"""The background work of a service without its thread: rounds are run one by one, with time under control."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from sqlalchemy import Connection

from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.check import AnyCheck, encode_report
from modelwatch.monitoring.checks.performance.check import PerformanceCheck
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler.evaluator import AssessmentSink, Evaluator
from modelwatch.monitoring.scheduler.jobs.maintenance import Maintenance
from modelwatch.monitoring.scheduler.recording import summary_of
from modelwatch.monitoring.scheduler.runner import BackgroundJobs
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, evidence_of


def new_id() -> str:
    """A fresh id."""
    return uuid.uuid4().hex


class Seen:
    """Takes down what the background work says of itself."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.failures = 0

    def evaluated(self, model: str, seconds: float) -> None:
        self.models.append(model)

    def job_failed(self) -> None:
        self.failures += 1


class Taken:
    """Takes down the assessments that alerting would get."""

    def __init__(self) -> None:
        self.assessments: list[Assessment] = []

    def apply(self, connection: Connection, assessment: Assessment) -> None:
        self.assessments.append(assessment)


def background(
    store: Store,
    rules: DriftRules,
    clock: Callable[[], int],
    seen: Seen | None = None,
    *,
    sink: AssessmentSink | None = None,
    holder: str = "me",
    provisional_size: int = 200,
    lease_seconds: float = 15.0,
    performance: PerformanceRules | None = None,
    quality: QualityRules | None = None,
) -> BackgroundJobs:
    """Upkeep and evaluations under one lease, as a service does them. quality: None for none of these checks."""
    seen = seen or Seen()
    watched = performance or PerformanceRules.of(rules, 0.02)
    evaluator = Evaluator(
        store,
        rules,
        sink or Taken(),
        seen,
        timer=lambda: 0.0,
        new_id=new_id,
        round_seconds=lease_seconds / 3,
        beside_drift=() if quality is None else (QualityCheck(store, lambda connection, model: quality),),
        label_check=PerformanceCheck(store, lambda connection, model: watched),
    )
    maintenance = Maintenance(
        store,
        new_id=new_id,
        provisional_size=provisional_size,
        rotation_seconds=3_600,
        folded=evaluator.reread,
    )
    return BackgroundJobs(
        store,
        (maintenance, evaluator),
        seen,
        holder=holder,
        clock=clock,
        timer=lambda: 0.0,
        lease_seconds=lease_seconds,
        tick_seconds=0.01,
    )


def run_out(jobs: BackgroundJobs) -> None:
    """Rounds until nothing more is due."""
    while jobs.once() and jobs.more:
        pass


def assert_brief(store: Store, check: type[AnyCheck], verdict: StoredVerdict) -> None:
    """A summary of the brief report says what one of the whole report does."""
    with store.read() as connection:
        evidence = evidence_of(connection, verdict.id)
        assert evidence
        evaluation = check.evaluate(check.restore(connection, evidence))
    assert summary_of(encode_report(check.brief(evaluation))) == summary_of(verdict.result)
