"""References: the frozen distributions that production is compared with. Setting one starts a new generation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, or_, select, update

from modelwatch.errors import UnknownResource
from modelwatch.stats.counting.binning import Binning, encode_binning
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts, encode_sparse
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import Split, decode_split, encode_split
from modelwatch.stats.drift.variation.clusters import Clusters, decode_clusters, encode_clusters
from modelwatch.stats.drift.variation.natural_variation import Variation, decode_variation, encode_variation
from modelwatch.stats.outcomes.natural_variation import NaturalVariation, encode_natural
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import Decoded, remembered
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.models import next_generation
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.labelled_rows import LabelledRows
from modelwatch.storage.references.layouts import Counts, ModelLayouts, binning_of, model_layouts, what_of
from modelwatch.storage.references.monitors import hold_monitor, monitor_of
from modelwatch.storage.references.segments import settle_segments
from modelwatch.storage.references.subjects import (
    FIRST_PREDICTIONS,
    OUTCOME,
    OUTCOMES,
    SEGMENTS,
    State,
    StoredReference,
    Subject,
)

# What a reference says never changes, so it is decoded once; only its state does.
_Content = tuple[Profile, Variation | None, Split | None, Clusters | None]
_known: Decoded[_Content] = Decoded()


# By the id of a segment feature's definition, the counts of each subject in its segments, shape (segments, cells).
BySegment = Mapping[str, Mapping[Subject, Counts]]

OF_SUBJECTS = tables.reference.c.kind.not_in((OUTCOME, SEGMENTS))


def set_references(
    store: Store,
    model: str,
    version: str | None,
    profiles: dict[Subject, Profile],
    *,
    variations: Mapping[Subject, Variation] | None = None,
    splits: Mapping[Subject, Split] | None = None,
    clusters: Mapping[Subject, Clusters] | None = None,
    outcomes: OutcomeCounts | None = None,
    hashed: Collection[Subject] = (),
    by_segment: BySegment | None = None,
    labelled: LabelledRows | None = None,
    natural: NaturalVariation | None = None,
    state: State = "active",
    source: str,
    now: int,
    new_id: Callable[[], str],
    audit: AuditEntry | None = None,
) -> int:
    """Puts references in force, retires those they replace, and returns the model's new generation.

    splits: how categorical samples were split. clusters: how alike values with the same key are. outcomes: outcome
    counts of the reference's labelled predictions; of no rows for their layout alone. hashed: subjects whose categories
    have keyed hashes for names. by_segment: the reference's counts in each segment, of the outcomes under the subject
    `OUTCOMES`. labelled: the rows of the outcomes. natural: how their metrics vary over time. audit: entry of the audit
    trail. Raises DamagedData when a stored reference is damaged.
    """
    with store.write() as connection:
        hold_monitor(connection, store, model)
        generation = next_generation(connection, store, model, now)
        replaced = [*profiles, *([] if outcomes is None else [OUTCOMES])]
        _retire(connection, model, version, replaced, generation)
        common = {
            "model": model,
            "version": version,
            "created_at": now,
            "source": source,
            "state": state,
            "from_generation": generation,
        }
        rows = _profile_rows(profiles, variations or {}, splits or {}, clusters or {}, hashed)
        if outcomes is not None:
            rows.append(_outcome_row(outcomes, natural))
        inserted = [{"id": new_id(), **common, **row} for row in rows]
        _insert(connection, inserted, by_segment or {})
        if labelled is not None:
            [identity] = [row["id"] for row in inserted if row["kind"] == OUTCOME]
            document = {"reference": identity, "document": labelled.encode()}
            connection.execute(insert(tables.labelled_rows), document)
        _settle_segments(connection, model, generation, now, new_id)
        if audit is not None:
            append_audit(connection, audit)
    return generation


def set_provisional_references(
    store: Store,
    model: str,
    profiles: dict[Subject, Profile],
    *,
    splits: Mapping[Subject, Split] | None = None,
    clusters: Mapping[Subject, Clusters] | None = None,
    hashed: Collection[Subject] = (),
    by_segment: BySegment | None = None,
    now: int,
    new_id: Callable[[], str],
) -> bool:
    """Puts provisional references in force for subjects that have none. False when another process has done it.

    Raises DamagedData when a stored reference is damaged. now: microseconds.
    """
    with store.write() as connection:
        hold_monitor(connection, store, model)
        table = tables.model
        done = connection.execute(
            select(table.c.provisional_done).where(table.c.name == model).with_for_update()
        ).scalar()
        if done is not False:
            return False
        covered = {reference.subject for reference in in_force(connection, model)}
        missing = {subject: profile for subject, profile in profiles.items() if subject not in covered}
        if missing:
            generation = next_generation(connection, store, model, now)
            common = {
                "model": model,
                "version": None,
                "created_at": now,
                "source": FIRST_PREDICTIONS,
                "state": "provisional",
                "from_generation": generation,
            }
            rows = [
                {"id": new_id(), **common, **row}
                for row in _profile_rows(missing, {}, splits or {}, clusters or {}, hashed)
            ]
            _insert(connection, rows, by_segment or {})
            _settle_segments(connection, model, generation, now, new_id)
        connection.execute(update(table).where(table.c.name == model).values(provisional_done=True))
    return True


def in_force(connection: Connection, model: str, generation: int | None = None) -> list[StoredReference]:
    """The references of a model that are in force now, or that were in one of its generations."""

    def read() -> list[StoredReference]:
        where: dict[str, str | int] = {"of_model": model}
        if generation is not None:
            where["then"] = generation
        rows = connection.execute(_in_force(generation is not None), where).all()
        return sorted((_reference(row) for row in rows), key=lambda item: (item.subject, item.version or ""))

    return list(remembered(connection, (in_force, model, generation), read))


@cache
def _in_force(in_a_generation: bool) -> Select[Any]:
    """Statement for the references in force now, or in one generation."""
    table = tables.reference
    condition: ColumnElement[bool] = table.c.to_generation.is_(None)
    if in_a_generation:
        condition = and_(
            table.c.from_generation <= bindparam("then"),
            or_(table.c.to_generation.is_(None), table.c.to_generation > bindparam("then")),
        )
    return select(table).where(table.c.model == bindparam("of_model"), OF_SUBJECTS, condition)


def layouts_of(generation: int, references: Sequence[StoredReference]) -> ModelLayouts:
    """The layouts that the references in force in a generation make; outcomes and calls are left out."""
    binnings: dict[str | None, dict[Subject, Binning]] = {}
    for reference in references:
        binnings.setdefault(reference.version, {})[reference.subject] = reference.profile.binning
    return model_layouts(generation, binnings)


def references_by_id(connection: Connection, ids: Sequence[str]) -> list[StoredReference]:
    """The references with these ids, in their order. Raises UnknownResource when one is not there any more."""
    table = tables.reference
    rows = {row.id: row for row in connection.execute(select(table).where(table.c.id.in_(ids)))}
    missing = [identity for identity in ids if identity not in rows]
    if missing:
        raise UnknownResource(f"{len(missing)} references are no longer in the store, the first is {missing[0]!r}.")
    return [_reference(rows[identity]) for identity in ids]


def all_references(connection: Connection, model: str) -> list[StoredReference]:
    """Every reference of a model that can be read, retired ones too: by subject, newest first."""
    table = tables.reference
    rows = connection.execute(select(table).where(table.c.model == model, OF_SUBJECTS)).all()
    return sorted(readable(rows, _reference), key=lambda item: (item.subject, -item.created_at, item.id))


def overview(connection: Connection, model: str | None = None) -> dict[str, list[tuple[Subject, State]]]:
    """By model, the subjects with a reference in force and its state; of one model, or of all."""
    table = tables.reference
    query = select(table.c.model, table.c.kind, table.c.name, table.c.state).where(
        table.c.to_generation.is_(None), OF_SUBJECTS
    )
    if model is not None:
        query = query.where(table.c.model == model)
    found: dict[str, list[tuple[Subject, State]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.model, []).append((Subject(row.kind, row.name), row.state))
    return found


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """References set at once: the time (microseconds), the version (None: all), and the number of subjects. source:
    such as `api`. timed: whether natural variation is known of any."""

    created_at: int
    version: str | None
    subjects: int
    source: str
    timed: bool = False


def reference_sets(connection: Connection, model: str) -> list[ReferenceSet]:
    """Every setting of references of a model, those that were replaced too, newest first."""
    table = tables.reference
    key = (table.c.created_at, table.c.version, table.c.source)
    rows = connection.execute(
        select(*key, func.count(), func.count(table.c.variation))
        .where(table.c.model == model, OF_SUBJECTS)
        .group_by(*key)
        .order_by(key[0].desc())
    )
    return [ReferenceSet(row.created_at, row.version, row[3], row.source, row[4] > 0) for row in rows]


def oldest_reference_in_force(connection: Connection) -> dict[str, int]:
    """Time in microseconds, by model, at which its oldest reference in force was set."""
    table = tables.reference
    rows = connection.execute(
        select(table.c.model, func.min(table.c.created_at))
        .where(table.c.to_generation.is_(None), table.c.kind != SEGMENTS)
        .group_by(table.c.model)
    )
    return {row[0]: row[1] for row in rows}


def newest_references(connection: Connection, models: Collection[str]) -> dict[str, tuple[str, int]]:
    """Of each of these models with a reference in force, whether any of it is its own (`active`) or all `provisional`,
    and the time in microseconds at which the newest part was set."""
    table = tables.reference
    rows = connection.execute(
        select(table.c.model, func.min(table.c.state), func.max(table.c.created_at))
        .where(table.c.model.in_(models), table.c.to_generation.is_(None), table.c.kind != SEGMENTS)
        .group_by(table.c.model)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def models_with_reference(connection: Connection) -> frozenset[str]:
    """The models that have a reference in force."""
    table = tables.reference
    query = select(table.c.model).where(table.c.to_generation.is_(None)).distinct()
    return frozenset(connection.execute(query).scalars())


def models_ready_for_reference(connection: Connection, size: int) -> list[str]:
    """The models that have so many predictions, and whose provisional reference has not been taken yet, sorted."""
    table, profile = tables.model, tables.profile
    received = (
        select(func.coalesce(func.sum(profile.c.predictions), 0))
        .where(profile.c.model == table.c.name, profile.c.segment == "")
        .scalar_subquery()
    )
    query = select(table.c.name).where(table.c.provisional_done.is_(False), received >= size)
    return list(connection.execute(query.order_by(tables.by_bytes(table.c.name))).scalars())


def _insert(connection: Connection, rows: list[dict[str, Any]], by_segment: BySegment) -> None:
    connection.execute(insert(tables.reference), rows)
    parts = [
        {"reference": row["id"], "definition": definition, "counts": encode_sparse(counts[subject].ravel())}
        for row in rows
        for definition, counts in by_segment.items()
        if (subject := Subject(row["kind"], row["name"])) in counts
    ]
    if parts:
        connection.execute(insert(tables.reference_segment), parts)


def _settle_segments(connection: Connection, model: str, generation: int, now: int, new_id: Callable[[], str]) -> None:
    monitor = monitor_of(connection, model)
    wanted = () if monitor is None else monitor.config.segments or ()
    settle_segments(connection, model, wanted, lambda: generation, now, new_id)


def _retire(
    connection: Connection, model: str, version: str | None, subjects: Sequence[Subject], generation: int
) -> None:
    table, rows = tables.reference, tables.labelled_rows
    for subject in subjects:
        replaced = and_(
            table.c.model == model,
            table.c.version.is_(None) if version is None else table.c.version == version,
            table.c.kind == subject.kind,
            table.c.name == subject.name,
            table.c.to_generation.is_(None),
        )
        if subject.kind == OUTCOME:
            connection.execute(delete(rows).where(rows.c.reference.in_(select(table.c.id).where(replaced))))
        connection.execute(update(table).where(replaced).values(to_generation=generation, state="retired"))


def retire_version(
    connection: Connection, store: Store, model: str, version: str, *, now: int, new_id: Callable[[], str]
) -> None:
    """Retires all references of a version alone, in a new generation. The caller holds the model's monitor.

    Raises DamagedData when a stored reference is damaged. now: microseconds.
    """
    table = tables.reference
    generation = next_generation(connection, store, model, now)
    connection.execute(
        update(table)
        .where(table.c.model == model, table.c.version == version, table.c.to_generation.is_(None))
        .values(to_generation=generation, state="retired")
    )
    _settle_segments(connection, model, generation, now, new_id)


def _profile_rows(
    profiles: Mapping[Subject, Profile],
    variations: Mapping[Subject, Variation],
    splits: Mapping[Subject, Split],
    clusters: Mapping[Subject, Clusters],
    hashed: Collection[Subject],
) -> list[dict[str, Any]]:
    return [
        {
            "kind": subject.kind,
            "name": subject.name,
            "binning_id": profile.binning.id,
            "binning": encode_binning(profile.binning),
            "counts": encode_counts(profile.counts),
            "variation": encode_variation(variations[subject]) if subject in variations else None,
            "split": encode_split(splits[subject]) if subject in splits else None,
            "clusters": encode_clusters(clusters[subject]) if subject in clusters else None,
            "hashed": subject in hashed,
        }
        for subject, profile in sorted(profiles.items(), key=lambda item: item[0])
    ]


def _outcome_row(outcomes: OutcomeCounts, natural: NaturalVariation | None) -> dict[str, Any]:
    return {
        "kind": OUTCOME,
        "name": "",
        "binning_id": outcomes.layout.id,
        "binning": outcomes.layout.encode(),
        "counts": outcomes.encode(),
        "variation": None if natural is None else encode_natural(natural),
        "split": None,
        "clusters": None,
        "hashed": False,
    }


def _reference(row: Any) -> StoredReference:
    profile, variation, split, clusters = _decoded(row)
    return StoredReference(
        id=row.id,
        model=row.model,
        version=row.version,
        subject=Subject(row.kind, row.name),
        profile=profile,
        variation=variation,
        created_at=row.created_at,
        source=row.source,
        state=row.state,
        split=split,
        clusters=clusters,
    )


def _decoded(row: Any) -> _Content:
    def decode(row: Any) -> _Content:
        profile = Profile(binning_of(row.binning_id, row.binning), decode_counts(row.counts))
        variation = None if row.variation is None else decode_variation(row.variation)
        split = None if row.split is None else decode_split(row.split)
        return profile, variation, split, None if row.clusters is None else decode_clusters(row.clusters)

    parts = (row.counts, row.variation, row.split, row.clusters)
    return _known.get(row.id, sum(len(part or b"") for part in parts), lambda: decoded(what_of(row), decode, row))
