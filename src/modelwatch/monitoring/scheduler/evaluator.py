"""The evaluations of the lease holder: every stream, in the order of event time, each window end once.

A verdict, what becomes of alerts and what is to be delivered are one transaction, in which the lease must still be
ours. What is due is read from the store each time, so a holder that was killed leaves nothing half done.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Connection

import modelwatch
from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.errors import LeaseLost, StoreUnavailable
from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.check import RULES_VERSION, AnyCheck, Conclusion
from modelwatch.monitoring.checks.codec import inputs_hash
from modelwatch.monitoring.checks.conditions import Condition, findings_of
from modelwatch.monitoring.checks.drift.check import DriftCheck, inputs_at
from modelwatch.monitoring.checks.headline import encode_headline
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point, due_points, label_points, whole_windows
from modelwatch.monitoring.scheduler.agenda import Agenda
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.monitoring.scheduler.summaries import reduce_superseded
from modelwatch.storage.counts.label_times import first_label_time, has_news
from modelwatch.storage.counts.outcomes import first_labelled_window
from modelwatch.storage.counts.profiles import windows_since
from modelwatch.storage.engine.leases import hold
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.evaluations import (
    EvaluationFailure,
    EvaluationProgress,
    clear_failure,
    evaluation_failures,
    save_failure,
    save_progress,
)
from modelwatch.storage.verdicts.verdicts import DRIFT, StoredHeadline, StoredVerdict, newest_verdict, save_verdict
from modelwatch.times import MICROS_PER_SECOND

POINTS_A_TRANSACTION = 20
# A stream that can't be evaluated is tried again after so long; the others go on.
RETRY_SECONDS = 60
# How far the evaluations are is kept at least so often.
PROGRESS_SECONDS = 5
PACKAGE = Path(modelwatch.__file__).parent

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode_conditions = msgspec.json.Decoder(list[Condition]).decode


class AssessmentSink(Protocol):
    """Takes what an evaluation found, inside the verdict's transaction."""

    def apply(self, connection: Connection, assessment: Assessment) -> None: ...


class EvaluationObserver(Protocol):
    """Is told how long each evaluation took, and of streams that could not be evaluated."""

    def evaluated(self, model: str, seconds: float) -> None: ...

    def job_failed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Due:
    """A stream with something to evaluate: where it stands, and the next evaluations.

    conditions: by check, after the evaluation before. longest: seconds of the longest look-back. more: whether there
    may be others after these. settle: to be called when they are stored and there are none.
    """

    stream: StreamKey
    conditions: dict[str, list[Condition]]
    points: list[Point]
    longest: int
    more: bool
    settle: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Concluded:
    verdict: StoredVerdict
    evidence: bytes
    headline: StoredHeadline
    assessment: Assessment


@dataclass(slots=True)
class _Work:
    """Result of the evaluations that were due: verdicts in their order, checks that succeeded, and those that failed.

    more: whether there may be more to do.
    """

    concluded: list[_Concluded] = field(default_factory=list)
    succeeded: set[str] = field(default_factory=set)
    failed: dict[str, EvaluationFailure] = field(default_factory=dict)
    more: bool = False


