"""The evaluations of the lease holder: every stream, in the order of event time, each window end once.

A verdict, the changes of alerts and the notifications are one transaction, in which the lease must still be
ours. What is due is read from the store each time, so a holder that was killed leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from modelwatch.errors import LeaseLost, StoreUnavailable
from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.check import RULES_VERSION, AnyCheck, Conclusion
from modelwatch.monitoring.checks.codec import inputs_hash
from modelwatch.monitoring.checks.conditions import findings_of
from modelwatch.monitoring.checks.drift.check import DriftCheck, inputs_at
from modelwatch.monitoring.checks.headline import encode_headline
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.monitoring.scheduler.agenda import Agenda
from modelwatch.monitoring.scheduler.due import Due, due_for_data, due_for_labels
from modelwatch.monitoring.scheduler.failures import Failures
from modelwatch.monitoring.scheduler.recording import Concluded, Work, reduce_superseded
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.leases import hold
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.evaluations import (
    EvaluationFailure,
    EvaluationProgress,
    clear_failure,
    save_failure,
    save_progress,
)
from modelwatch.storage.verdicts.verdicts import StoredHeadline, StoredVerdict, save_verdict
from modelwatch.times import MICROS_PER_SECOND

# How far the evaluations are is kept at least so often.
PROGRESS_SECONDS = 5

_encode = msgspec.json.Encoder().encode

# Finds what is due of a stream at a time, in microseconds.
FindDue = Callable[[Store, Agenda, Sequence[AnyCheck], StreamKey, int], Due | None]


class AssessmentSink(Protocol):
    """Takes what an evaluation found, inside the verdict's transaction."""

    def apply(self, connection: Connection, assessment: Assessment) -> None: ...


class EvaluationObserver(Protocol):
    """Counts evaluations with their durations, and streams that could not be evaluated."""

    def evaluated(self, model: str, seconds: float) -> None: ...

    def job_failed(self) -> None: ...


