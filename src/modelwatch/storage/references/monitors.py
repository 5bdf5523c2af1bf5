"""The monitor configurations of models, revision by revision; what they were before is in the audit trail."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from modelwatch.config.monitors.monitor import MonitorConfig, canonical_json, parse_monitor
from modelwatch.errors import Conflict, DamagedData, InvalidInput
from modelwatch.privacy import Policy
from modelwatch.storage.alerts.audit import AuditEntry, append_audit, audit_page
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import Decoded, remembered
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.engine.models import next_generation, registration
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.segments import settle_segments

_MONITOR = select(tables.monitor).where(tables.monitor.c.model == bindparam("of_model"))
DELETE = "monitor.delete"
# In place of the source of one that can't be read: of no monitor that is set, so that each is a change.
DAMAGED = "damaged"

log = logging.getLogger(__name__)
_known: Decoded[MonitorConfig] = Decoded(16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class StoredMonitor:
    """The configuration of one model. revision: 1 for the first, growing, also after it was removed in between.

    source: `api` or `file:<name>`.
    """

    model: str
    revision: int
    config: MonitorConfig
    source: str
    updated_at: int
    updated_by: str


def monitor_revisions(connection: Connection) -> dict[str, int]:
    """The revision of the monitor of every model that has one."""
    table = tables.monitor
    return {row.model: row.revision for row in connection.execute(select(table.c.model, table.c.revision))}


def monitor_of(connection: Connection, model: str) -> StoredMonitor | None:
    """The monitor of a model, if it has one. Raises DamagedData when it can't be read."""

    def read() -> StoredMonitor | None:
        row = connection.execute(_MONITOR, {"of_model": model}).first()
        return None if row is None else _monitor(row)

    return remembered(connection, (monitor_of, model), read)


def all_monitors(connection: Connection) -> list[StoredMonitor]:
    """Every monitor, sorted by model; one that can't be read is logged and left out."""
    rows = connection.execute(select(tables.monitor).order_by(tables.by_bytes(tables.monitor.c.model)))
    return list(readable(rows, _monitor))


def privacy_of(connection: Connection, store: Store, model: str) -> Policy:
    """The privacy policy of a model, as its monitor or the service says. Raises DamagedData when it can't be read."""
    table = tables.model
    return store.protection.policy(
        model, connection.execute(select(table.c.privacy).where(table.c.name == model)).scalar()
    )


def put_monitor(
    store: Store,
    model: str,
    config: MonitorConfig,
    *,
    source: str,
    actor: str,
    now: int,
    new_id: Callable[[], str],
    expected_revision: int | None = None,
) -> StoredMonitor:
    """Sets a model's monitor; the model need not have sent anything yet. Nothing changes when it is the same already.

    expected_revision: the revision that it has now, 0 for none; Raises Conflict when it has another. now: microseconds.
    """
    text = canonical_json(config)
    with store.write() as connection:
        before = _locked(connection, store, model)
        _check_revision(model, before, expected_revision)
        if before is not None and canonical_json(before.config) == text and before.source == source:
            return before
        last = _removed_revision(connection, model) if before is None else before.revision
        after = StoredMonitor(model, last + 1, config, source, now, actor)
        connection.execute(
            store.upsert(tables.monitor),
            {
                "model": model,
                "revision": after.revision,
                "config": text,
                "source": source,
                "updated_at": now,
                "updated_by": actor,
            },
        )
        connection.execute(registration(store), {"of": model, "at": now})
        _note_storing(connection, model, config)
        _settle_segments(connection, store, model, config, now, new_id)
        _audit(connection, "monitor.put", after, before, text, new_id)
    return after


def delete_monitor(
    store: Store,
    model: str,
    *,
    actor: str,
    now: int,
    new_id: Callable[[], str],
    expected_revision: int | None = None,
) -> bool:
    """Removes a model's monitor, so that the settings count again. False when it had none. Raises Conflict.

    now: microseconds.
    """
    with store.write() as connection:
        before = _locked(connection, store, model)
        _check_revision(model, before, expected_revision)
        if before is None:
            return False
        connection.execute(delete(tables.monitor).where(tables.monitor.c.model == model))
        after = StoredMonitor(model, before.revision, before.config, before.source, now, actor)
        _note_storing(connection, model, MonitorConfig())
        _settle_segments(connection, store, model, MonitorConfig(), now, new_id)
        _audit(connection, DELETE, after, before, None, new_id)
    return True


def _note_storing(connection: Connection, model: str, config: MonitorConfig) -> None:
    """Writes what is said about storing predictions beside the model's generation, where every commit reads it."""
    table = tables.model
    privacy = config.privacy.model_dump_json(exclude_none=True)
    values = {"privacy": None if privacy == "{}" else privacy, "sample_rate": config.sample_rate}
    connection.execute(update(table).where(table.c.name == model).values(**values))


def hold_monitor(connection: Connection, store: Store, model: str) -> None:
    """Keeps the model's monitor as it is until the transaction ends. Comes before any lock of the model itself."""
    store.exclusive(connection, f"monitor:{model}")


def _locked(connection: Connection, store: Store, model: str) -> StoredMonitor | None:
    """The monitor before a change; of one that can't be read, an empty one, so that another can take its place."""
    hold_monitor(connection, store, model)
    try:
        return monitor_of(connection, model)
    except DamagedData as error:
        log.warning("%s It is replaced.", error)
    row = connection.execute(_MONITOR, {"of_model": model}).one()
    return StoredMonitor(model, row.revision, MonitorConfig(), DAMAGED, row.updated_at, row.updated_by)


def _settle_segments(
    connection: Connection, store: Store, model: str, config: MonitorConfig, now: int, new_id: Callable[[], str]
) -> None:
    """Segments that change begin a generation of the model."""

    def generation() -> int:
        return next_generation(connection, store, model, now)

    settle_segments(connection, model, config.segments or (), generation, now, new_id)


def _removed_revision(connection: Connection, model: str) -> int:
    """The revision that the model's monitor had when it was last removed; 0 if it never was."""
    removed = audit_page(connection, action=DELETE, target=_target(model), limit=1)
    return int(json.loads(removed[0].detail)["revision"]) if removed else 0


def _target(model: str) -> str:
    return f"monitor/{model}"


def _check_revision(model: str, before: StoredMonitor | None, expected: int | None) -> None:
    found = 0 if before is None else before.revision
    if expected is not None and expected != found:
        raise Conflict(f"The monitor of {model!r} has revision {found}, not {expected}: it has been changed since.")


def _audit(
    connection: Connection,
    action: str,
    after: StoredMonitor,
    before: StoredMonitor | None,
    text: str | None,
    new_id: Callable[[], str],
) -> None:
    detail = {
        "revision": after.revision,
        "source": after.source,
        "before": None if before is None else json.loads(canonical_json(before.config)),
        "after": None if text is None else json.loads(text),
    }
    append_audit(
        connection,
        AuditEntry(new_id(), after.updated_at, after.updated_by, action, _target(after.model), json.dumps(detail)),
    )


def _monitor(row: Row[Any]) -> StoredMonitor:
    try:
        config = _config(row.config)
    except (ValueError, InvalidInput) as error:
        raise DamagedData(f"The stored monitor of {row.model!r} can't be read: {error}") from error
    return StoredMonitor(row.model, row.revision, config, row.source, row.updated_at, row.updated_by)


def _config(text: str) -> MonitorConfig:
    return _known.get(text, len(text), lambda: parse_monitor(json.loads(text)))