class Evaluator:
    """Evaluates what is due.

    defaults: the rules of a model without a monitor. round_seconds: after so long the rest is left to the next round.
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
        self._failures: dict[tuple[StreamKey, str], EvaluationFailure] = {}
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
            self._failures = {(each.stream, each.check): each for each in evaluation_failures(connection)}
        waiting = self._agenda.open(now, partial(self._refused, now))
        for index, stream in enumerate(waiting):
            if index and self._timer() - began > self._round_seconds:
                break
            self._catch_up(stream, lease, now)
        left = [stream for stream in waiting if self._agenda.is_open(stream, now, partial(self._refused, now))]
        self._keep_progress(left, lease, now)
        return bool(left)

    def _refused(self, now: int, stream: StreamKey, labels: bool) -> bool:
        """True when its last evaluation has just failed."""
        check = self._label_check if labels else self._checks[0]
        return check is not None and self._tried_lately(stream, check.name, now)

    def _tried_lately(self, stream: StreamKey, check: str, now: int) -> bool:
        known = self._failures.get((stream, check))
        return known is not None and known.tried_at + RETRY_SECONDS * MICROS_PER_SECOND > now

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
        self._attempt(stream, self._checks, self._due, lease, now)
        if self._label_check is not None:
            self._attempt(stream, (self._label_check,), self._due_for_labels, lease, now)

    def _attempt(
        self,
        stream: StreamKey,
        checks: Sequence[AnyCheck],
        find: Callable[[StreamKey, int], _Due | None],
        lease: Lease,
        now: int,
    ) -> None:
        """Concludes and stores what is due, unless that has failed lately.

        A bug that one stream brings out must not end the watch over the others: it is kept where everybody can see it,
        until the check succeeds.
        """
        first = checks[0].name
        if self._tried_lately(stream, first, now):
            return
        work, due = _Work(), None
        try:
            due = find(stream, now)
            if due is not None:
                self._conclude(due, checks, work, lease, now)
            work.succeeded.add(first)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - it is logged and kept
            work.failed[first] = self._failure(stream, first, error, now)
        try:
            self._save(stream, work, lease)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - the same
            work = _Work(failed={first: self._failure(stream, first, error, now)})
            self._save(stream, work, lease)
        if due is not None and not work.more and first not in work.failed:
            due.settle()

    def _failure(self, stream: StreamKey, check: str, error: Exception, now: int) -> EvaluationFailure:
        text = "The %s check of %s could not be made; the next try is in %d s"
        log.error(text, check, stream, RETRY_SECONDS, exc_info=error)
        self._observer.job_failed()
        known = self._failures.get((stream, check))
        since, attempts = (now, 1) if known is None else (known.since, known.attempts + 1)
        failure = EvaluationFailure(stream, check, since, now, attempts, place_of(error))
        self._failures[stream, check] = failure
        return failure

    def _conclude(self, due: _Due, checks: Sequence[AnyCheck], work: _Work, lease: Lease, now: int) -> None:
        """Concludes what is due, point by point.

        What takes long is stored in parts: a lease that passes on before anything is stored would end all progress.
        """
        conditions = dict(due.conditions)
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
                    work.failed[check.name] = self._failure(due.stream, check.name, error, now)
                    continue
                work.succeeded.add(check.name)
                if conclusion is not None:
                    conditions[check.name] = conclusion.conditions
                    work.concluded.append(self._concluded(due, point, check, conclusion, lease, now))
            self._observer.evaluated(due.stream.model, self._timer() - began)

    def _save(self, stream: StreamKey, work: _Work, lease: Lease) -> None:
        """Stores what was concluded, what failed, and what fails no more, in one transaction."""
        mended = [name for name in work.succeeded - work.failed.keys() if (stream, name) in self._failures]
        if not (work.concluded or work.failed or mended):
            return
        with self._store.write() as connection:
            hold(connection, lease.name, lease.holder, lease.fence)
            for each in work.concluded:
                reduce_superseded(connection, stream, each.verdict.check)
                save_verdict(connection, each.verdict, each.evidence, each.headline)
                self._sink.apply(connection, each.assessment)
            for name in mended:
                clear_failure(connection, stream, name)
            for failure in work.failed.values():
                save_failure(connection, self._store, failure)

    def _due_for_labels(self, stream: StreamKey, now: int) -> _Due | None:
        """Evaluations that are due by labels: these come after their predictions, so they have a schedule of their
        own."""
        standing, check = self._agenda.standing(stream, now), self._label_check
        if check is None or standing is None or standing.as_of is None or standing.labels is None:
            return None
        interval = standing.rules.check_interval
        settle = partial(self._agenda.settle_labels, stream, standing.labels)
        with self._store.read() as connection:
            previous = newest_verdict(connection, stream, check.name, until=now // MICROS_PER_SECOND)
            since = None if previous is None else previous.window_end
            first = _first_end(connection, stream) if previous is None else 0

            def enough(start: int, end: int) -> bool:
                return has_news(connection, stream, start, end, standing.rules.min_samples)

            found = label_points(since, first, standing.as_of, interval, enough)
            points = list(islice(found, POINTS_A_TRANSACTION))
        if not points and previous is not None and previous.generation != standing.generation:
            points = [Point(previous.window_end, interval)]
        if not points:
            settle()
            return None
        conditions = {check.name: _conditions(previous)}
        return _Due(stream, conditions, points, _longest(standing.rules), len(points) == POINTS_A_TRANSACTION, settle)

    def _due(self, stream: StreamKey, now: int) -> _Due | None:
        standing = self._agenda.standing(stream, now)
        if standing is None:
            return None
        rules, settle = standing.rules, partial(self._agenda.settle, stream, standing.data)
        with self._store.read() as connection:
            previous = newest_verdict(connection, stream, until=now // MICROS_PER_SECOND)
            since = None if previous is None else previous.window_end
            limit = rules.check_interval // BASE_WINDOW_SECONDS + 1_000
            windows = windows_since(connection, stream, since, standing.closed, limit)
            enough = rules.min_samples if rules.on_new_data else None
            due = due_points(since, windows, interval=rules.check_interval, enough=enough)
            points = list(islice(due, POINTS_A_TRANSACTION))
            if not points and previous is not None and previous.generation != standing.generation:
                # A new reference is looked at once, with an account of its own.
                end = max(previous.window_end, windows[-1][0] if windows else previous.window_end)
                points = [Point(end, rules.check_interval)]
            if not points:
                if len(windows) < limit:
                    settle()
                return None
            conditions = {
                check.name: _conditions(
                    previous
                    if check.name == DRIFT
                    else newest_verdict(connection, stream, check.name, until=now // MICROS_PER_SECOND)
                )
                for check in self._checks
            }
        more = len(points) == POINTS_A_TRANSACTION or len(windows) == limit
        return _Due(stream, conditions, points, _longest(rules), more, settle)

    def _concluded(
        self, due: _Due, point: Point, check: AnyCheck, conclusion: Conclusion, lease: Lease, now: int
    ) -> _Concluded:
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
            result=conclusion.report,
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
        return _Concluded(verdict, conclusion.evidence, headline, assessment)


def place_of(error: Exception) -> str:
    """The kind of an error and where it came up, without its text: that may quote data.

    >>> try:
    ...     int("secret")
    ... except ValueError as caught:
    ...     place_of(caught)
    'ValueError'
    """
    frames = traceback.extract_tb(error.__traceback__)
    in_package = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    where = (
        f" at {Path(in_package[-1].filename).relative_to(PACKAGE.parent)}:{in_package[-1].lineno}" if in_package else ""
    )
    return f"{type(error).__name__}{where}"


def _conditions(verdict: StoredVerdict | None) -> list[Condition]:
    return [] if verdict is None else _decode_conditions(verdict.conditions)


def _first_end(connection: Connection, stream: StreamKey) -> int:
    """The end of the base window in which the stream's first label became known, in seconds."""
    first = first_label_time(connection, stream)
    # The counts are kept for longer than the rows.
    start = first_labelled_window(connection, stream) if first is None else whole_windows(first)
    return start + BASE_WINDOW_SECONDS


def _longest(rules: DriftRules) -> int:
    return max(parse_lookback(lookback) for lookback in rules.lookbacks)
