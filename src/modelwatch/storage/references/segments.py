"""Segments of a model: they follow from its monitor and its references, and change with a generation.

A segmentation stands in the table of the references. Once there has been one, there always is one, without features
when the monitor names none any more: the generation since which outcomes are divided as they are never falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from modelwatch.config.monitors.monitor import SegmentConfig
from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.segments.segmentation import NO_SEGMENTS, Segmentation, segment_feature
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.damage import decoded
from modelwatch.storage.references.layouts import binning_of, cells_of, segmentation_of, what_of
from modelwatch.storage.references.subjects import SEGMENTS


def settle_segments(
    connection: Connection,
    model: str,
    wanted: Sequence[SegmentConfig],
    generation: Callable[[], int],
    now: int,
    new_id: Callable[[], str],
) -> None:
    """Puts in force what the segments are by the monitor and the references in force; nothing when it is so already.

    generation: begins the generation that they belong to, or says it. The caller holds the model's monitor.
    Raises DamagedData when a stored reference is damaged. now: microseconds.
    """
    segmentation = _segmentation(connection, model, wanted)
    table = tables.reference
    row = connection.execute(
        select(table.c.id, table.c.model, table.c.kind, table.c.name, table.c.binning_id, table.c.binning).where(
            table.c.model == model, table.c.kind == SEGMENTS, table.c.to_generation.is_(None)
        )
    ).first()
    before = NO_SEGMENTS if row is None else cells_of(row, segmentation_of)
    if segmentation == before:
        return
    since = generation()
    if row is not None:
        retired = {"to_generation": since, "state": "retired"}
        connection.execute(update(table).where(table.c.id == row.id).values(**retired))
    connection.execute(
        insert(table),
        {
            "id": new_id(),
            "model": model,
            "version": None,
            "kind": SEGMENTS,
            "name": "",
            "binning_id": segmentation.id,
            "binning": segmentation.encode(),
            "counts": b"",
            "variation": None,
            "split": None,
            "created_at": now,
            "source": "monitor",
            "state": "active",
            "from_generation": since,
        },
    )


def segmentation_with(
    connection: Connection,
    model: str,
    wanted: Sequence[SegmentConfig],
    version: str | None,
    fresh: Mapping[str, Profile],
) -> Segmentation:
    """The segmentation with these features' references set for a version, or for all (None).

    Raises DamagedData when a stored reference is damaged.
    """
    return _made(wanted, _profiles(connection, model, wanted, (version, fresh)))


def _profile(row: Any) -> Profile:
    return Profile(binning_of(row.binning_id, row.binning), decode_counts(row.counts))


def _segmentation(connection: Connection, model: str, wanted: Sequence[SegmentConfig]) -> Segmentation:
    """The segmentation by the references in force, of features that a monitor names; those without one are left out."""
    return _made(wanted, _profiles(connection, model, wanted)) if wanted else NO_SEGMENTS


def _made(wanted: Sequence[SegmentConfig], profiles: Mapping[str, Profile]) -> Segmentation:
    known = [each for each in wanted if each.feature in profiles]
    return Segmentation(tuple(segment_feature(each.feature, profiles[each.feature], each.parts) for each in known))


def _profiles(
    connection: Connection,
    model: str,
    wanted: Sequence[SegmentConfig],
    fresh: tuple[str | None, Mapping[str, Profile]] = (None, {}),
) -> dict[str, Profile]:
    """The reference of each feature: that for all versions; where there is none, the version's that was set last."""
    table = tables.reference
    rows = connection.execute(
        select(
            table.c.id,
            table.c.model,
            table.c.kind,
            table.c.name,
            table.c.version,
            table.c.binning_id,
            table.c.binning,
            table.c.counts,
        )
        .where(
            table.c.model == model,
            table.c.kind == "feature",
            table.c.name.in_([each.feature for each in wanted]),
            table.c.to_generation.is_(None),
            table.c.hashed.is_(False),
        )
        .order_by(table.c.version.is_(None), table.c.from_generation, table.c.id)
    ).all()
    profiles = {row.name: decoded(what_of(row), _profile, row) for row in rows}
    common = {row.name for row in rows if row.version is None}
    version, given = fresh
    return profiles | {name: profile for name, profile in given.items() if version is None or name not in common}
