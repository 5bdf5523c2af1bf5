"""Standing: the times up to which there are data and evaluations, by model and by stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from modelwatch.storage.engine import tables
from modelwatch.storage.verdicts.verdicts import DRIFT, newest_ids
from modelwatch.times import MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Standing:
    """data_until: when the newest prediction was; evaluated_until: the end of the newest window that was evaluated.
    Seconds; None where there is none."""

    data_until: int | None = None
    evaluated_until: int | None = None


def standing_of(connection: Connection, model: str) -> Standing:
    """The times up to which a model has data and is evaluated; None in both for an unknown one."""
    return standings(connection, model).get(model, Standing())


def overall_standing(connection: Connection, models: Collection[str] | None = None) -> Standing:
    """The newest standing of these models; of all if None."""
    found = [each for name, each in standings(connection).items() if models is None or name in models]
    return Standing(
        max((each.data_until for each in found if each.data_until is not None), default=None),
        max((each.evaluated_until for each in found if each.evaluated_until is not None), default=None),
    )


def standings(connection: Connection, model: str | None = None) -> dict[str, Standing]:
    """The standing of each model, by name; of one, or of all."""
    known, profile, verdict = tables.model, tables.profile, tables.verdict
    other = profile.alias()
    # By the ends of indexes, for any number of windows and verdicts.
    newest = select(func.max(other.c.window_start)).where(other.c.model == known.c.name)
    # Two levels down it is not correlated by itself.
    start = newest.correlate(known).scalar_subquery()
    data = (
        select(func.max(profile.c.latest_ts))
        .where(profile.c.model == known.c.name, profile.c.window_start == start)
        .scalar_subquery()
    )
    evaluated = (
        select(func.max(verdict.c.window_end))
        .where(verdict.c.model == known.c.name, verdict.c.check_name == DRIFT)
        .scalar_subquery()
    )
    query = select(known.c.name, data, evaluated)
    if model is not None:
        query = query.where(known.c.name == model)
    return {
        name: Standing(None if latest is None else latest // MICROS_PER_SECOND, end)
        for name, latest, end in connection.execute(query)
    }


def latest_severities(connection: Connection, model: str | None = None) -> Counter[str | None]:
    """Number of streams by the severity of their newest verdict on drift; None: no verdict yet."""
    stream, verdict = tables.stream, tables.verdict
    ids = newest_ids(model, DRIFT)
    found: Counter[str | None] = Counter()
    counted = select(verdict.c.severity, func.count()).where(verdict.c.id.in_(ids)).group_by(verdict.c.severity)
    for severity, count in connection.execute(counted):
        found[severity] = count
    streams = select(func.count()).select_from(stream)
    if model is not None:
        streams = streams.where(stream.c.model == model)
    without = connection.execute(streams).scalar_one() - found.total()
    return found if not without else found + Counter({None: without})
