"""References for labelled predictions: the outcome layout in force, and the outcomes of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.stats.outcomes.natural_variation import NaturalVariation, decode_natural
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.damage import decoded
from modelwatch.storage.references.labelled_rows import LabelledRows, decode_labelled_rows
from modelwatch.storage.references.layouts import outcome_layout_of, what_of
from modelwatch.storage.references.subjects import OUTCOME, State


@dataclass(frozen=True, slots=True)
class StoredOutcomes:
    """The outcomes of a reference: `version` None means every version that has none of its own.

    counts: of the labelled reference; of no rows when it has no labels, and the layout alone counts. natural: how its
    metrics vary over time; None where that is not known.
    """

    id: str
    model: str
    version: str | None
    layout: OutcomeLayout
    counts: OutcomeCounts
    created_at: int
    source: str
    state: State
    natural: NaturalVariation | None = None


def outcomes_in_force(connection: Connection, model: str, generation: int | None = None) -> list[StoredOutcomes]:
    """The outcome references of a model in force now, or in one of its generations; the common one first.

    Raises DamagedData when a stored reference is damaged.
    """

    def read() -> list[StoredOutcomes]:
        table = tables.reference
        condition: ColumnElement[bool] = table.c.to_generation.is_(None)
        if generation is not None:
            condition = and_(
                table.c.from_generation <= generation,
                or_(table.c.to_generation.is_(None), table.c.to_generation > generation),
            )
        query = select(table).where(table.c.model == model, table.c.kind == OUTCOME, condition)
        return sorted((_stored(row) for row in connection.execute(query)), key=lambda item: item.version or "")

    return list(remembered(connection, (outcomes_in_force, model, generation), read))


def outcomes_by_id(connection: Connection, ids: Sequence[str]) -> list[StoredOutcomes]:
    """The outcome references with these ids, in their order; those that are not there any more are left out.

    Raises DamagedData when a stored reference is damaged.
    """
    table = tables.reference
    rows = {row.id: row for row in connection.execute(select(table).where(table.c.id.in_(ids)))}
    return [_stored(rows[identity]) for identity in ids if identity in rows]


def outcomes_for(references: Sequence[StoredOutcomes], version: str | None) -> StoredOutcomes | None:
    """The one that applies to a version: its own, else the common one."""
    by_version = {reference.version: reference for reference in references}
    return by_version.get(version, by_version.get(None))


def _stored(row: Any) -> StoredOutcomes:
    return decoded(what_of(row), _outcomes, row)


def _outcomes(row: Any) -> StoredOutcomes:
    layout = outcome_layout_of(row.binning_id, row.binning)
    return StoredOutcomes(
        id=row.id,
        model=row.model,
        version=row.version,
        layout=layout,
        counts=OutcomeCounts(layout, decode_counts(row.counts)),
        created_at=row.created_at,
        source=row.source,
        state=row.state,
        natural=None if row.variation is None else decode_natural(row.variation),
    )


def labelled_rows_of(connection: Connection, reference: str) -> LabelledRows | None:
    """The rows of the outcome reference with this id; None where none were kept, as by earlier releases.

    Raises DamagedData when they can't be read.
    """
    table = tables.labelled_rows
    document = connection.execute(select(table.c.document).where(table.c.reference == reference)).scalar()
    return None if document is None else decode_labelled_rows(reference, document)
