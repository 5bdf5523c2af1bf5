"""The verdicts of past evaluations: what was concluded, and from what.

A verdict is written once, and what it says never changes; of a quiet one only a summary may be left.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from modelwatch.errors import DamagedData
from modelwatch.events import EARLIEST_TIME
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.models import StreamKey

DRIFT = "drift"
PERFORMANCE = "performance"
QUALITY = "quality"

# The version of the rules that made the verdicts of releases that kept none.
FIRST_RULES = 1
# Where the newest report of a stream can't be read: so many before it are looked at.
LOOKED_BACK = 20

# The evidence is large and seldom asked for; see headlines.py for the others.
_APART = ("evidence", "value", "rate", "headline")
_COLUMNS = [
    *(column for column in tables.verdict.c if column.name not in _APART),
    (func.length(tables.verdict.c.evidence) > 0).label("full"),
]
_NEWEST_FIRST = (tables.verdict.c.window_end.desc(), tables.verdict.c.generation.desc())


def _of_newest_generation() -> ColumnElement[bool]:
    table, later = tables.verdict, tables.verdict.alias()
    same = [later.c[name] == table.c[name] for name in ("model", "environment", "version", "check_name", "window_end")]
    return ~exists().where(*same, later.c.generation > table.c.generation)


# Condition on a row of `verdict`: there is none of a later generation for the same window end.
OF_NEWEST_GENERATION = _of_newest_generation()

Report = TypeVar("Report")


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """One evaluation of one stream.

    check: what was checked, such as `drift`. window_end: seconds of event time. evaluated_at: microseconds. fence: of
    the lease under which it was written. inputs_hash: of the evidence, which `evidence_of` reads. conditions: state
    that the next evaluation continues from. result: the report as JSON. rules_version: of the rules that made it. full:
    whether its evidence is kept, and the report as it was; else the report is a summary.
    """

    id: str
    model: str
    version: str
    environment: str
    check: str
    window_end: int
    generation: int
    evaluated_at: int
    fence: int
    severity: str
    inputs_hash: str
    conditions: bytes
    result: bytes
    rules_version: int = FIRST_RULES
    full: bool = True

    @property
    def stream(self) -> StreamKey:
        return StreamKey(self.model, self.version, self.environment)


@dataclass(frozen=True, slots=True)
class StoredHeadline:
    """Few numbers of a verdict. value, rate: of the time series of lists. content: more of them, encoded."""

    value: float | None
    rate: float | None
    content: bytes


def save_verdict(
    connection: Connection, verdict: StoredVerdict, evidence: bytes, headline: StoredHeadline | None = None
) -> None:
    """Adds a verdict with its evidence.

    There is one for each stream, check, window end and generation; for a second one the driver raises IntegrityError.
    """
    connection.execute(
        insert(tables.verdict),
        {
            "id": verdict.id,
            "model": verdict.model,
            "version": verdict.version,
            "environment": verdict.environment,
            "check_name": verdict.check,
            "window_end": verdict.window_end,
            "generation": verdict.generation,
            "evaluated_at": verdict.evaluated_at,
            "fence": verdict.fence,
            "severity": verdict.severity,
            "inputs_hash": verdict.inputs_hash,
            "evidence": evidence,
            "conditions": verdict.conditions,
            "result": zlib.compress(verdict.result, 6),
            "rules_version": verdict.rules_version,
            "value": None if headline is None else headline.value,
            "rate": None if headline is None else headline.rate,
            "headline": None if headline is None else headline.content,
        },
    )


def newest_verdict(
    connection: Connection, stream: StreamKey, check: str = DRIFT, *, until: int | None = None
) -> StoredVerdict | None:
    """The stream's verdict with the newest window end, of the newest generation there; of those whose report can be
    read. `newest_trace` is for what needs no report.

    until: the latest window end to consider, in seconds; what a clock that was ahead has evaluated is later than now.
    """
    newest = select(*_COLUMNS).where(*_of_stream(stream, check), *_until(until)).order_by(*_NEWEST_FIRST)
    row = connection.execute(newest.limit(1)).first()
    if row is None:
        return None
    if (verdict := _readable(row)) is not None:
        return verdict
    return next(readable(connection.execute(newest.offset(1).limit(LOOKED_BACK)), _verdict), None)


def verdicts_of(
    connection: Connection,
    model: str,
    *,
    version: str | None = None,
    environment: str | None = None,
    check: str = DRIFT,
    start: int | None = None,
    end: int | None = None,
    step: int | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[StoredVerdict]:
    """A model's verdicts, newest first: those with start <= window end <= end whose report can be read.

    Of one window end, those of the newest generation come first.

    step: only the last of each stream in each stretch of so many seconds, of those that are whole if there are any.
    before: the (window end, id) of the last verdict of the page before.
    """
    table = tables.verdict
    wanted = [table.c.model == model, table.c.check_name == check]
    wanted += [
        column == value
        for column, value in ((table.c.version, version), (table.c.environment, environment))
        if value is not None
    ]
    if start is not None:
        wanted.append(table.c.window_end >= start)
    if end is not None:
        wanted.append(table.c.window_end <= end)
    query = select(*_COLUMNS).where(*wanted)
    if step is not None:
        stream = (table.c.version, table.c.environment)
        # SQL rounds a quotient towards zero: from a multiple of the step on that nothing is before.
        since = -EARLIEST_TIME // 1_000_000 // step * step + step
        stretch = (table.c.window_end + since) // step
        whole = func.max(case((func.length(table.c.evidence) > 0, table.c.window_end)))
        ends = func.coalesce(whole, func.max(table.c.window_end))
        last = select(*stream, ends).where(*wanted).group_by(*stream, stretch)
        query = query.where(tuple_(*stream, table.c.window_end).in_(last), OF_NEWEST_GENERATION)
    found: list[StoredVerdict] = []
    while True:
        page = query
        if before is not None:
            last_end, last_id = before
            shown = table.alias()
            generation = select(shown.c.generation).where(shown.c.id == last_id).scalar_subquery()
            rest = tuple_(table.c.generation, table.c.id) < tuple_(generation, literal(last_id))
            earlier = and_(table.c.window_end == last_end, rest)
            page = query.where(or_(table.c.window_end < last_end, earlier))
        wanted_rows = limit - len(found)
        page = page.order_by(*_NEWEST_FIRST, table.c.id.desc()).limit(wanted_rows)
        rows = connection.execute(page).all()
        found += readable(rows, _verdict)
        if len(found) == limit or len(rows) < wanted_rows:
            return found
        before = rows[-1].window_end, rows[-1].id


def verdict_by_id(connection: Connection, identity: str) -> StoredVerdict | None:
    """The verdict with this id. Raises DamagedData when its report can't be read."""
    row = connection.execute(select(*_COLUMNS).where(tables.verdict.c.id == identity)).first()
    return None if row is None else _verdict(row)


