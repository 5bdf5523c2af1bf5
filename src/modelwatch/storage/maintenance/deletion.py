"""Deleting a model, or a version or an environment of it: in pieces, while everything else continues.

The request closes what is to be deleted: from its commit on no prediction of it is taken, and its streams are gone, so
nothing evaluates it. Then rows are removed, some in a transaction, with what they add to the record of the deletion:
who is killed in between leaves it where it was. Writers take new ids once the predictions are gone, so that none of
them remembers a count that is removed after that. At the end it is open again: what is sent then is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, delete, exists, insert, select, update

from modelwatch.errors import UnknownModel, UnknownResource, excerpt
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part, parts_of, written_parts
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.blocks import release_blocks
from modelwatch.storage.maintenance.compaction import one_slot
from modelwatch.storage.maintenance.retention import without_prediction
from modelwatch.storage.references.monitors import delete_monitor, hold_monitor
from modelwatch.storage.references.references import retire_version

Step = Literal[
    "alerts", "predictions", "labels", "writers", "profiles", "received", "outcomes", "verdicts", "references", "end"
]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion. Times in microseconds. predictions, removed: rows that are gone, of predictions and of the rest."""

    id: str
    model: str
    part: Part
    requested_at: int
    actor: str
    step: Step
    position: str
    predictions: int
    removed: int
    finished_at: int | None


def request_deletion(
    store: Store, model: str, part: Part, *, actor: str, now: int, new_id: Callable[[], str]
) -> Deletion:
    """Closes what is to be deleted and begins to delete it; one that is under way is returned as it is.

    Raises UnknownModel, and UnknownResource for a version or an environment that nothing is known of.
    now: microseconds.
    """
    table, known = tables.deletion, tables.model
    with store.write() as connection:
        # Waits for commits under way, and keeps later ones out.
        row = connection.execute(select(known.c.name).where(known.c.name == model).with_for_update()).first()
        if row is None:
            raise UnknownModel(model)
        under_way = _unfinished(connection, model)
        same = next((each for each in under_way if each.part in (part, Part())), None)
        if same is not None:
            return same
        if not part.is_whole and not _is_known(connection, model, part):
            what = ("version", part.version) if part.version is not None else ("environment", part.environment)
            raise UnknownResource(f"The model {excerpt(model)!r} has no {what[0]} {excerpt(what[1])!r}.")
        deletion = Deletion(new_id(), model, part, now, actor, STEPS[0], "", 0, 0, None)
        connection.execute(
            insert(table),
            {
                "id": deletion.id,
                "model": model,
                "version": part.version,
                "environment": part.environment,
                "requested_at": now,
                "actor": actor,
                "step": deletion.step,
            },
        )
        _mark(connection, model, [*(each.part for each in under_way), part])
        for registered in (tables.stream, tables.evaluation_failure):
            connection.execute(delete(registered).where(*_of_part(registered, model, part)))
        append_audit(connection, _entry(deletion, "request", now, new_id))
    return deletion


def deletions_under_way(connection: Connection) -> list[Deletion]:
    """Unfinished deletions, the oldest first."""
    table = tables.deletion
    rows = connection.execute(
        select(table).where(table.c.finished_at.is_(None)).order_by(table.c.requested_at, table.c.id)
    )
    return [_deletion(row) for row in rows]


def deletion_by_id(connection: Connection, identity: str) -> Deletion | None:
    """The deletion with this id."""
    row = connection.execute(select(tables.deletion).where(tables.deletion.c.id == identity)).first()
    return None if row is None else _deletion(row)


def is_being_deleted(connection: Connection, model: str, version: str, environment: str) -> bool:
    """True when this version in this environment is being deleted, so that nothing of it is taken."""
    written = connection.execute(select(tables.model.c.deleting).where(tables.model.c.name == model)).scalar()
    return written is not None and any(part.covers(version, environment) for part in parts_of(model, written))


def delete_some(store: Store, deletion: Deletion, limit: int, *, now: int, new_id: Callable[[], str]) -> bool:
    """Removes up to about `limit` rows of what the deletion is at, and notes how far it is. False when it has ended.

    The step `alerts` is not done here: alerting ends them, and `alerts_ended` continues from there. Raises
    AssertionError for that step. now: microseconds.
    """
    match deletion.step:
        case "predictions":
            _remove_predictions(store, deletion, limit)
        case "labels":
            _remove_labels(store, deletion, limit)
        case "writers":
            _renew_writers(store, deletion)
        case "profiles":
            _remove_rows(store, deletion, tables.profile, limit)
        case "received":
            _remove_rows(store, deletion, tables.received_profile, limit)
        case "outcomes":
            _remove_rows(store, deletion, tables.outcome, limit)
        case "verdicts":
            _remove_rows(store, deletion, tables.verdict, limit)
        case "references":
            _remove_references(store, deletion, limit, now, new_id)
        case "end":
            return _end(store, deletion, now, new_id)
        case "alerts":
            raise AssertionError("alerts are ended by alerting")
    return True


