"""Time to evaluate 48 hours of history: the demo's model, with its reference, shift and labels.

The store is filled as if the demo had sent its two days before anything was evaluated. Then all that is due is
evaluated in one process, with alerts and their notifications.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from sqlalchemy import Connection

from benchmarks.report import Row
from benchmarks.stores import ledger_of, migrated
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.alerting.service import AlertService
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.config import Settings
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.demo.generator import MODEL
from modelwatch.demo.story import (
    BATCH_PATH,
    REFERENCE_PATH,
    SEED,
    Plan,
    Service,
    pending_labels,
    send_stream,
    set_reference,
)
from modelwatch.monitoring.checks.performance.check import PerformanceCheck
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.evaluator import Evaluator
from modelwatch.monitoring.scheduler.runner import BackgroundJobs
from modelwatch.storage.references.monitors import monitor_of, put_monitor

# The end of the two days, in seconds.
END = 1_767_261_600
ROUNDS, QUICK_ROUNDS = 2, 1
SETTINGS = Settings()
RULES = DriftRules.of(SETTINGS)


def run(*, quick: bool = False) -> list[Row]:
    """Each round with a fresh store; the numbers are medians."""
    taken = []
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            taken.append(_caught_up(Path(folder)))
    seconds, evaluations = [each for each, _ in taken], taken[0][1]
    note = f"{evaluations} evaluations, processor time; {len(taken)} rounds, {min(seconds):.2f}-{max(seconds):.2f}"
    return [Row("48 hours of the demo's model caught up with", statistics.median(seconds), "s", None, None, note)]


def _caught_up(folder: Path) -> tuple[float, int]:
    """Seconds of processor time, and the number of evaluations."""
    history = History(folder)
    seen = _Counted()
    jobs = history.jobs(seen)
    # As a service does at its start.
    gc.collect()
    gc.freeze()
    began = time.process_time()
    while jobs.once() and jobs.more:
        pass
    taken = time.process_time() - began
    history.store.close()
    return taken, seen.evaluations


class History:
    """A store that holds the two days of the demo's model, of which nothing is evaluated. It stands in for the service
    that the demo sends them to."""

    def __init__(self, folder: Path) -> None:
        self.store = migrated(f"sqlite:///{folder / 'modelwatch.db'}")
        ids = itertools.count()
        self.new_id: Callable[[], str] = lambda: f"history-{next(ids)}"
        self.now = (END + 60) * 1_000_000
        self._decoder = Decoder(Limits.of(SETTINGS), self._clock, self.new_id)
        self._ledger = ledger_of(self.store, self._clock)
        plan, rng = Plan.ending(END, "1"), np.random.default_rng(SEED)
        service = cast(Service, self)
        set_reference(service, plan, rng)
        send_stream(service, plan, rng, pending_labels(service), time.perf_counter)
        self._ledger.close()
        # Nothing comes any more: the newest windows close by the clock.
        self.now += 60 * 1_000_000

    def _clock(self) -> int:
        return self.now

    def put_json(self, path: str, body: object) -> None:
        """Takes the monitor."""
        put_monitor(
            self.store, MODEL, parse_monitor(body), source="api", actor="benchmark", now=self.now, new_id=self.new_id
        )

    def post(
        self, path: str, content: bytes, content_type: str = "", params: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Takes the reference, predictions or labels, and says how many."""
        if path == REFERENCE_PATH:
            frame = self._decoder.reference(content, content_type, MODEL, None)
            return {"generation": set_reference_frame(self.store, frame, now=self.now, new_id=self.new_id)}
        if path == BATCH_PATH:
            events = self._decoder.batch(content, content_type).events
            self._ledger.commit(events)
            return {"accepted": len(events)}
        labels = self._decoder.ground_truths(content, content_type).labels
        self._ledger.commit([], labels)
        return {"accepted": len(labels)}

    def jobs(self, observer: _Counted) -> BackgroundJobs:
        """The evaluations as a service does them."""
        performance, quality = PerformanceRules.of(RULES, SETTINGS.performance_tolerance), QualityRules.of(RULES)
        alerts = AlertService(
            self.store,
            policy=lambda connection, model: AlertPolicy(channels=("log",)),
            public_url="http://watch",
            clock=self._clock,
            new_id=self.new_id,
        )

        def performance_rules(connection: Connection, model: str) -> PerformanceRules:
            monitor = monitor_of(connection, model)
            return performance.with_monitor(None if monitor is None else monitor.config)

        def quality_rules(connection: Connection, model: str) -> QualityRules:
            monitor = monitor_of(connection, model)
            return quality.with_monitor(None if monitor is None else monitor.config)

        evaluator = Evaluator(
            self.store,
            RULES,
            alerts,
            observer,
            timer=time.perf_counter,
            new_id=self.new_id,
            round_seconds=4.0,
            beside_drift=(QualityCheck(self.store, quality_rules),),
            label_check=PerformanceCheck(self.store, performance_rules),
        )
        return BackgroundJobs(
            self.store,
            (evaluator,),
            observer,
            holder="benchmark",
            clock=self._clock,
            timer=time.perf_counter,
            lease_seconds=15.0,
        )


class _Counted:
    """Takes down how many evaluations there were."""

    def __init__(self) -> None:
        self.evaluations = 0

    def evaluated(self, model: str, seconds: float) -> None:
        self.evaluations += 1

    def job_failed(self) -> None:
        raise AssertionError("an evaluation failed")
