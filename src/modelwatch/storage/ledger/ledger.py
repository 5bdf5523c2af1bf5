"""The exactly-once write path: prediction rows and the writer's slots in one transaction.

Only rows that the INSERT returns are new, and only new rows enter a slot. A slot in memory changes after the commit
that stored it. When it can't be known whether a commit happened, the writer is abandoned with all that it committed,
and the same batch is given to a fresh one: rows that are there already are not returned, so nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from modelwatch.batches import PredictionBatch, StreamName
from modelwatch.errors import StoreReplaced
from modelwatch.events import GroundTruth, Prediction
from modelwatch.privacy import Policy
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part, parts_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import (
    Increment,
    add_to_slots,
    count_outcomes,
    count_predictions,
    count_segments,
    labelled_predictions,
    to_slots,
)
from modelwatch.storage.ledger.labels import NO_LABELS, LabelStatus, apply_labels
from modelwatch.storage.ledger.predictions.blocks import planned_blocks
from modelwatch.storage.ledger.predictions.rows import (
    Segments,
    head_columns,
    rows_by_kind,
    rows_kept_as_they_came,
    segments_of_batch,
)
from modelwatch.storage.ledger.repeats import Repeats, repeats_by_window
from modelwatch.storage.ledger.slots import OUTCOMES, PROFILES, OutcomeSlot, SlotCache, SlotKey, save
from modelwatch.storage.ledger.statements import LedgerStatements, ModelRow
from modelwatch.storage.references.layouts import NO_LAYOUTS, ModelLayouts, read_layouts
from modelwatch.times import MICROS_PER_DAY

MAX_UNKNOWN_OUTCOMES = 5
# What a writer knows of models and streams before it forgets all of it.
MAX_MODELS = 2_000
MAX_STREAMS = 20_000
# Later than any day: of a model that is being deleted nothing is taken.
NEVER_TAKEN = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Committed:
    """The outcome of a commit: for each event whether it was new, what was counted, the status of each label.

    accepted: None for an event whose day has expired; it was not taken.
    """

    accepted: list[bool | None]
    increments: list[Increment]
    labels: list[LabelStatus] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _InForce:
    """The state of a commit's models, held until its end: layouts, privacy, the share of predictions whose features are
    kept, the models with labels, the day, since 1970, before which predictions have expired, parts to delete."""

    layouts: dict[str, ModelLayouts]
    policies: dict[str, Policy]
    rates: dict[str, float]
    labelled: frozenset[str]
    expired_before: dict[str, int]
    deleting: dict[str, tuple[Part, ...]]

    def first_day(self, stream: StreamName) -> int:
        """The first day, since 1970, of which predictions of a stream are taken; none of one that is being deleted."""
        parts = self.deleting.get(stream.model, ())
        is_deleted = any(part.covers(stream.version, stream.environment) for part in parts)
        return NEVER_TAKEN if is_deleted else self.expired_before[stream.model]


class _NotOurs(Exception):
    """The writer's slots in the store are not, or no longer, those that are known here: it was sealed, or the store was
    set back to an older state, such as by a standby that was behind or a back-up."""


class _OutcomeUnknown(Exception):
    """COMMIT failed: the transaction may or may not be in the store."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__(str(error))
        self.error = error