def alerts_ended(store: Store, deletion: Deletion) -> None:
    """Notes that the alerts of what is deleted are gone."""
    with store.write() as connection:
        _go_on(connection, deletion)


def _remove_predictions(store: Store, deletion: Deletion, limit: int) -> None:
    """Removes predictions in the order of ids, each with the label of its id once no other prediction has that id."""
    table, known = tables.prediction, tables.model
    some = (
        select(table.c.prediction_id, table.c.day, table.c.block)
        .where(*_of_part(table, deletion.model, deletion.part), table.c.prediction_id >= deletion.position)
        .order_by(table.c.prediction_id)
        .limit(limit)
    )
    with store.write() as connection, store.without_remnants(connection):
        # As a commit with labels does, so that none of them is looked at while it goes.
        connection.execute(select(known.c.name).where(known.c.name == deletion.model).with_for_update())
        rows = connection.execute(some).all()
        if not rows:
            # Those whose rows a process of an earlier release has removed.
            block = tables.feature_block
            connection.execute(delete(block).where(*_of_part(block, deletion.model, deletion.part)))
            _go_on(connection, deletion)
            return
        one = delete(table).where(
            table.c.day == bindparam("on_day"),
            table.c.model == bindparam("of"),
            table.c.prediction_id == bindparam("id"),
        )
        ManyRows(store, one).run(
            connection, [{"on_day": row.day, "of": deletion.model, "id": row.prediction_id} for row in rows]
        )
        release_blocks(connection, store, (row.block for row in rows))
        ids = sorted({row.prediction_id for row in rows})
        ManyRows(store, without_prediction()).run(connection, [{"of": deletion.model, "id": each} for each in ids])
        _note(connection, deletion, position=rows[-1].prediction_id, predictions=len(rows))


def _remove_labels(store: Store, deletion: Deletion, limit: int) -> None:
    """Removes the labels left, of predictions that expired or never came. They name no version, so of a part none."""
    table, known = tables.label, tables.model
    with store.write() as connection, store.without_remnants(connection):
        connection.execute(select(known.c.name).where(known.c.name == deletion.model).with_for_update())
        ids: Sequence[str] = ()
        if deletion.part.is_whole:
            some = select(table.c.prediction_id).where(table.c.model == deletion.model).limit(limit)
            ids = connection.execute(some).scalars().all()
        if not ids:
            _go_on(connection, deletion)
            return
        one = delete(table).where(table.c.model == bindparam("of"), table.c.prediction_id == bindparam("id"))
        ManyRows(store, one).run(connection, [{"of": deletion.model, "id": each} for each in ids])
        _note(connection, deletion, removed=len(ids))


def _renew_writers(store: Store, deletion: Deletion) -> None:
    """Seals all writers: each process takes a new one, which remembers nothing. Waits for commits under way."""
    table = tables.writer
    with store.write() as connection:
        open_ones = select(table.c.id).where(table.c.sealed.is_(False)).order_by(table.c.id).with_for_update()
        for writer in connection.execute(open_ones).scalars().all():
            connection.execute(update(table).where(table.c.id == writer).values(sealed=True))
        _go_on(connection, deletion)


def _remove_rows(store: Store, deletion: Deletion, table: Table, limit: int) -> None:
    """Rows of a table by their whole key. The slots of the model are not folded or backfilled meanwhile."""
    some = select(*table.primary_key.columns).where(*_of_part(table, deletion.model, deletion.part)).limit(limit)
    with store.write() as connection, store.without_remnants(connection):
        store.exclusive(connection, f"fold:{deletion.model}")
        rows = connection.execute(some).all()
        if not rows:
            _go_on(connection, deletion)
            return
        ManyRows(store, one_slot(table)).run(connection, [dict(row._mapping) for row in rows])
        _note(connection, deletion, removed=len(rows))


def _remove_references(store: Store, deletion: Deletion, limit: int, now: int, new_id: Callable[[], str]) -> None:
    """Removes references of the model or the version; an environment has none.

    Where those of a version were in force, a generation begins in which it is counted in the common ones.
    """
    table, part = tables.reference, deletion.part
    of_version = [] if part.version is None else [table.c.version == part.version]
    some = select(table.c.id, table.c.to_generation).where(table.c.model == deletion.model, *of_version).limit(limit)
    with store.write() as connection, store.without_remnants(connection):
        hold_monitor(connection, store, deletion.model)
        has_none = part.environment is not None and part.version is None
        rows = [] if has_none else connection.execute(some).all()
        if not rows:
            _go_on(connection, deletion)
            return
        if part.version is not None and any(row.to_generation is None for row in rows):
            retire_version(connection, store, deletion.model, part.version, now=now, new_id=new_id)
        ids = [row.id for row in rows]
        for beside in (tables.reference_segment, tables.labelled_rows):
            connection.execute(delete(beside).where(beside.c.reference.in_(ids)))
        connection.execute(delete(table).where(table.c.id.in_(ids)))
        _note(connection, deletion, removed=len(rows))


