"""Evaluations that are due of a stream: the next window ends, and what the evaluations before them have left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.monitoring.checks.check import AnyCheck
from modelwatch.monitoring.checks.conditions import Condition, before_again
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point, due_points, label_points, whole_windows
from modelwatch.monitoring.scheduler.agenda import Agenda
from modelwatch.monitoring.scheduler.recording import LOOKED_AT
from modelwatch.storage.counts.labels.times import first_label_time, has_news
from modelwatch.storage.counts.outcomes import first_labelled_window
from modelwatch.storage.counts.volumes import windows_since
from modelwatch.storage.engine.damage import decoded
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import VerdictTrace, newest_trace, traces_of
from modelwatch.times import MICROS_PER_SECOND

POINTS_A_TRANSACTION = 20

_decode_conditions = msgspec.json.Decoder(list[Condition]).decode


@dataclass(frozen=True, slots=True)
class Due:
    """Stream with something to evaluate: where it stands, and the next evaluations.

    conditions: by check, after the evaluation before. traces: by check, the last verdicts, newest first. longest:
    seconds of the longest look-back. more: whether there may be others after these. settle: to be called when they are
    stored and there are none.
    """

    stream: StreamKey
    conditions: dict[str, list[Condition]]
    traces: dict[str, list[VerdictTrace]]
    points: list[Point]
    longest: int
    more: bool
    settle: Callable[[], None]


def due_for_data(store: Store, agenda: Agenda, checks: Sequence[AnyCheck], stream: StreamKey, now: int) -> Due | None:
    """Evaluations that are due by the windows that are closed; None without any. The first check sets the pace. now: in
    microseconds."""
    standing = agenda.standing(stream, now)
    if standing is None:
        return None
    rules, settle = standing.rules, partial(agenda.settle, stream, standing.data)
    names = [check.name for check in checks]
    with store.read() as connection:
        newest = _newest_verdicts(connection, stream, names, now // MICROS_PER_SECOND)
        previous = newest[names[0]]
        since = None if previous is None else previous.window_end
        limit = rules.check_interval // BASE_WINDOW_SECONDS + 1_000
        windows = windows_since(connection, stream, since, standing.closed, limit)
        enough = rules.enough_new
        due = due_points(since, windows, interval=rules.check_interval, enough=enough)
        points = list(islice(due, POINTS_A_TRANSACTION))
        conditions = _conditions(newest)
        if not points and previous is not None:
            again = previous.generation != standing.generation
            if again:
                points, conditions = _look_again(connection, stream, previous, conditions, rules)
            if standing.idle and windows and (again or _was_again(connection, stream, names[0], previous)):
                # What comes now is due by the interval, with this look or without it.
                end = windows[-1][0]
                points.append(Point(end, min(end - previous.window_end, rules.check_interval)))
        if not points:
            if len(windows) < limit:
                settle()
            return None
        traces = _traces(connection, stream, checks)
    more = len(points) == POINTS_A_TRANSACTION or len(windows) == limit
    return Due(stream, conditions, traces, points, _longest(rules), more, settle)


def due_for_labels(store: Store, agenda: Agenda, checks: Sequence[AnyCheck], stream: StreamKey, now: int) -> Due | None:
    """Evaluations that are due by labels: these come after their predictions, so they have a schedule of their own. As
    for data. now: microseconds."""
    standing = agenda.standing(stream, now)
    if standing is None or standing.as_of is None or standing.labels is None:
        return None
    interval = standing.rules.check_interval
    settle = partial(agenda.settle_labels, stream, standing.labels)
    names = [check.name for check in checks]
    with store.read() as connection:
        newest = _newest_verdicts(connection, stream, names, now // MICROS_PER_SECOND)
        previous = newest[names[0]]
        since = None if previous is None else previous.window_end
        first = _first_end(connection, stream) if previous is None else 0

        def enough(start: int, end: int) -> bool:
            return has_news(connection, stream, start, end, standing.rules.min_samples)

        found = label_points(since, first, standing.as_of, interval, enough)
        points = list(islice(found, POINTS_A_TRANSACTION))
        conditions = _conditions(newest)
        if not points and previous is not None and previous.generation != standing.generation:
            points, conditions = _look_again(connection, stream, previous, conditions, standing.rules)
        if not points:
            settle()
            return None
        traces = _traces(connection, stream, checks)
    more = len(points) == POINTS_A_TRANSACTION
    return Due(stream, conditions, traces, points, _longest(standing.rules), more, settle)


def _look_again(
    connection: Connection,
    stream: StreamKey,
    previous: VerdictTrace,
    last: dict[str, list[Condition]],
    rules: DriftRules,
) -> tuple[list[Point], dict[str, list[Condition]]]:
    """The one look that a new generation gives, with the budget of an interval, and by check the conditions that it
    goes on from. last: by check, the conditions after the last look.

    It stands where the last one stood: later ones count from there, whenever the generation began. The data of that one
    must not count twice.
    """
    before = _conditions(_newest_verdicts(connection, stream, last, previous.window_end - 1))
    again = {name: before_again(before[name], conditions) for name, conditions in last.items()}
    return [Point(previous.window_end, rules.check_interval)], again


def _was_again(connection: Connection, stream: StreamKey, check: str, previous: VerdictTrace) -> bool:
    """True when the last look was the one that a new generation gives: what came after it was not looked at since."""
    ends = [each.window_end for each in traces_of(connection, stream, check, 2)]
    return ends == [previous.window_end] * 2


def _newest_verdicts(
    connection: Connection, stream: StreamKey, checks: Iterable[str], until: int
) -> dict[str, VerdictTrace | None]:
    """The newest verdict of each check. until: the latest window end, in seconds."""
    return {name: newest_trace(connection, stream, name, until=until) for name in checks}


def _traces(connection: Connection, stream: StreamKey, checks: Sequence[AnyCheck]) -> dict[str, list[VerdictTrace]]:
    return {check.name: traces_of(connection, stream, check.name, LOOKED_AT) for check in checks}


def _conditions(newest: dict[str, VerdictTrace | None]) -> dict[str, list[Condition]]:
    return {name: [] if verdict is None else _conditions_after(verdict) for name, verdict in newest.items()}


def _conditions_after(verdict: VerdictTrace) -> list[Condition]:
    """The conditions that a verdict left. Raises DamagedData when they can't be read."""
    return decoded(f"What the verdict {verdict.id} left to the next one", _decode_conditions, verdict.conditions)


def _first_end(connection: Connection, stream: StreamKey) -> int:
    """End of the base window in which the stream's first label became known, in seconds."""
    first = first_label_time(connection, stream)
    # The counts are kept for longer than the rows.
    start = first_labelled_window(connection, stream) if first is None else whole_windows(first)
    return start + BASE_WINDOW_SECONDS


def _longest(rules: DriftRules) -> int:
    return max(parse_lookback(lookback) for lookback in rules.lookbacks)
