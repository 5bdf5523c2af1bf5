"""Alerts as rows, and the steps of their life. What a body holds is known to alerting alone.

An incident is over when it has state `resolved` here. One that is resolved but may come back at any moment, because it
is flapping, has state `flapping`: it is not over, and nothing new is opened beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, func, insert, or_, select, union_all

from modelwatch.storage.alerts.outbox import PENDING
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store

RESOLVED: Final = "resolved"
FLAPPING: Final = "flapping"
# So many models are named in one statement.
MODELS_A_QUERY = 100
K = TypeVar("K", bound=str)


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """Row of an incident. revision: grows with every write. Times in microseconds by the wall clock."""

    id: str
    fingerprint: str
    model: str
    environment: str
    kind: str
    state: str
    severity: str
    revision: int
    opened_at: int
    updated_at: int
    resolved_at: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredAlertEvent:
    """Row of a step in the life of an alert; `sequence` counts from one. at: microseconds."""

    alert_id: str
    sequence: int
    at: int
    event: str
    actor: str
    note: str | None
    body: bytes


def latest_incidents(
    connection: Connection, model: str, environment: str, kinds: Sequence[K]
) -> dict[K, StoredAlert | None]:
    """By kind, the incident of this model and environment that was opened last; their rows stay locked."""
    if not kinds:
        return {}
    where = {"of_model": model, "of_environment": environment}
    where |= {f"kind_{place}": kind for place, kind in enumerate(kinds)}
    rows = connection.execute(_latest_incidents(len(kinds)), where).all()
    found: dict[K, StoredAlert | None] = dict.fromkeys(kinds)
    return found | {row.kind: _alert(row) for row in rows}


@cache
def _latest_incidents(kinds: int) -> Select[Any]:
    """Query of one incident for each of so many kinds: locks are not to be had of what a query has ranked."""
    table = tables.alert
    newest = [
        select(table.c.id)
        .where(
            table.c.model == bindparam("of_model"),
            table.c.environment == bindparam("of_environment"),
            table.c.kind == bindparam(f"kind_{place}"),
        )
        .order_by(table.c.opened_at.desc())
        .limit(1)
        .subquery()
        for place in range(kinds)
    ]
    ids = union_all(*(select(each.c.id) for each in newest))
    return select(table).where(table.c.id.in_(ids)).with_for_update()


def alert_by_id(connection: Connection, identity: str, *, lock: bool = False) -> StoredAlert | None:
    """The incident with this id; with `lock`, its row stays locked until the transaction ends."""
    statement = select(tables.alert).where(tables.alert.c.id == identity)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else _alert(row)


def unfinished_alerts(connection: Connection) -> list[StoredAlert]:
    """Every incident that is not over, oldest first."""
    table = tables.alert
    rows = connection.execute(select(table).where(tables.OPEN).order_by(table.c.opened_at, table.c.id))
    return [_alert(row) for row in rows]


def newest_resolved(connection: Connection, models: Collection[str], kinds: Sequence[str]) -> list[StoredAlert]:
    """Of these models and kinds, the incident of each environment that was opened last, where it is over."""
    table, wanted, found = tables.alert, sorted(models), list[StoredAlert]()
    key = (table.c.model, table.c.environment, table.c.kind)
    for start in range(0, len(wanted), MODELS_A_QUERY):
        some = wanted[start : start + MODELS_A_QUERY]
        of_these = table.c.model.in_(some) & table.c.kind.in_(kinds)
        newest = select(*key, func.max(table.c.opened_at).label("opened_at")).where(of_these).group_by(*key).subquery()
        # The next incident of a fingerprint is opened later than the one before it, also within a tick of the clock.
        same = and_(*(table.c[column.name] == column for column in newest.c))
        rows = connection.execute(select(table).join(newest, same).where(table.c.state == RESOLVED))
        found += map(_alert, rows)
    return found


def alerts_page(
    connection: Connection,
    *,
    states: Sequence[str] = (),
    model: str | None = None,
    environment: str | None = None,
    kind: str | None = None,
    severity: str | None = None,
    only: Collection[str] | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[StoredAlert]:
    """Incidents, those opened last first. states: any of these rows' states; all when empty. only: of these models.

    before: the (opened_at, id) of the last one of the page before.
    """
    table = tables.alert
    given = {"model": model, "environment": environment, "kind": kind, "severity": severity}
    wanted = [table.c[name] == value for name, value in given.items() if value is not None]
    if states:
        wanted.append(table.c.state.in_(states))
    if only is not None:
        wanted.append(table.c.model.in_(sorted(only)))
    if before is not None:
        opened_at, identity = before
        wanted.append(or_(table.c.opened_at < opened_at, and_(table.c.opened_at == opened_at, table.c.id < identity)))
    statement = select(table).where(*wanted).order_by(table.c.opened_at.desc(), table.c.id.desc()).limit(limit)
    return [_alert(row) for row in connection.execute(statement)]


def save_alert(connection: Connection, store: Store, alert: StoredAlert) -> None:
    """Writes an incident, new or changed. Raises IntegrityError when another one with its fingerprint is not over."""
    connection.execute(store.upsert(tables.alert), asdict(alert))


def remove_alert(connection: Connection, identity: str) -> None:
    """Removes an incident with every step and delivery, except the notification of its end where that waits."""
    outbox, step, table = tables.outbox, tables.alert_event, tables.alert
    last = (outbox.c.state == PENDING) & (outbox.c.event == RESOLVED)
    connection.execute(delete(outbox).where(outbox.c.alert_id == identity, ~last))
    connection.execute(delete(step).where(step.c.alert_id == identity))
    connection.execute(delete(table).where(table.c.id == identity))


def append_alert_events(connection: Connection, events: Sequence[StoredAlertEvent]) -> None:
    """Adds steps. Raises IntegrityError when one with the same sequence is there."""
    if events:
        connection.execute(insert(tables.alert_event), [asdict(event) for event in events])


def alert_events_of(connection: Connection, alert_id: str) -> list[StoredAlertEvent]:
    """Steps of an alert, in their order."""
    table = tables.alert_event
    rows = connection.execute(select(table).where(table.c.alert_id == alert_id).order_by(table.c.sequence))
    return [StoredAlertEvent(**row._mapping) for row in rows]


def _alert(row: Row[Any]) -> StoredAlert:
    return StoredAlert(**row._mapping)