def _end(store: Store, deletion: Deletion, now: int, new_id: Callable[[], str]) -> bool:
    """Ends the deletion, unless something came in between: then it begins again. False when it has ended."""
    known, table = tables.model, tables.deletion
    if deletion.part.is_whole:
        delete_monitor(store, deletion.model, actor=deletion.actor, now=now, new_id=new_id)
    with store.write() as connection:
        hold_monitor(connection, store, deletion.model)
        locked = select(known.c.generation).where(known.c.name == deletion.model).with_for_update()
        generation = connection.execute(locked).scalar()
        if _anything_left(connection, deletion):
            _note(connection, deletion, step=STEPS[0], position="")
            return True
        this = table.c.id == deletion.id
        connection.execute(update(table).where(this).values(finished_at=now))
        if deletion.part.is_whole:
            connection.execute(update(table).where(this).values(generation=generation or 0))
            for about in (tables.finding_tally, tables.stream):
                connection.execute(delete(about).where(about.c.model == deletion.model))
            connection.execute(delete(known).where(known.c.name == deletion.model))
        _mark(connection, deletion.model, [each.part for each in _unfinished(connection, deletion.model)])
        found = connection.execute(select(table).where(this)).one()
        append_audit(connection, _entry(_deletion(found), "end", now, new_id))
    store.empty_log()
    return False


def _anything_left(connection: Connection, deletion: Deletion) -> bool:
    of_part = [tables.prediction, tables.profile, tables.received_profile, tables.outcome, tables.verdict]
    of_model = [tables.label, tables.reference, tables.alert, tables.monitor] if deletion.part.is_whole else []
    conditions = [_of_part(table, deletion.model, deletion.part) for table in of_part]
    conditions += [_of_part(table, deletion.model, Part()) for table in of_model]
    return any(bool(connection.execute(select(exists().where(*each))).scalar()) for each in conditions)


def _is_known(connection: Connection, model: str, part: Part) -> bool:
    reference = tables.reference
    known = [exists().where(*_of_part(table, model, part)) for table in (tables.stream, tables.profile, tables.verdict)]
    if part.environment is None:
        known.append(exists().where(reference.c.model == model, reference.c.version == part.version))
    return any(bool(connection.execute(select(each)).scalar()) for each in known)


def _of_part(table: Table, model: str, part: Part) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [table.c.model == model]
    if part.version is not None:
        conditions.append(table.c.version == part.version)
    if part.environment is not None:
        conditions.append(table.c.environment == part.environment)
    return conditions


def _unfinished(connection: Connection, model: str) -> list[Deletion]:
    table = tables.deletion
    rows = connection.execute(select(table).where(table.c.model == model, table.c.finished_at.is_(None)))
    return [_deletion(row) for row in rows]


def _mark(connection: Connection, model: str, parts: Sequence[Part]) -> None:
    """Marks in the model's row, which every commit reads, the parts that are being deleted."""
    table = tables.model
    written = written_parts(parts) if parts else None
    connection.execute(update(table).where(table.c.name == model).values(deleting=written))


def _go_on(connection: Connection, deletion: Deletion) -> None:
    _note(connection, deletion, step=STEPS[STEPS.index(deletion.step) + 1], position="")


def _note(connection: Connection, deletion: Deletion, *, predictions: int = 0, removed: int = 0, **to: str) -> None:
    table = tables.deletion
    counts = {"predictions": table.c.predictions + predictions, "removed": table.c.removed + removed}
    connection.execute(update(table).where(table.c.id == deletion.id).values(**counts, **to))


def _deletion(row: Row[Any]) -> Deletion:
    return Deletion(
        row.id,
        row.model,
        Part(row.version, row.environment),
        row.requested_at,
        row.actor,
        row.step,
        row.position,
        row.predictions,
        row.removed,
        row.finished_at,
    )


def _entry(deletion: Deletion, what: Literal["request", "end"], now: int, new_id: Callable[[], str]) -> AuditEntry:
    part = deletion.part
    kind = "model" if part.is_whole else "version" if part.version is not None else "environment"
    detail: dict[str, object] = {
        "model_version": part.version,
        "environment": part.environment,
        "deletion": deletion.id,
    }
    if what == "end":
        detail |= {"predictions": deletion.predictions, "other_rows": deletion.removed}
    action = f"{kind}.delete" if what == "request" else f"{kind}.deleted"
    return AuditEntry(new_id(), now, deletion.actor, action, f"model/{deletion.model}", json.dumps(detail))
