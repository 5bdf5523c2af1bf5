"""Agenda: streams that may be due for evaluation, read from the store in bulk, by what has changed since the last time.

Those that have waited longest come first, and no model has a second turn before every other has had its first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import DamagedData
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.monitoring.checks.schedule import closed_until, labels_until
from modelwatch.storage.counts.outcomes import NewestLabel, fresh_labels, newest_labels
from modelwatch.storage.counts.streams import Newest, fresh_windows, generations, newest_windows
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import monitor_of, monitor_revisions
from modelwatch.storage.references.references import models_with_reference
from modelwatch.times import MICROS_PER_SECOND

# Models without a reference have a turn after so many with one: nothing can be found of them yet.
TURNS_BEFORE_UNREFERENCED = 3
# However sure it is of what has changed, everything is read anew so often.
ANEW_SECONDS = 300

State = tuple[int, ...]
# Whether a stream must wait although its data, or its labels (True), have changed.
Refused = Callable[[StreamKey, bool], bool]


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a stream: the rules and the generation of its model, and until when its windows are closed and its
    labels mature (seconds; None without labels). idle: whether nothing has come for an interval. data, labels: what
    changes when there may be something to evaluate."""

    rules: DriftRules
    generation: int
    closed: int
    as_of: int | None
    idle: bool
    data: State
    labels: State | None


class Agenda:
    """The streams of a store, and which of them have been checked since they changed.

    defaults: the rules of a model without a monitor. with_labels: whether labels are evaluated, too.
    """

    def __init__(self, store: Store, defaults: DriftRules, *, with_labels: bool) -> None:
        self._store = store
        self._with_labels = with_labels
        self._defaults = defaults
        self._read_at: int | None = None
        self._newest: dict[StreamKey, Newest] = {}
        self._labels: dict[StreamKey, NewestLabel] = {}
        self._generations: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._rules: dict[str, DriftRules] = {}
        self._referenced: frozenset[str] = frozenset()
        self._places: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._settled: dict[StreamKey, State] = {}
        self._labels_settled: dict[StreamKey, State] = {}
        self._open_since: dict[StreamKey, int] = {}
        # When the streams that are open had their last turn.
        self._turns: dict[StreamKey, int] = {}
        # Turns of models with a reference since the last one of a model without.
        self._turns_referenced = 0

    def forget(self) -> None:
        """Everything is read anew at the next look: what writers had counted is nowhere apart once it was folded."""
        self._read_at = None

    def look(self, now: int) -> None:
        """Takes over what has changed in the store. now: microseconds."""
        with self._store.read() as connection:
            current = generations(connection)
            if self._read_at is None or not 0 <= now - self._read_at < ANEW_SECONDS * MICROS_PER_SECOND:
                self._newest, self._labels = newest_windows(connection), newest_labels(connection)
                self._read_at = now
            else:
                for stream, found in fresh_windows(connection).items():
                    self._newest[stream] = found.newest_of(self._newest.get(stream))
                for stream, label in fresh_labels(connection).items():
                    self._labels[stream] = label.newest_of(self._labels.get(stream))
                # Slots of an older generation may have been carried over, those of a new model before it was seen.
                known = self._generations
                for model in [name for name in known | current if known.get(name) != current.get(name)]:
                    self._newest |= newest_windows(connection, model)
                    self._labels |= newest_labels(connection, model)
            self._generations = current
            revisions = monitor_revisions(connection)
            for model in self._revisions.keys() - revisions.keys():
                self._rules.pop(model, None)
            for model, revision in revisions.items():
                if self._revisions.get(model) != revision:
                    self._rules[model] = self._rules_of(connection, model)
            self._referenced = models_with_reference(connection)
        self._revisions, self._places = revisions, {}

    def _rules_of(self, connection: Connection, model: str) -> DriftRules:
        try:
            monitor = monitor_of(connection, model)
        except DamagedData:
            # Its evaluations fail for it, and say so; those of other models go on.
            return self._defaults
        return rules_for(self._defaults, None if monitor is None else monitor.config)

    def standing(self, stream: StreamKey, now: int) -> Standing | None:
        """State of a stream; None when it has no data, or its model was deleted. now: microseconds."""
        newest, generation = self._newest.get(stream), self._generations.get(stream.model)
        if newest is None or generation is None:
            return None
        rules = self._rules.get(stream.model, self._defaults)
        closed = closed_until(newest.latest_ts, newest.arrived_at, now, rules.grace)
        last = max(newest.arrived_at, (newest.window_start + BASE_WINDOW_SECONDS) * MICROS_PER_SECOND)
        idle = now - last >= rules.check_interval * MICROS_PER_SECOND
        label, revision = self._labels.get(stream), self._revisions.get(stream.model, 0)
        as_of = None
        if label is not None:
            of_label = (label.latest_ts, label.arrived_at)
            as_of = labels_until(of_label, closed, newest.arrived_at, now, rules.check_interval)
        return Standing(
            rules,
            generation,
            closed,
            as_of,
            idle,
            (newest.window_start, closed, idle, generation, revision),
            None
            if label is None or as_of is None
            else (label.latest_ts, label.arrived_at, as_of, generation, revision),
        )

    def open(self, now: int, refused: Refused) -> list[StreamKey]:
        """The streams that have changed since they were settled, in the order in which they have their turn.

        One that had a turn and is not through, since it has weeks to catch up with, waits from then on.
        """
        waited = self._open_since
        found = {stream: waited.get(stream, now) for stream in self._newest if self.is_open(stream, now, refused)}
        self._open_since = found
        self._turns = {stream: turn for stream, turn in self._turns.items() if stream in found}
        waiting = {stream: max(since, self._turns.get(stream, since)) for stream, since in found.items()}
        return list(in_turn(waiting, self._referenced, self._turns_referenced))

    def had_turn(self, stream: StreamKey, now: int) -> None:
        """Others come first that have waited longer than since this turn. now: microseconds."""
        self._turns[stream] = now
        self._turns_referenced = self._turns_referenced + 1 if stream.model in self._referenced else 0

    def is_open(self, stream: StreamKey, now: int, refused: Refused) -> bool:
        """True when the stream may be due for evaluation. now: microseconds."""
        standing = self.standing(stream, now)
        if standing is None:
            return False
        if self._settled.get(stream) != standing.data and not refused(stream, False):
            return True
        if not self._with_labels or standing.labels is None:
            return False
        return self._labels_settled.get(stream) != standing.labels and not refused(stream, True)

    def settle(self, stream: StreamKey, data: State) -> None:
        """Nothing is to be evaluated of the stream's data until this changes."""
        self._settled[stream] = data

    def settle_labels(self, stream: StreamKey, labels: State) -> None:
        """Nothing is to be evaluated of the stream's labels until this changes."""
        self._labels_settled[stream] = labels

    def open_since(self, streams: Iterable[StreamKey]) -> int | None:
        """Since when the one of these that has waited longest has been open, in microseconds; None for none."""
        return min((self._open_since[stream] for stream in streams if stream in self._open_since), default=None)

    def departed(self, stream: StreamKey, before: int) -> dict[str, int]:
        """The other versions in its environment whose newest window began before a time, with its end; in seconds."""
        place = (stream.model, stream.environment)
        if not self._places:
            for each, newest in self._newest.items():
                self._places.setdefault((each.model, each.environment), []).append((newest.window_start, each.version))
            for versions in self._places.values():
                versions.sort()
        versions = self._places.get(place, [])
        old = islice(versions, bisect_left(versions, (before, "")))
        return {version: start + BASE_WINDOW_SECONDS for start, version in old if version != stream.version}