def report_of(verdict: StoredVerdict, decode: Callable[[bytes], Report]) -> Report:
    """What `decode` makes of a verdict's report. Raises DamagedData when it can't, as of another release."""
    return decoded(f"The report of the verdict {verdict.id}", decode, verdict.result)


def latest_verdicts(connection: Connection, model: str | None = None, check: str = DRIFT) -> list[StoredVerdict]:
    """The newest verdict of every stream whose report can be read, sorted by stream; of one model, or of all."""
    table = tables.verdict
    query = select(*_COLUMNS).where(table.c.id.in_(newest_ids(model, check)))
    query = query.order_by(*map(tables.by_bytes, (table.c.model, table.c.version, table.c.environment)))
    found = (
        _readable(row) or newest_verdict(connection, StreamKey(row.model, row.version, row.environment), check)
        for row in connection.execute(query).all()
    )
    return [verdict for verdict in found if verdict is not None]


def latest_verdict_ids(connection: Connection, check: str = DRIFT) -> list[str]:
    """The ids of the newest verdicts of all streams that were evaluated, in no order."""
    return [identity for identity in connection.execute(newest_ids(None, check)).scalars() if identity is not None]


def newest_ids(model: str | None, check: str) -> Select[Any]:
    """The id of the newest verdict of every stream, null for one without; of one model, or of all."""
    stream = tables.stream
    ids = select(newest_id(check)).select_from(stream)
    return ids if model is None else ids.where(stream.c.model == model)


def newest_id(check: str) -> ColumnElement[Any]:
    """The id of the newest verdict of each row of `stream` in the query around it; null where there is none."""
    stream, each = tables.stream, tables.verdict.alias()
    return (
        select(each.c.id)
        .where(
            each.c.model == stream.c.model,
            each.c.environment == stream.c.environment,
            each.c.version == stream.c.version,
            each.c.check_name == check,
        )
        .order_by(each.c.window_end.desc(), each.c.generation.desc())
        .limit(1)
        .scalar_subquery()
    )


