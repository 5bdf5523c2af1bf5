"""Profiles that were counted elsewhere: each counts once, by its id, in one transaction.

A profile has a writer of its own, which is sealed from the beginning: its slots are rows that nobody else writes, and
are folded like those of any sealed writer. The id is inserted in the same transaction, so whatever happens to it, and
however often it is sent, it counts once or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from sqlalchemy import Connection, delete, exists, insert, select

from modelwatch.errors import Conflict, Expired, FieldError, InvalidInput, UnknownModel, excerpt
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import parts_of
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import Increment
from modelwatch.storage.ledger.slots import Slot, SlotKey, save
from modelwatch.storage.references.layouts import Counts, Layout, read_layouts
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import SECONDS_PER_DAY

EXPIRED = "The model's predictions of that day have expired (PREDICTION_RETENTION_DAYS): a repeat could count twice"
DELETED = "The model, version or environment is being deleted: send the profile again when the deletion has ended."
OTHER_CELLS = (
    "The profile was counted in other cells than those of the reference in force: {names}. Read GET"
    " /api/v1/reference/binnings, and count the data in these."
)
NAMED = 5


class CountedSubject(NamedTuple):
    """A subject of a profile, and the id of the cells that it was counted in."""

    subject: Subject
    binning_id: str


class ProfilePart(NamedTuple):
    """Counts of the predictions in one base window: a vector for each subject of the profile, in their order.

    window_start: seconds. latest_ts: of the newest of them, microseconds.
    """

    window_start: int
    latest_ts: int
    predictions: int
    counts: Sequence[Counts]


@dataclass(frozen=True, slots=True)
class GivenProfile:
    """A profile as it was sent. The windows of its parts differ."""

    id: str
    model: str
    version: str
    environment: str
    subjects: tuple[CountedSubject, ...]
    parts: tuple[ProfilePart, ...]


@dataclass(frozen=True, slots=True)
class TakenProfile:
    """Result of a received profile. increments: what was counted; expired: starts of the windows, in seconds, whose
    day has expired, which was not."""

    status: Literal["accepted", "duplicate"]
    increments: tuple[Increment, ...] = ()
    expired: tuple[int, ...] = ()


def store_profile(store: Store, given: GivenProfile, *, now: int, writer: str, host: str) -> TakenProfile:
    """Counts a profile, unless one of this id was counted. now: microseconds; writer: a new id.

    Raises UnknownModel, Conflict where the cells are not those of the reference in force or the model is being deleted,
    Expired when all of its days have, InvalidInput for counts that can't be, StoreUnavailable.
    """
    with store.write() as connection:
        # Held until the end: a reference is set before this transaction, or after it.
        model = tables.model
        query = select(model.c.generation, model.c.expired_before, model.c.deleting).where(model.c.name == given.model)
        row = connection.execute(query.with_for_update(read=True)).first()
        if row is None:
            raise UnknownModel(given.model)
        if row.deleting is not None and any(
            part.covers(given.version, given.environment) for part in parts_of(given.model, row.deleting)
        ):
            raise Conflict(DELETED)
        taken = [part for part in given.parts if _day(part) >= row.expired_before]
        if not taken:
            problem = FieldError("/parts/0/window_start", EXPIRED)
            raise Expired("The profile is too old to be accepted.", (problem,))
        if not _is_new(connection, store, given, max(map(_day, taken)), now):
            return TakenProfile("duplicate")
        layout = read_layouts(connection, given.model, row.generation).of(given.version)
        _check_cells(given, layout)
        _check_counts(given, layout)
        increments = tuple(_increments(given, taken, layout, row.generation))
        slots = {each.key: Slot(each.predictions, each.counts, each.latest_ts, now) for each in increments}
        connection.execute(
            insert(tables.writer), {"id": writer, "host": host, "opened_at": now, "sealed": True, "commits": 1}
        )
        stream = {"model": given.model, "version": given.version, "environment": given.environment}
        connection.execute(store.insert(tables.stream).on_conflict_do_nothing(), {**stream, "first_seen_at": now})
        save(connection, ManyRows(store, store.upsert(tables.profile)), writer, slots)
    expired = {part.window_start for part in given.parts} - {part.window_start for part in taken}
    return TakenProfile("accepted", increments, tuple(sorted(expired)))


def forget_profiles(store: Store, model: str, before: int, limit: int) -> int:
    """Removes up to `limit` ids of profiles all of whose days, since 1970, are before one that has expired.

    None of those days takes any more, so none that is forgotten can count again.
    """
    table, known = tables.received_profile, tables.model
    old = [table.c.model == model, table.c.day < before]
    with store.read() as connection:
        if not connection.execute(select(exists().where(*old))).scalar():
            return 0
    with store.write() as connection:
        closed = connection.execute(select(known.c.expired_before).where(known.c.name == model)).scalar()
        ids = connection.execute(select(table.c.profile_id).where(*old, table.c.day < closed).limit(limit)).scalars()
        return connection.execute(
            delete(table).where(table.c.model == model, table.c.profile_id.in_(ids.all()))
        ).rowcount


def _day(part: ProfilePart) -> int:
    return part.window_start // SECONDS_PER_DAY


def _is_new(connection: Connection, store: Store, given: GivenProfile, day: int, now: int) -> bool:
    table = tables.received_profile
    statement = store.insert(table).on_conflict_do_nothing().returning(table.c.profile_id)
    values = {
        "model": given.model,
        "profile_id": given.id,
        "version": given.version,
        "environment": given.environment,
        "day": day,
        "arrived_at": now,
    }
    return connection.execute(statement, values).first() is not None


def _check_cells(given: GivenProfile, layout: Layout) -> None:
    """Raises Conflict when a subject was counted in other cells than those in force."""
    if not layout.binnings:
        raise Conflict("The model has no reference, so nothing can be counted in its cells: set one first.")
    wrong = [
        each.subject.name or each.subject.kind
        for each in given.subjects
        if each.subject not in layout.binnings or layout.binnings[each.subject].id != each.binning_id
    ]
    if wrong:
        names = ", ".join(map(excerpt, wrong[:NAMED])) + (f" and {len(wrong) - NAMED} more" if wrong[NAMED:] else "")
        raise Conflict(OTHER_CELLS.format(names=names))
    hashed = [each.subject.name for each in given.subjects if each.subject in layout.hashed]
    if hashed:
        raise Conflict(
            f"The names of {', '.join(map(excerpt, hashed[:NAMED]))} are hashed with a key of the service: leave it out"
        )


def _check_counts(given: GivenProfile, layout: Layout) -> None:
    """Raises InvalidInput for counts that can't be those of so many predictions in these cells."""
    for place, part in enumerate(given.parts):
        for number, (each, counts) in enumerate(zip(given.subjects, part.counts, strict=True)):
            binning = layout.binnings[each.subject]
            problem = None
            if len(counts) != binning.size:
                problem = f"Expected {binning.size} counts for {excerpt(each.subject.name)}, got {len(counts)}"
            # Those below and above the range are counted in the cells already.
            elif (total := int(counts[: binning.n_fine + 2].sum())) != part.predictions:
                problem = f"Expected one value for each of the {part.predictions} predictions, got {total}"
            elif isinstance(binning, NumericBinning) and counts[-2:].sum() > counts[: binning.n_fine].sum():
                problem = "Expected no more values below and above the range than there are"
            if problem is not None:
                raise InvalidInput(
                    "The profile has counts that are not valid.",
                    (FieldError(f"/parts/{place}/counts/{number}", problem),),
                )


def _increments(
    given: GivenProfile, parts: Sequence[ProfilePart], layout: Layout, generation: int
) -> Iterator[Increment]:
    for part in parts:
        vector = np.zeros(layout.size, dtype=np.int64)
        for each, counts in zip(given.subjects, part.counts, strict=True):
            vector[layout.slices[each.subject]] = counts
        key = SlotKey(given.model, generation, given.version, given.environment, part.window_start)
        yield Increment(key, layout, part.predictions, vector, part.latest_ts)
