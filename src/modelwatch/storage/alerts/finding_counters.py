"""Counters of findings, for each model, subject and severity: numbers that only grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store

# Subject and severity of a finding.
FindingKey = tuple[str, str]
# The key of a row must fit into an index, beside the model's name; the name of a feature may be longer.
MAX_SUBJECT_BYTES = 1_024


def count_findings(connection: Connection, store: Store, model: str, new: Iterable[FindingKey]) -> None:
    """Counts new findings, in the transaction that writes them."""
    table = tables.finding_tally
    statement = store.insert(table)
    key = [column.name for column in table.primary_key.columns]
    statement = statement.on_conflict_do_update(
        index_elements=key, set_={"count": table.c.count + statement.excluded.count}
    )
    # In a fixed order, so that two transactions never wait for each other in a circle.
    rows = [
        {"model": model, "subject": subject, "severity": severity, "count": count}
        for (subject, severity), count in sorted(
            Counter((_beginning(subject), severity) for subject, severity in new).items()
        )
    ]
    if rows:
        connection.execute(statement, rows)


def finding_counts(connection: Connection) -> dict[str, dict[FindingKey, int]]:
    """Counts of each model, by subject and severity."""
    table = tables.finding_tally
    found: dict[str, dict[FindingKey, int]] = {}
    for row in connection.execute(
        select(table).order_by(*map(tables.by_bytes, (table.c.model, table.c.subject, table.c.severity)))
    ):
        found.setdefault(row.model, {})[row.subject, row.severity] = row._mapping["count"]
    return found


def _beginning(subject: str) -> str:
    return subject.encode()[:MAX_SUBJECT_BYTES].decode(errors="ignore")