def in_turn(
    waiting_since: dict[StreamKey, int], referenced: frozenset[str], turns_referenced: int = 0
) -> Iterator[StreamKey]:
    """Streams by the turns of their models, and in each turn those first that have waited longest.

    turns_referenced: turns of models with a reference since the last one of a model without. They are counted from one
    round to the next: a round may have time for three turns and no more, and there may always be three such models.

    >>> keys = [StreamKey("a", "1", "p"), StreamKey("a", "2", "p"), StreamKey("b", "1", "p")]
    >>> [f"{key.model}{key.version}" for key in in_turn({keys[0]: 1, keys[1]: 2, keys[2]: 3}, frozenset("ab"))]
    ['a1', 'b1', 'a2']
    """
    turns: Counter[str] = Counter()
    ordered: list[tuple[int, int, StreamKey]] = []
    for stream in sorted(waiting_since, key=lambda each: (waiting_since[each], each)):
        ordered.append((turns[stream.model], waiting_since[stream], stream))
        turns[stream.model] += 1
    ordered.sort()
    first = iter([stream for _, _, stream in ordered if stream.model in referenced])
    second = iter([stream for _, _, stream in ordered if stream.model not in referenced])
    wanted = max(TURNS_BEFORE_UNREFERENCED - turns_referenced, 0)
    while some := [*islice(first, wanted), *islice(second, 1)] or [*islice(first, TURNS_BEFORE_UNREFERENCED)]:
        yield from some
        wanted = TURNS_BEFORE_UNREFERENCED
