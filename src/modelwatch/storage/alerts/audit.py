"""Audit trail: who did what, when. Entries are added and read, never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, and_, insert, or_, select

from modelwatch.storage.engine import tables


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Action of a person.

    at: microseconds. action: such as `alert.acknowledge`. target: what it was done to, such as `alert/…`. detail: JSON.
    """

    id: str
    at: int
    actor: str
    action: str
    target: str
    detail: str


def append_audit(connection: Connection, entry: AuditEntry) -> None:
    """Adds an entry, in the transaction of the action."""
    connection.execute(insert(tables.audit), asdict(entry))


def audit_page(
    connection: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[AuditEntry]:
    """Entries, newest first. before: the (at, id) of the last one of the page before."""
    table = tables.audit
    given = {"actor": actor, "action": action, "target": target}
    wanted = [table.c[name] == value for name, value in given.items() if value is not None]
    if before is not None:
        at, identity = before
        wanted.append(or_(table.c.at < at, and_(table.c.at == at, table.c.id < identity)))
    statement = select(table).where(*wanted).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
    return [AuditEntry(**row._mapping) for row in connection.execute(statement)]