class Evaluator:
    """Evaluates what is due.

    defaults: the rules of a model without a monitor. round_seconds: after so long the rest is left to the next run.
    beside_drift: what is checked at the same points as drift. label_check: what is checked as labels come.
    """

    def __init__(
        self,
        store: Store,
        defaults: DriftRules,
        sink: AssessmentSink,
        observer: EvaluationObserver,
        *,
        timer: Callable[[], float],
        new_id: Callable[[], str],
        round_seconds: float,
        beside_drift: Sequence[AnyCheck] = (),
        label_check: AnyCheck | None = None,
    ) -> None:
        self._store = store
        self._defaults = defaults
        self._checks: tuple[AnyCheck, ...] = (DriftCheck(store), *beside_drift)
        self._label_check = label_check
        self._sink = sink
        self._observer = observer
        self._timer = timer
        self._new_id = new_id
        self._round_seconds = round_seconds
        self._agenda = Agenda(store, defaults, with_labels=label_check is not None)
        self._fence: int | None = None
        self._failures = Failures()
        self._kept: EvaluationProgress | None = None

    def reread(self) -> None:
        """At the next round everything is read from the store anew, also what seems not to have changed."""
        self._agenda.forget()

    def __call__(self, lease: Lease, now: int) -> bool:
        """One round: the streams that have waited longest first, until the time is up. True when some wait still."""
        began = self._timer()
        if lease.fence != self._fence:
            self._agenda.forget()
            self._fence = lease.fence
        self._agenda.look(now)
        with self._store.read() as connection:
            self._failures.read(connection)
        waiting = self._agenda.open(now, partial(self._refused, now))
        for index, stream in enumerate(waiting):
            if index and self._timer() - began > self._round_seconds:
                break
            self._catch_up(stream, lease, now)
            self._agenda.had_turn(stream, now)
        left = [stream for stream in waiting if self._agenda.is_open(stream, now, partial(self._refused, now))]
        self._keep_progress(left, lease, now)
        return bool(left)

    def _refused(self, now: int, stream: StreamKey, labels: bool) -> bool:
        """True when its last evaluation has just failed."""
        check = self._label_check if labels else self._checks[0]
        return check is not None and self._failures.tried_lately(stream, check.name, now)

    def _keep_progress(self, left: Sequence[StreamKey], lease: Lease, now: int) -> None:
        """Lets everybody know how far the evaluations are: at once when that changes, else from time to time."""
        kept, waiting, since = self._kept, len(left), self._agenda.open_since(left)
        if (
            kept is not None
            and (kept.waiting, kept.since) == (waiting, since)
            and now - kept.looked_at < PROGRESS_SECONDS * MICROS_PER_SECOND
        ):
            return
        progress = EvaluationProgress(now, waiting, since)
        with self._store.write() as connection:
            hold(connection, lease.name, lease.holder, lease.fence)
            save_progress(connection, self._store, progress)
        self._kept = progress

    def _catch_up(self, stream: StreamKey, lease: Lease, now: int) -> None:
        self._attempt(stream, self._checks, due_for_data, lease, now)
        if self._label_check is not None:
            self._attempt(stream, (self._label_check,), due_for_labels, lease, now)

    def _attempt(
        self,
        stream: StreamKey,
        checks: Sequence[AnyCheck],
        find: FindDue,
        lease: Lease,
        now: int,
    ) -> None:
        """Concludes and stores what is due, unless that has failed lately.

        A bug that one stream brings out must not end the watch over the others: it is kept where everybody can see it,
        until the check succeeds.
        """
        first = checks[0].name
        if self._failures.tried_lately(stream, first, now):
            return
        work, due = Work(), None
        try:
            due = find(self._store, self._agenda, checks, stream, now)
            if due is not None:
                try:
                    with self._store.snapshot():
                        self._conclude(due, checks, work, lease, now)
                finally:
                    work.settle()
            work.succeeded.add(first)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - it is logged and kept
            work.failed[first] = self._failed(stream, first, error, now)
        try:
            self._save(stream, work, lease)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - the same
            work = Work(failed={first: self._failed(stream, first, error, now)})
            self._save(stream, work, lease)
        if due is not None and not work.more and first not in work.failed:
            due.settle()

    def _failed(self, stream: StreamKey, check: str, error: Exception, now: int) -> EvaluationFailure:
        self._observer.job_failed()
        return self._failures.note(stream, check, error, now)

    def _conclude(self, due: Due, checks: Sequence[AnyCheck], work: Work, lease: Lease, now: int) -> None:
        """Concludes what is due, point by point.

        What takes long is stored in parts: a lease that passes on before anything is stored would end all progress.
        """
        conditions, work.traces = dict(due.conditions), due.traces
        started = self._timer()
        work.more = due.more
        for point in due.points:
            began = self._timer()
            if work.concluded and began - started > self._round_seconds:
                work.more = True
                break
            inputs = inputs_at(self._store, self._defaults, due.stream, point, now)
            for check in checks:
                if check.name in work.failed:
                    continue
                try:
                    conclusion = check.conclude(due.stream, point, conditions[check.name], inputs)
                except (StoreUnavailable, LeaseLost):
                    raise
                except Exception as error:
                    # Without the first there is no evaluation; any other is left out of it.
                    if check is checks[0]:
                        raise
                    work.failed[check.name] = self._failed(due.stream, check.name, error, now)
                    continue
                work.succeeded.add(check.name)
                if conclusion is not None:
                    conditions[check.name] = conclusion.conditions
                    work.add(self._concluded(due, point, check, conclusion, lease, now))
            self._observer.evaluated(due.stream.model, self._timer() - began)

    def _save(self, stream: StreamKey, work: Work, lease: Lease) -> None:
        """Stores what was concluded, what failed, and what fails no more, in one transaction."""
        mended = [name for name in work.succeeded - work.failed.keys() if self._failures.knows(stream, name)]
        if not (work.concluded or work.failed or mended):
            return
        with self._store.write() as connection:
            hold(connection, lease.name, lease.holder, lease.fence)
            for check in {each.verdict.check for each in work.concluded}:
                reduce_superseded(connection, stream, check)
            for each in work.concluded:
                save_verdict(connection, each.verdict, each.evidence, each.headline)
                self._sink.apply(connection, each.assessment)
            for name in mended:
                clear_failure(connection, stream, name)
            for failure in work.failed.values():
                save_failure(connection, self._store, failure)

    def _concluded(
        self, due: Due, point: Point, check: AnyCheck, conclusion: Conclusion, lease: Lease, now: int
    ) -> Concluded:
        stream = due.stream
        verdict = StoredVerdict(
            id=self._new_id(),
            model=stream.model,
            version=stream.version,
            environment=stream.environment,
            check=check.name,
            window_end=point.end,
            generation=conclusion.generation,
            evaluated_at=now,
            fence=lease.fence,
            severity=conclusion.severity,
            inputs_hash=inputs_hash(conclusion.evidence),
            conditions=_encode(conclusion.conditions),
            result=conclusion.brief,
            rules_version=RULES_VERSION,
        )
        departed = self._agenda.departed(stream, point.end - max(due.longest, conclusion.reach))
        assessment = Assessment(
            model=stream.model,
            version=stream.version,
            environment=stream.environment,
            verdict_id=verdict.id,
            window_end=point.end,
            evaluated_at=now,
            kinds=check.kinds,
            findings=findings_of(conclusion.conditions),
            departed=tuple(departed),
            check=check.name,
            last_data=departed,
        )
        numbers = conclusion.headline
        headline = StoredHeadline(numbers.value, numbers.rate, encode_headline(numbers))
        return Concluded(verdict, conclusion.evidence, headline, assessment, conclusion.report)