@dataclass(frozen=True, slots=True)
class VerdictTrace:
    """A verdict without its report and evidence. window_end: seconds. full: whether these are kept as they were."""

    id: str
    window_end: int
    generation: int
    severity: str
    conditions: bytes
    full: bool


def newest_trace(
    connection: Connection, stream: StreamKey, check: str = DRIFT, *, until: int | None = None
) -> VerdictTrace | None:
    """The stream's verdict with the newest window end, of the newest generation there. until: as in `newest_verdict`.

    What goes on from a verdict needs no report, and goes on where that is damaged.
    """
    return next(iter(traces_of(connection, stream, check, 1, until=until)), None)


def traces_of(
    connection: Connection, stream: StreamKey, check: str, limit: int, *, until: int | None = None
) -> list[VerdictTrace]:
    """The stream's last verdicts of a check, newest first. until: as in `newest_verdict`."""
    table = tables.verdict
    rows = connection.execute(
        select(
            table.c.id,
            table.c.window_end,
            table.c.generation,
            table.c.severity,
            table.c.conditions,
            func.length(table.c.evidence) > 0,
        )
        .where(*_of_stream(stream, check), *_until(until))
        .order_by(*_NEWEST_FIRST)
        .limit(limit)
    )
    return [VerdictTrace(row[0], row[1], row[2], row[3], bytes(row[4]), bool(row[5])) for row in rows]


def result_of(connection: Connection, identity: str) -> bytes | None:
    """The report of the verdict with this id, as JSON. Raises DamagedData when it can't be read."""
    table = tables.verdict
    found = connection.execute(select(table.c.result).where(table.c.id == identity)).scalar()
    return None if found is None else _report(identity, found)


def reduce_verdict(connection: Connection, identity: str, summary: bytes) -> None:
    """Leaves this summary of the verdict's report, as JSON, and nothing of its evidence."""
    table = tables.verdict
    connection.execute(
        update(table).where(table.c.id == identity).values(evidence=b"", result=zlib.compress(summary, 6))
    )


def nearest_full(connection: Connection, verdict: StoredVerdict) -> tuple[str, int] | None:
    """The id and window end, in seconds, of the verdict of the same stream and check whose evidence is kept and whose
    window ends nearest, the earlier of two; None when there is none."""
    table = tables.verdict
    full = [*_of_stream(verdict.stream, verdict.check), func.length(table.c.evidence) > 0]
    found = []
    for side, order in (
        (table.c.window_end <= verdict.window_end, table.c.window_end.desc()),
        (table.c.window_end > verdict.window_end, table.c.window_end),
    ):
        row = connection.execute(
            select(table.c.id, table.c.window_end)
            .where(*full, side)
            .order_by(order, table.c.generation.desc())
            .limit(1)
        ).first()
        found += [] if row is None else [(row.id, row.window_end)]
    return min(found, key=lambda each: abs(each[1] - verdict.window_end), default=None)


def _of_stream(stream: StreamKey, check: str) -> list[ColumnElement[bool]]:
    table = tables.verdict
    return [
        table.c.model == stream.model,
        table.c.environment == stream.environment,
        table.c.version == stream.version,
        table.c.check_name == check,
    ]


def _until(until: int | None) -> list[ColumnElement[bool]]:
    return [] if until is None else [tables.verdict.c.window_end <= until]


def evidence_of(connection: Connection, identity: str) -> bytes | None:
    """The evidence of the verdict with this id, encoded; empty where only a summary of it is kept."""
    table = tables.verdict
    return connection.execute(select(table.c.evidence).where(table.c.id == identity)).scalar()


def _report(identity: str, raw: bytes) -> bytes:
    """The report of a verdict, as JSON. Raises DamagedData when it can't be read."""
    try:
        return zlib.decompress(raw)
    except zlib.error as error:
        raise DamagedData(f"The report of the verdict {identity} can't be read: {error}.") from error


def _readable(row: Row[Any]) -> StoredVerdict | None:
    """The verdict of a row; None, which is logged, where its report can't be read: others are not missed for it."""
    return next(readable((row,), _verdict), None)


def _verdict(row: Row[Any]) -> StoredVerdict:
    return StoredVerdict(
        id=row.id,
        model=row.model,
        version=row.version,
        environment=row.environment,
        check=row.check_name,
        window_end=row.window_end,
        generation=row.generation,
        evaluated_at=row.evaluated_at,
        fence=row.fence,
        severity=row.severity,
        inputs_hash=row.inputs_hash,
        conditions=row.conditions,
        result=_report(row.id, row.result),
        rules_version=row.rules_version,
        full=bool(row.full),
    )