class Ledger:
    """The writer of one process. Not thread-safe: it belongs to the one thread that commits."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        host: str,
        rotation_seconds: int,
        sample_rate: float = 1.0,
    ) -> None:
        self._store = store
        self._sample_rate = sample_rate
        self._clock = clock
        self._new_id = new_id
        self._host = host
        self._rotation = rotation_seconds * 1_000_000
        self._statements = LedgerStatements.of(store)
        self._layouts: dict[str, ModelLayouts] = {}
        self._slots = SlotCache(PROFILES)
        self._outcomes = SlotCache(OUTCOMES)
        self._writer = ""
        self._opened_at = 0
        self._registered = False
        self._commits = 0
        self._abandoned: list[str] = []
        self._streams: set[tuple[str, str, str]] = set()
        self._labelled: set[str] = set()

    @property
    def writer(self) -> str:
        """The id under which the next commit writes; empty before the first."""
        return self._writer

    def commit(self, events: Sequence[Prediction], labels: Sequence[GroundTruth] = ()) -> Committed:
        """Makes the events durable, each at most once, and says which of them were new.

        labels: beside those that came inside of the events.
        Raises what the database driver raises when nothing was written, or when the outcome stayed unknown after
        several tries, and StoreReplaced; the same events may then be given again.
        """
        # A clock that went back must not make its life longer.
        if not self._writer or not 0 <= self._clock() - self._opened_at < self._rotation:
            self._change_writer()
        batch = PredictionBatch.of(events)
        tries = 0
        while True:
            try:
                return self._attempt(batch, labels)
            except _NotOurs:
                self._change_writer()
            except StoreReplaced:
                # Perhaps after the commit, and the file may come back.
                self._change_writer()
                raise
            except _OutcomeUnknown as unknown:
                self._change_writer()
                tries += 1
                if tries == MAX_UNKNOWN_OUTCOMES:
                    raise unknown.error from unknown

    def close(self) -> None:
        """Seals the writer, so that its slots can be folded at once."""
        if self._registered:
            with self._store.write() as connection:
                _seal(connection, self._writer)
            self._registered = False

    def _change_writer(self) -> None:
        if self._registered:
            self._abandoned.append(self._writer)
        self._writer = self._new_id()
        self._opened_at = self._clock()
        self._registered = False
        self._commits = 0
        self._slots.clear()
        self._outcomes.clear()
        # A store that was set back to an older state, or whose standby took over too early, may know less than before.
        self._layouts.clear()
        self._streams.clear()

    def _attempt(self, batch: PredictionBatch, labels: Sequence[GroundTruth]) -> Committed:
        with self._store.open_write() as connection:
            self._claim_writer(connection)
            in_force = self._in_force(connection, batch, [*labels, *batch.labels()])
            layouts = in_force.layouts
            first_days = np.array([in_force.first_day(stream) for stream in batch.streams], dtype=np.int64)
            not_expired = batch.times // MICROS_PER_DAY >= first_days[batch.stream_of]
            taken = batch.where(not_expired)
            given = [*labels, *taken.labels()]
            segments = segments_of_batch(taken, {model: layouts[model].segmentation for model in taken.models})
            is_new = self._insert_rows(connection, taken, segments, in_force)
            fresh = taken.where(is_new)
            fresh_segments = list(compress(segments, is_new.tolist()))
            now = self._clock()
            increments = count_predictions(fresh, layouts, self._store.protection)
            self._register_streams(connection, increments)
            repeats: Mapping[SlotKey, Repeats] = {}
            if fresh is not taken:
                repeated = taken.where(~is_new)
                repeats = repeats_by_window(
                    connection, self._statements.repeated, repeated, layouts, self._store.protection
                )
            added = to_slots(increments, repeats, layouts, now)
            added |= count_segments(fresh, fresh_segments, layouts, self._store.protection, now)
            after = add_to_slots(self._slots.get(connection, self._writer, added), added)
            save(connection, self._statements.save_slots, self._writer, after, is_rewritten=True)
            labelled = in_force.labelled.union(label.model_name for label in given)
            joinable = {
                model: labelled_predictions(fresh, fresh_segments, model, layouts[model].generation)
                for model in fresh.models
                if model in labelled
            }
            applied = NO_LABELS
            if given or joinable:
                applied = apply_labels(
                    connection, self._statements.labels, given, joinable, layouts, in_force.expired_before, now
                )
            outcomes: dict[SlotKey, OutcomeSlot] = {}
            for contributions in applied.contributions:
                outcomes |= count_outcomes(contributions, now)
            outcomes = add_to_slots(self._outcomes.get(connection, self._writer, outcomes), outcomes)
            save(connection, self._statements.save_outcomes, self._writer, outcomes, is_rewritten=True)
            try:
                connection.commit()
            except DBAPIError as error:
                raise _OutcomeUnknown(error) from error
        self._registered = True
        self._commits += 1
        self._abandoned.clear()
        self._forget_some()
        self._layouts.update(layouts)
        self._slots.put(after)
        self._outcomes.put(outcomes)
        self._streams.update(_stream(increment.key) for increment in increments)
        accepted: list[bool | None] = is_new.tolist()
        if taken is not batch:
            accepted = [None] * len(batch)
            for place, new in zip(np.flatnonzero(not_expired).tolist(), is_new.tolist(), strict=True):
                accepted[place] = new
        return Committed(accepted, increments, applied.statuses[: len(labels)])

    def _forget_some(self) -> None:
        """Keeps what is known within bounds, however many names clients think of: it is read again when needed."""
        for known, most in ((self._layouts, MAX_MODELS), (self._labelled, MAX_MODELS), (self._streams, MAX_STREAMS)):
            if len(known) > most:
                known.clear()

    def _claim_writer(self, connection: Connection) -> None:
        for abandoned in sorted(self._abandoned):
            _seal(connection, abandoned)
        if self._registered:
            claimed = self._statements.claim.execute(connection, writer=self._writer, made=self._commits)
            if claimed.rowcount != 1:
                raise _NotOurs
            return
        connection.execute(
            insert(tables.writer),
            {"id": self._writer, "host": self._host, "opened_at": self._opened_at, "sealed": False, "commits": 1},
        )

    def _in_force(self, connection: Connection, batch: PredictionBatch, labels: Sequence[GroundTruth]) -> _InForce:
        """The state in force of the models of this batch and these labels.

        It is held until the commit: a reference is set before or after this transaction. With labels nobody else may
        store predictions or labels of these models meanwhile, or a label and its prediction could miss each other.
        """
        names = sorted({*batch.models, *(label.model_name for label in labels)})
        unknown = [name for name in names if name not in self._layouts]
        if unknown:
            self._register(connection, unknown)
        query = self._statements.generations_for_labels if labels else self._statements.generations
        rows = _models(query.execute(connection, names=names))
        if len(rows) < len(names):
            # A model that this writer knows was deleted.
            self._register(connection, sorted(set(names).difference(row.name for row in rows)))
            rows = _models(query.execute(connection, names=names))
        layouts = {}
        for row in rows:
            known = self._layouts.get(row.name, NO_LAYOUTS)
            if known.generation != row.generation:
                known = read_layouts(connection, row.name, row.generation)
            layouts[row.name] = known
        deleting = {row.name: parts_of(row.name, row.deleting) for row in rows if row.deleting is not None}
        whole = {model for model, parts in deleting.items() if any(part.is_whole for part in parts)}
        return _InForce(
            layouts,
            {row.name: self._store.protection.policy(row.name, row.privacy) for row in rows},
            {row.name: self._rate(row) for row in rows},
            self._with_labels(connection, names),
            {row.name: NEVER_TAKEN if row.name in whole else row.expired_before for row in rows},
            deleting,
        )

    def _register(self, connection: Connection, names: Sequence[str]) -> None:
        now = self._clock()
        connection.execute(self._statements.register_models, [{"of": name, "at": now} for name in names])

    def _with_labels(self, connection: Connection, names: Sequence[str]) -> frozenset[str]:
        """The models that may have labels. Read once they are held: a statement that had to wait for that sees
        the labels of before its wait, and would miss the first one of a model."""
        unlabelled = [name for name in names if name not in self._labelled]
        if unlabelled:
            found = self._statements.labelled.execute(connection, names=unlabelled)
            self._labelled.update(name for (name,) in found.fetchall())
        return frozenset(self._labelled.intersection(names))

    def _rate(self, row: ModelRow) -> float:
        """Share of a model's predictions whose features are kept: all, until its first reference is taken."""
        if not row.provisional_done:
            return 1.0
        return self._sample_rate if row.sample_rate is None else row.sample_rate

    def _insert_rows(
        self,
        connection: Connection,
        batch: PredictionBatch,
        segments: Sequence[Segments],
        in_force: _InForce,
    ) -> NDArray[np.bool_]:
        """Inserts what is not there yet; returns of each row whether it is new.

        What is not new must not be in a block either, so blocks are written once that is known.
        """
        if not len(batch):
            return np.zeros(0, dtype=np.bool_)
        generations = {model: layouts.generation for model, layouts in in_force.layouts.items()}
        head = head_columns(batch, generations, segments, self._clock())
        keys = list(zip(head["day"], head["model"], head["prediction_id"], strict=True))
        # Of those that are there twice, the first.
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        in_order = [first[key] for key in sorted(first)]
        whole = rows_kept_as_they_came(batch, in_force.policies, in_force.rates)
        planned = planned_blocks(batch, whole if len(first) == len(keys) else np.intersect1d(whole, in_order))
        blocks = list(zip(self._statements.blocks.new_ids(connection, len(planned)), planned, strict=True))
        inserted: list[tuple[int, str, str]] = []
        kept = (in_force.policies, in_force.rates, self._store.protection)
        for kind in rows_by_kind(batch, in_order, whole, blocks, *kept):
            columns = {name: [values[row] for row in kind.rows] for name, values in head.items()}
            inserted += map(tuple, self._statements.insert_predictions.insert(connection, columns | kind.columns))
        is_new = np.zeros(len(keys), dtype=np.bool_)
        is_new[[first[key] for key in inserted] if len(inserted) < len(keys) else slice(None)] = True
        self._statements.blocks.insert(connection, batch, blocks, is_new)
        return is_new

    def _register_streams(self, connection: Connection, increments: Sequence[Increment]) -> None:
        unknown = sorted({_stream(increment.key) for increment in increments} - self._streams)
        if unknown:
            now = self._clock()
            connection.execute(
                self._statements.register_streams,
                [
                    {"model": model, "version": version, "environment": environment, "first_seen_at": now}
                    for model, version, environment in unknown
                ],
            )


def _models(cursor: Any) -> list[ModelRow]:
    return [ModelRow(*row) for row in cursor.fetchall()]


def _stream(key: SlotKey) -> tuple[str, str, str]:
    return (key.model, key.version, key.environment)


def _seal(connection: Connection, writer: str) -> None:
    """FOR UPDATE waits for a commit of this writer that is still under way, and keeps later ones out."""
    table = tables.writer
    connection.execute(select(table.c.id).where(table.c.id == writer).with_for_update())
    connection.execute(update(table).where(table.c.id == writer).values(sealed=True))
