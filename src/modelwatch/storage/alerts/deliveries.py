"""What became of deliveries, for those who ask: page by page, one by its key, and the latest of each channel."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, or_, select

from modelwatch.storage.alerts.outbox import DEAD, DELIVERED, DeliveryRecord, OutboxState
from modelwatch.storage.engine import tables

_table = tables.outbox
_SHOWN = tuple(column for column in _table.columns if column.name != "notice")


def deliveries_page(
    connection: Connection,
    *,
    state: OutboxState | None = None,
    channel: str | None = None,
    alert_id: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[DeliveryRecord]:
    """Deliveries, those written last first. before: the (created_at, key) of the last one of the page before."""
    given = {"state": state, "channel": channel, "alert_id": alert_id}
    wanted = [_table.c[name] == value for name, value in given.items() if value is not None]
    if before is not None:
        at, key = before
        wanted.append(or_(_table.c.created_at < at, and_(_table.c.created_at == at, _table.c.key < key)))
    statement = select(*_SHOWN).where(*wanted).order_by(_table.c.created_at.desc(), _table.c.key.desc()).limit(limit)
    return [DeliveryRecord(**row._mapping) for row in connection.execute(statement)]


def delivery_by_key(connection: Connection, key: str) -> DeliveryRecord | None:
    """The delivery with this key."""
    row = connection.execute(select(*_SHOWN).where(_table.c.key == key)).first()
    return None if row is None else DeliveryRecord(**row._mapping)


def latest_finished(connection: Connection) -> dict[str, DeliveryRecord]:
    """The delivery of each channel that was ended last, delivered or given up."""
    place = func.row_number().over(
        partition_by=_table.c.channel, order_by=(_table.c.finished_at.desc(), _table.c.key.desc())
    )
    ranked = select(*_SHOWN, place.label("place")).where(_table.c.state.in_((DELIVERED, DEAD))).subquery()
    columns = [column for column in ranked.columns if column.name != "place"]
    rows = connection.execute(select(*columns).where(ranked.c.place == 1))
    return {row.channel: DeliveryRecord(**row._mapping) for row in rows}
